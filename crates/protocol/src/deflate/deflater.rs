//! Compresses the messages of one direction of a connection.

use std::fmt;

use zlib_rs::DeflateFlush;

use super::compressor::Compressor;
use super::pool::Place;
use super::{ContextPool, DeflateOptions, TAIL, WINDOW_BITS};

/// The compressed form of an empty message, without its tail (RFC 7692, 7.2.3.6).
pub(super) const EMPTY: u8 = 0x00;

/// Compresses the messages of one direction of a connection.
///
/// Its context may be freed after each fragment, if the pool exceeds its budget. Then
/// the next one is compressed without the context of those before.
pub struct Deflater {
    options: DeflateOptions,
    place: Place<Compressor>,
    /// The context between two fragments if the first does not end at a byte boundary:
    /// the remaining bits are in the context.
    unaligned: Option<Box<Compressor>>,
}

impl Deflater {
    /// Creates a compressor. Its context is created or taken from `pool` when it is needed.
    ///
    /// # Panics
    ///
    /// If an option is out of its range.
    pub fn new(options: DeflateOptions, pool: ContextPool) -> Self {
        assert!(WINDOW_BITS.contains(&options.window_bits));
        assert!((1..=9).contains(&options.mem_level));
        assert!(options.level <= 9);
        Self {
            options,
            place: Place::new(pool.compressors, options),
            unaligned: None,
        }
    }

    /// Returns the size of the window, as the base-2 logarithm of bytes: 8 to 15.
    pub fn window_bits(&self) -> u8 {
        self.options.window_bits
    }

    /// Forgets all earlier messages, so that the next one does not refer to them. Do not call
    /// this between two fragments.
    pub fn forget(&mut self) {
        self.place.release();
    }

    /// Compresses `data`, and appends it to `out` as the payload of one frame.
    ///
    /// `fin` is true if `data` ends its message.
    pub fn compress(&mut self, data: &[u8], fin: bool, out: &mut Vec<u8>) {
        // An empty fragment that is not the last need not end at a byte boundary.
        if data.is_empty() && !fin {
            let mut context = self.take();
            flush(&mut context, data, DeflateFlush::PartialFlush, out);
            self.unaligned = Some(context);
        } else {
            self.compress_to_boundary(data, fin, out);
        }
    }

    /// Like [`compress`](Self::compress), but an empty fragment also ends at a byte
    /// boundary. It is then five bytes long instead of one.
    pub fn compress_to_boundary(&mut self, data: &[u8], fin: bool, out: &mut Vec<u8>) {
        let start = out.len();
        let mut context = self.take();
        flush(&mut context, data, DeflateFlush::SyncFlush, out);
        if fin {
            if out[start..].ends_with(&TAIL) {
                out.truncate(out.len() - TAIL.len());
            }
            // A context that has already been flushed writes nothing.
            if out.len() == start {
                out.push(EMPTY);
            }
        }
        if fin && self.options.no_context_takeover {
            self.place.give(context);
        } else {
            self.place.keep(context);
        }
    }

    fn take(&mut self) -> Box<Compressor> {
        match self.unaligned.take() {
            Some(context) => context,
            None => self.place.take(),
        }
    }

    /// Whether the next message may be compressed with the context of those before.
    #[cfg(test)]
    pub(super) fn has_context(&self) -> bool {
        self.place.is_used()
    }
}

/// Compresses `data`, and appends all of it to `out`.
fn flush(context: &mut Compressor, mut data: &[u8], flush: DeflateFlush, out: &mut Vec<u8>) {
    loop {
        let end = out.len();
        out.resize(
            end + zlib_rs::compress_bound(data.len()) + TAIL.len() + 8,
            0,
        );
        let before = (context.total_in(), context.total_out());
        context
            .compress(data, &mut out[end..], flush)
            .expect("the context is whole and its options are valid");
        data = &data[(context.total_in() - before.0) as usize..];
        let written = (context.total_out() - before.1) as usize;
        let has_room = end + written < out.len();
        out.truncate(end + written);
        // If the output did not fill its space, all of it has been flushed.
        if has_room {
            break;
        }
    }
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflater")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
