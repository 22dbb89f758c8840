//! Decompresses the messages of one direction of a connection.

use std::fmt;

use super::decompressor::Decompressor;
use super::pool::Place;
use super::{ContextPool, InflateOptions, TAIL, WINDOW_BITS};
use crate::ProtocolError;

/// The minimum space that is reserved for output at a time, in bytes.
const MIN_ROOM: usize = 512;

/// The expected size of a message, as a multiple of its compressed size.
const EXPECTED_RATIO: usize = 4;

/// Decompresses the messages of one direction of a connection.
///
/// Its context may be freed between two messages, if the pool exceeds its budget. What
/// is left then is the text that the peer may refer to: the last received, at most as
/// much as the window has room for.
pub struct Inflater {
    options: InflateOptions,
    place: Place<Decompressor>,
    /// The context, while a message has not been received completely.
    current: Option<Box<Decompressor>>,
}

impl Inflater {
    /// Creates a decompressor. Its context is created or taken from `pool` when it is needed.
    ///
    /// # Panics
    ///
    /// If the window bits are not 8 to 15.
    pub fn new(options: InflateOptions, pool: ContextPool) -> Self {
        assert!(WINDOW_BITS.contains(&options.window_bits));
        // Some senders use a window of 512 bytes if 256 are agreed on.
        let window_bits = options.window_bits.max(9);
        Self {
            options,
            place: Place::new(pool.decompressors, window_bits),
            current: None,
        }
    }

    /// Decompresses `data`, the next piece of a message, and appends the result to `out`.
    ///
    /// `limit` is the maximum length of `out`, in bytes. Decompression stops at the
    /// first byte beyond it.
    ///
    /// # Errors
    ///
    /// [`InvalidDeflate`](ProtocolError::InvalidDeflate) if `data` is not valid, or
    /// [`PayloadTooLong`](ProtocolError::PayloadTooLong) if `out` exceeds the limit or
    /// cannot grow. The context is then lost.
    pub fn decompress(
        &mut self,
        data: &[u8],
        out: &mut Vec<u8>,
        limit: usize,
    ) -> Result<(), ProtocolError> {
        self.decompress_some(data, out, limit, usize::MAX)
            .map(|_| ())
    }

    /// Like [`decompress`](Self::decompress), but stops after appending about `most` bytes.
    /// Returns how many bytes of `data` were read. Pass the others in the next call.
    ///
    /// # Errors
    ///
    /// As for [`decompress`](Self::decompress).
    pub fn decompress_some(
        &mut self,
        mut data: &[u8],
        out: &mut Vec<u8>,
        limit: usize,
        most: usize,
    ) -> Result<usize, ProtocolError> {
        if data.is_empty() {
            return Ok(0);
        }
        let len = data.len();
        let enough = out.len().saturating_add(most);
        let mut context = match self.current.take() {
            Some(context) => context,
            None => self.place.take(),
        };
        loop {
            let wanted = (data.len().saturating_mul(EXPECTED_RATIO)).max(MIN_ROOM);
            let allowed = limit
                .min(enough)
                .saturating_sub(out.len())
                .saturating_add(1);
            if out.capacity() - out.len() < wanted.min(allowed).min(MIN_ROOM) {
                // Not more than `allowed`, because the whole capacity may be filled.
                out.try_reserve_exact(wanted.max(out.len()).min(allowed))
                    .map_err(|_| ProtocolError::PayloadTooLong)?;
            }
            let before = out.len();
            let (read, is_end) = context.decompress(data, out)?;
            data = &data[read..];
            if out.len() > limit {
                return Err(ProtocolError::PayloadTooLong);
            }
            let is_stuck = read == 0 && out.len() == before;
            if data.is_empty() {
                // If the output filled its space exactly, there may be more.
                if is_stuck || is_end || out.len() < out.capacity() {
                    break;
                }
            } else if is_stuck && !is_end {
                return Err(ProtocolError::InvalidDeflate);
            }
            if out.len() >= enough {
                break;
            }
        }
        self.current = Some(context);
        Ok(len - data.len())
    }

    /// Ends a message, by decompressing the tail that its sender removed.
    ///
    /// # Errors
    ///
    /// As for [`decompress`](Self::decompress).
    pub fn finish(&mut self, out: &mut Vec<u8>, limit: usize) -> Result<(), ProtocolError> {
        self.decompress(&TAIL, out, limit)?;
        if let Some(context) = self.current.take() {
            if self.options.no_context_takeover {
                self.place.give(context);
            } else {
                self.place.keep(context);
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
