//! The compression of permessage-deflate (RFC 7692, 7.2). A [`Deflater`] or
//! [`Inflater`] serves one direction of one connection.
//!
//! A DEFLATE context is large: about 220 KB to compress with the default settings, and
//! 40 KB to decompress. It is created when the first message needs it. Without context
//! takeover it is borrowed from a [`ContextPool`] for one message, so that an idle
//! connection owns none.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use flate2::{Decompress, FlushDecompress, Status};
use zlib_rs::{Deflate, DeflateConfig, DeflateFlush};

use crate::ProtocolError;

/// The end of each compressed message, which the sender removes and the receiver
/// appends again (RFC 7692, 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// The compressed form of an empty message, without its tail (RFC 7692, 7.2.3.6).
const EMPTY: u8 = 0x00;

/// The allowed sizes of the LZ77 window, as the base-2 logarithm of bytes (RFC 7692, 7.1.2).
pub const WINDOW_BITS: std::ops::RangeInclusive<u8> = 8..=15;

/// The settings for compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeflateOptions {
    /// The window size, as the base-2 logarithm of bytes: 8 to 15. The compressor does
    /// not support 8, a window of 256 bytes, and uses 9 instead. With 9, distances
    /// never exceed 250 bytes, so the result is valid for a window of 256 bytes too.
    pub window_bits: u8,
    /// The memory for the internal state, from 1 (least) to 9 (most).
    pub mem_level: u8,
    /// The effort, from 0 (no compression) to 9 (most).
    pub level: u8,
    /// Whether each message is compressed without the context of the one before
    /// (RFC 7692, 7.1.1).
    pub no_context_takeover: bool,
}

impl Default for DeflateOptions {
    fn default() -> Self {
        Self {
            window_bits: DEFAULT_WINDOW,
            mem_level: 8,
            level: 7,
            no_context_takeover: false,
        }
    }
}

/// The default window size. Contexts that do not fit in the processor's cache are slow,
/// and with many connections the cache misses take most of the time. With 50
/// connections in turn, each with messages of 1 KiB, 15 bits took three times as long
/// as 13, and made the output only one percent smaller.
const DEFAULT_WINDOW: u8 = 13;

/// The settings for decompression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InflateOptions {
    /// The window size, as the base-2 logarithm of bytes: 8 to 15.
    pub window_bits: u8,
    /// Whether each message was compressed without the context of the one before
    /// (RFC 7692, 7.1.1).
    pub no_context_takeover: bool,
}

impl Default for InflateOptions {
    fn default() -> Self {
        Self {
            window_bits: 15,
            no_context_takeover: false,
        }
    }
}

/// A pool of idle contexts for connections without context takeover.
///
/// Clones share the same contexts.
#[derive(Clone, Default)]
pub struct ContextPool(Arc<Mutex<Idle>>);

#[derive(Default)]
struct Idle {
    deflate: Vec<(DeflateOptions, Box<Deflate>)>,
    inflate: Vec<(u8, Decompress)>,
}

/// The maximum number of idle contexts of each kind in a pool. A thread uses only one
/// of each kind at a time, except for messages that have not arrived completely.
const MAX_IDLE: usize = 16;

impl ContextPool {
    fn idle(&self) -> std::sync::MutexGuard<'_, Idle> {
        // The lists are only pushed to and removed from: a panic elsewhere leaves
        // them consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_deflate(&self, options: &DeflateOptions) -> Option<Box<Deflate>> {
        let idle = &mut self.idle().deflate;
        let found = idle.iter().rposition(|(kept, _)| kept == options)?;
        Some(idle.swap_remove(found).1)
    }

    fn give_deflate(&self, options: DeflateOptions, context: Box<Deflate>) {
        let idle = &mut self.idle().deflate;
        if idle.len() == MAX_IDLE {
            idle.remove(0);
        }
        idle.push((options, context));
    }

    fn take_inflate(&self, window_bits: u8) -> Option<Decompress> {
        let idle = &mut self.idle().inflate;
        let found = idle.iter().rposition(|(kept, _)| *kept == window_bits)?;
        Some(idle.swap_remove(found).1)
    }

    fn give_inflate(&self, window_bits: u8, context: Decompress) {
        let idle = &mut self.idle().inflate;
        if idle.len() == MAX_IDLE {
            idle.remove(0);
        }
        idle.push((window_bits, context));
    }
}

impl fmt::Debug for ContextPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let idle = self.idle();
        f.debug_struct("ContextPool")
            .field("deflate", &idle.deflate.len())
            .field("inflate", &idle.inflate.len())
            .finish()
    }
}

/// Compresses the messages of one direction of a connection.
pub struct Deflater {
    options: DeflateOptions,
    pool: ContextPool,
    context: Option<Box<Deflate>>,
}

impl Deflater {
    /// Creates a compressor. Its context is created or taken from `pool` when it is needed.
    /// # Panics
    ///
    /// If an option is out of its range.
    pub fn new(options: DeflateOptions, pool: ContextPool) -> Self {
        assert!(WINDOW_BITS.contains(&options.window_bits));
        assert!((1..=9).contains(&options.mem_level));
        assert!(options.level <= 9);
        Self {
            options,
            pool,
            context: None,
        }
    }

    /// Returns the size of the window, as the base-2 logarithm of bytes: 8 to 15.
    pub fn window_bits(&self) -> u8 {
        self.options.window_bits
    }

    /// Forgets all earlier messages, so that the next one does not refer to them.
    pub fn forget(&mut self) {
        if let Some(mut context) = self.context.take() {
            context.reset();
            self.pool.give_deflate(self.options, context);
        }
    }

    /// Compresses `data`, and appends it to `out` as the payload of one frame.
    ///
    /// `fin` is true if `data` ends its message.
    pub fn compress(&mut self, data: &[u8], fin: bool, out: &mut Vec<u8>) {
        // An empty fragment that is not the last need not end at a byte boundary.
        if data.is_empty() && !fin {
            self.flush(data, fin, DeflateFlush::PartialFlush, out);
        } else {
            self.compress_to_boundary(data, fin, out);
        }
    }

    /// Like [`compress`](Self::compress), but an empty fragment also ends at a byte
    /// boundary. It is then five bytes long instead of one.
    pub fn compress_to_boundary(&mut self, data: &[u8], fin: bool, out: &mut Vec<u8>) {
        self.flush(data, fin, DeflateFlush::SyncFlush, out);
    }

    fn flush(&mut self, mut data: &[u8], fin: bool, flush: DeflateFlush, out: &mut Vec<u8>) {
        let start = out.len();
        let mut context = self.context.take().unwrap_or_else(|| self.context());
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
            context.reset();
            self.pool.give_deflate(self.options, context);
        } else {
            self.context = Some(context);
        }
    }

    fn context(&self) -> Box<Deflate> {
        self.pool.take_deflate(&self.options).unwrap_or_else(|| {
            Box::new(Deflate::new_with_config(DeflateConfig {
                level: i32::from(self.options.level),
                // Negative: a raw stream, without zlib's header and checksum.
                window_bits: -i32::from(self.options.window_bits.max(9)),
                mem_level: i32::from(self.options.mem_level),
                ..DeflateConfig::default()
            }))
        })
    }
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflater")
            .field("options", &self.options)
            .field("has_context", &self.context.is_some())
            .finish()
    }
}

/// Decompresses the messages of one direction of a connection.
#[derive(Debug)]
pub struct Inflater {
    options: InflateOptions,
    pool: ContextPool,
    context: Option<Decompress>,
}

/// The minimum space that is reserved for output at a time, in bytes.
const MIN_ROOM: usize = 512;

/// The expected size of a message, as a multiple of its compressed size.
const EXPECTED_RATIO: usize = 4;

impl Inflater {
    /// Creates a decompressor. Its context is created or taken from `pool` when it is needed.
    /// # Panics
    ///
    /// If the window bits are not 8 to 15.
    pub fn new(options: InflateOptions, pool: ContextPool) -> Self {
        assert!(WINDOW_BITS.contains(&options.window_bits));
        Self {
            options,
            pool,
            context: None,
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
        let mut context = self.context.take().unwrap_or_else(|| self.context());
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
            let before = (context.total_in(), out.len());
            let status = context
                .decompress_vec(data, out, FlushDecompress::Sync)
                .map_err(|_| ProtocolError::InvalidDeflate)?;
            let consumed = (context.total_in() - before.0) as usize;
            data = &data[consumed..];
            if out.len() > limit {
                return Err(ProtocolError::PayloadTooLong);
            }
            if status == Status::StreamEnd {
                // A block marked as the last one is allowed, and another may follow it
                // (RFC 7692, 7.2.3.4).
                context.reset(false);
            }
            let is_stuck = consumed == 0 && out.len() == before.1;
            if data.is_empty() {
                // If the output filled its space exactly, there may be more.
                if is_stuck || status == Status::StreamEnd || out.len() < out.capacity() {
                    break;
                }
            } else if is_stuck && status != Status::StreamEnd {
                return Err(ProtocolError::InvalidDeflate);
            }
            if out.len() >= enough {
                break;
            }
        }
        self.context = Some(context);
        Ok(len - data.len())
    }

    /// Ends a message, by decompressing the tail that its sender removed.
    ///
    /// # Errors
    ///
    /// As for [`decompress`](Self::decompress).
    pub fn finish(&mut self, out: &mut Vec<u8>, limit: usize) -> Result<(), ProtocolError> {
        self.decompress(&TAIL, out, limit)?;
        if self.options.no_context_takeover {
            if let Some(mut context) = self.context.take() {
                context.reset(false);
                self.pool.give_inflate(self.window_bits(), context);
            }
        }
        Ok(())
    }

    fn context(&self) -> Decompress {
        let window_bits = self.window_bits();
        self.pool
            .take_inflate(window_bits)
            .unwrap_or_else(|| Decompress::new_with_window_bits(false, window_bits))
    }

    /// Returns the window size to use. A wider window than that of the sender works
    /// too, and flate2 supports no window below 9.
    fn window_bits(&self) -> u8 {
        self.options.window_bits.max(9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns text that can be compressed, with matches at short and long distances.
    fn text(len: usize) -> Vec<u8> {
        let mut state = 1u32;
        (0..len)
            .map(|_| {
                state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
                b"etaoin shrdlu"[(state >> 16) as usize % 13]
            })
            .collect()
    }

    fn deflater(options: DeflateOptions) -> Deflater {
        Deflater::new(options, ContextPool::default())
    }

    fn inflater(options: InflateOptions) -> Inflater {
        Inflater::new(options, ContextPool::default())
    }

    fn inflate(inflater: &mut Inflater, data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        inflater.decompress(data, &mut out, usize::MAX).unwrap();
        inflater.finish(&mut out, usize::MAX).unwrap();
        out
    }

    #[test]
    fn every_window_memory_and_effort_reads_back() {
        let message = text(40_000);
        for window_bits in WINDOW_BITS {
            for mem_level in 1..=9 {
                for level in 0..=9 {
                    let no_context_takeover = level % 2 == 0;
                    let mut deflater = deflater(DeflateOptions {
                        window_bits,
                        mem_level,
                        level,
                        no_context_takeover,
                    });
                    let mut inflater = inflater(InflateOptions {
                        window_bits,
                        no_context_takeover,
                    });
                    for part in [&message[..], &message[..1000], &[], &message[..2000]] {
                        let mut compressed = Vec::new();
                        deflater.compress(part, true, &mut compressed);
                        assert!(inflate(&mut inflater, &compressed) == part);
                    }
                }
            }
        }
    }

    #[test]
    fn the_smallest_window_is_kept_to() {
        // The phrase repeats at distances of 200 to 400 bytes. Only some are
        // within 256 bytes.
        let mut message = Vec::new();
        for distance in 200..400 {
            message.extend_from_slice(&text(distance));
            message.extend_from_slice(b"a phrase that comes again");
        }
        for level in 1..=9 {
            let mut compressed = Vec::new();
            deflater(DeflateOptions {
                window_bits: 8,
                level,
                ..DeflateOptions::default()
            })
            .compress(&message, true, &mut compressed);
            compressed.extend_from_slice(&TAIL);
            let mut strict = zlib_rs::Inflate::new(false, 8);
            let mut out = vec![0; message.len() + 1];
            // Small steps, so that the inflater looks back into its window and not
            // into the output.
            let mut written = 0;
            let mut rest = &compressed[..];
            while !rest.is_empty() {
                let before = strict.total_in();
                let end = out.len().min(written + 100);
                strict
                    .decompress(
                        rest,
                        &mut out[written..end],
                        zlib_rs::InflateFlush::SyncFlush,
                    )
                    .unwrap();
                rest = &rest[(strict.total_in() - before) as usize..];
                written = strict.total_out() as usize;
            }
            assert!(out[..written] == message);
        }
    }

    #[test]
    fn options_act() {
        // The message repeats at a distance that only a wide window covers.
        let message = text(5_000).repeat(20);
        let size = |options| {
            let mut out = Vec::new();
            deflater(options).compress(&message, true, &mut out);
            out.len()
        };
        let default = DeflateOptions::default();
        let smallest_window = DeflateOptions {
            window_bits: 9,
            ..default
        };
        let least_memory = DeflateOptions {
            mem_level: 1,
            ..default
        };
        let no_effort = DeflateOptions {
            level: 0,
            ..default
        };
        assert!(2 * size(default) < size(smallest_window));
        assert_ne!(size(default), size(least_memory));
        assert!(size(no_effort) > message.len());
    }

    #[test]
    fn fragments_join_to_one_stream() {
        for parts in [
            &["", "data"][..],
            &["data", ""],
            &["", ""],
            &["", "", "a", "", "", "b", ""],
            &["foo", "bar", "foobar"],
        ] {
            let mut deflater = deflater(DeflateOptions::default());
            let mut inflater = inflater(InflateOptions::default());
            for _ in 0..3 {
                let mut out = Vec::new();
                for (i, part) in parts.iter().enumerate() {
                    let mut compressed = Vec::new();
                    let fin = i + 1 == parts.len();
                    deflater.compress(part.as_bytes(), fin, &mut compressed);
                    inflater
                        .decompress(&compressed, &mut out, usize::MAX)
                        .unwrap();
                }
                inflater.finish(&mut out, usize::MAX).unwrap();
                assert_eq!(out, parts.concat().as_bytes(), "{parts:?}");
            }
        }
    }

    #[test]
    fn an_empty_fragment_may_end_at_a_boundary() {
        let fragment = |compress: fn(&mut Deflater, &[u8], bool, &mut Vec<u8>)| {
            let mut deflater = deflater(DeflateOptions::default());
            let (mut first, mut last) = (Vec::new(), Vec::new());
            compress(&mut deflater, b"", false, &mut first);
            compress(&mut deflater, b"data", true, &mut last);
            let message = [&first[..], &last].concat();
            let mut inflater = inflater(InflateOptions::default());
            assert_eq!(inflate(&mut inflater, &message), b"data");
            first
        };
        assert_eq!(fragment(Deflater::compress).len(), 1);
        assert_eq!(
            fragment(Deflater::compress_to_boundary),
            [0x00, 0x00, 0x00, 0xff, 0xff]
        );
    }

    #[test]
    fn an_empty_message_is_one_byte() {
        let mut deflater = deflater(DeflateOptions::default());
        for _ in 0..3 {
            let mut out = Vec::new();
            deflater.compress(b"", true, &mut out);
            assert_eq!(out, [EMPTY]);
        }
    }

    #[test]
    fn a_context_is_taken_over_or_not() {
        for no_context_takeover in [false, true] {
            let mut deflater = deflater(DeflateOptions {
                no_context_takeover,
                ..DeflateOptions::default()
            });
            let mut sizes = [0; 2];
            for size in &mut sizes {
                let mut out = Vec::new();
                deflater.compress(b"a message that repeats itself", true, &mut out);
                *size = out.len();
            }
            assert_eq!(sizes[0] == sizes[1], no_context_takeover);
            assert_eq!(deflater.context.is_none(), no_context_takeover);
        }
    }

    #[test]
    fn the_pool_hands_out_contexts_of_the_same_options_only() {
        let pool = ContextPool::default();
        let options = |window_bits| DeflateOptions {
            window_bits,
            no_context_takeover: true,
            ..DeflateOptions::default()
        };
        for window_bits in [15, 9, 15, 9] {
            let mut out = Vec::new();
            Deflater::new(options(window_bits), pool.clone()).compress(b"hello", true, &mut out);
            let inflate = InflateOptions {
                window_bits,
                no_context_takeover: true,
            };
            assert_eq!(
                super::tests::inflate(&mut Inflater::new(inflate, pool.clone()), &out),
                b"hello"
            );
        }
        let idle = pool.idle();
        assert_eq!((idle.deflate.len(), idle.inflate.len()), (2, 2));
    }

    #[test]
    fn output_stops_at_the_limit() {
        let mut bomb = Vec::new();
        deflater(DeflateOptions::default()).compress(&vec![0; 64 << 20], true, &mut bomb);
        assert!(bomb.len() < 100_000);
        let mut out = Vec::new();
        let result = inflater(InflateOptions::default()).decompress(&bomb, &mut out, 1 << 20);
        assert_eq!(result, Err(ProtocolError::PayloadTooLong));
        assert!(out.capacity() <= 4 << 20, "{}", out.capacity());

        let mut out = Vec::new();
        let mut inflater = inflater(InflateOptions::default());
        inflater.decompress(&bomb, &mut out, 64 << 20).unwrap();
        inflater.finish(&mut out, 64 << 20).unwrap();
        assert_eq!(out.len(), 64 << 20);
    }

    #[test]
    fn a_last_block_does_not_end_the_connection() {
        // "Hello" in a block with BFINAL set, then the extra byte (RFC 7692, 7.2.3.4).
        let mut inflater = inflater(InflateOptions::default());
        for _ in 0..2 {
            let data = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
            assert_eq!(inflate(&mut inflater, &data), b"Hello");
        }
    }

    #[test]
    fn output_may_fill_its_room_to_the_last_byte() {
        let message = text(10_000);
        let mut compressed = Vec::new();
        deflater(DeflateOptions::default()).compress(&message, false, &mut compressed);
        for spare in [0, 1, 100] {
            let mut out = Vec::with_capacity(message.len() + spare);
            let mut inflater = inflater(InflateOptions::default());
            inflater
                .decompress(&compressed, &mut out, usize::MAX)
                .unwrap();
            assert!(out == message);
        }
    }

    #[test]
    fn noise_is_an_error() {
        let mut out = Vec::new();
        assert_eq!(
            inflater(InflateOptions::default()).decompress(&[0xff; 64], &mut out, 1 << 20),
            Err(ProtocolError::InvalidDeflate)
        );
    }
}
