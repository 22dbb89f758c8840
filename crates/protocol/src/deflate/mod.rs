//! The compression of permessage-deflate (RFC 7692, 7.2). A [`Deflater`] or
//! [`Inflater`] serves one direction of one connection.
//!
//! A DEFLATE context is large: 276 KiB to compress with the default settings, and
//! 47 KiB to decompress. The contexts of all connections are therefore in a
//! [`ContextPool`], which keeps those that were used last.

mod compressor;
mod context;
mod context_pool;
mod decompressor;
mod deflater;
mod inflater;
mod pool;

pub use context_pool::ContextPool;
pub use deflater::Deflater;
pub use inflater::Inflater;

/// The end of each compressed message, which the sender removes and the receiver
/// appends again (RFC 7692, 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ProtocolError;

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
            assert_eq!(out, [0x00]);
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
            assert_eq!(deflater.has_context(), !no_context_takeover);
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
        assert_eq!((pool.compressors.len(), pool.decompressors.len()), (2, 2));
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
