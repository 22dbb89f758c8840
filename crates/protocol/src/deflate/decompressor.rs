//! A context that decompresses.

use flate2::{Decompress, FlushDecompress, Status};

use super::context::Context;
use crate::ProtocolError;

/// A context that decompresses. When it is freed, the text that the peer may refer to
/// is left.
pub(super) struct Decompressor {
    stream: Decompress,
    /// The size of the window, in bytes.
    window: usize,
    /// How much of the window is filled, in bytes.
    filled: usize,
    /// Whether the peer has violated the protocol.
    is_invalid: bool,
}

/// The memory that zlib-rs allocates: a window of 32 KiB, whatever the options are, and
/// its state.
const SIZE: usize = 47 * 1024;

/// The longest match, in bytes (RFC 1951, 3.2.5).
const MAX_MATCH: usize = 258;

impl Decompressor {
    /// Decompresses `data` into the spare capacity of `out`. Returns how much of `data`
    /// was read, and whether a block that is marked as the last has ended.
    pub(super) fn decompress(
        &mut self,
        data: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(usize, bool), ProtocolError> {
        if self.is_invalid {
            return Err(ProtocolError::InvalidDeflate);
        }
        let before = (self.stream.total_in(), out.len());
        let status = self
            .stream
            .decompress_vec(data, out, FlushDecompress::Sync)
            .map_err(|_| ProtocolError::InvalidDeflate)?;
        let read = (self.stream.total_in() - before.0) as usize;
        self.filled = self.window.min(self.filled + out.len() - before.1);
        let is_end = status == Status::StreamEnd;
        if is_end {
            // Another block may follow (RFC 7692, 7.2.3.4).
            self.reset();
        }
        Ok((read, is_end))
    }
}

impl Context for Decompressor {
    /// The size of the window, as the base-2 logarithm of bytes.
    type Options = u8;
    /// The last text, as long as the filled part of the window. `None` if the peer has
    /// violated the protocol.
    type Rest = Option<Box<[u8]>>;

    fn new(&window_bits: &u8) -> Self {
        Self {
            stream: Decompress::new(false),
            window: 1 << window_bits,
            filled: 0,
            is_invalid: false,
        }
    }

    fn size(_: &u8) -> usize {
        SIZE
    }

    fn reset(&mut self) {
        self.stream.reset(false);
        self.filled = 0;
        self.is_invalid = false;
    }

    fn rest(&mut self) -> Option<Box<[u8]>> {
        let mut text = vec![0; self.filled].into_boxed_slice();
        if self.is_invalid || self.filled == 0 {
            return (!self.is_invalid).then_some(text);
        }
        // zlib-rs has no function for it, but a block that repeats the whole window
        // has it as its text.
        let before = self.stream.total_out();
        self.stream
            .decompress(&repetition(self.filled), &mut text, FlushDecompress::Sync)
            .ok()?;
        // It is not whole if the last message did not end at the end of a block.
        (self.stream.total_out() - before == self.filled as u64).then_some(text)
    }

    fn restore(&mut self, rest: Option<Box<[u8]>>) {
        match rest {
            Some(text) if text.is_empty() => {}
            Some(text) => {
                self.is_invalid = self.stream.set_dictionary(&text).is_err();
                self.filled = text.len();
            }
            None => self.is_invalid = true,
        }
    }
}

/// Returns the start of a block that repeats the last `len` bytes, 1 to 32,768, once or
/// more: with fixed codes, matches of the greatest length at this distance (RFC 1951,
/// 3.2.5 and 3.2.6).
fn repetition(len: usize) -> Vec<u8> {
    let distance = len as u64 - 1;
    let extra_bits = distance.max(2).ilog2() - 1;
    let (code, extra) = if distance < 4 {
        (distance, 0)
    } else {
        let half = (distance >> extra_bits) & 1;
        (
            u64::from(2 * (extra_bits + 1)) + half,
            distance & ((1 << extra_bits) - 1),
        )
    };
    let mut bits = Bits::default();
    bits.push(0b010, 3);
    for _ in 0..len.div_ceil(MAX_MATCH) {
        bits.push_code(0b1100_0101, 8);
        bits.push_code(code, 5);
        bits.push(extra, extra_bits);
    }
    bits.finish()
}

/// Bits that are packed into bytes, the least significant first (RFC 1951, 3.1.1).
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    pending: u64,
    len: u32,
}

impl Bits {
    fn push(&mut self, value: u64, len: u32) {
        self.pending |= value << self.len;
        self.len += len;
        while self.len >= 8 {
            self.bytes.push(self.pending as u8);
            self.pending >>= 8;
            self.len -= 8;
        }
    }

    /// Appends a Huffman code, of which the most significant bit comes first.
    fn push_code(&mut self, code: u64, len: u32) {
        self.push(code.reverse_bits() >> (u64::BITS - len), len);
    }

    fn finish(mut self) -> Vec<u8> {
        self.push(0, 7);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_the_window() {
        let mut state = 1u32;
        let text: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
            (state >> 16) as u8
        })
        .take(1 << 15)
        .collect();
        let mut context = Decompressor::new(&15);
        let lens = (0..1100).chain((1..15).flat_map(|bits| [(1 << bits) - 1, 1 << bits]));
        for len in lens.chain([20_000, (1 << 15) - 1, 1 << 15]) {
            context.reset();
            context.restore(Some(text[..len].into()));
            assert!(context.rest().unwrap()[..] == text[..len], "{len}");
        }
    }

    #[test]
    fn no_more_is_left_than_the_window_has_room_for() {
        let mut compressed = vec![0, 0x00, 0x10, 0xff, 0xef];
        compressed.extend([b'a'; 0xfff]);
        compressed.push(b'b');
        for bits in 9..=15 {
            let mut context = Decompressor::new(&bits);
            let mut out = Vec::with_capacity(0x2000);
            let read = context.decompress(&compressed, &mut out).unwrap();
            assert_eq!((read, out.len()), ((compressed.len(), false), 0x1000));
            let left = context.rest().unwrap();
            assert_eq!(left.len(), 0x1000.min(1 << bits));
            assert!(out.ends_with(&left));
        }
    }

    #[test]
    fn a_message_that_ends_within_a_block_cannot_be_continued() {
        // A stored block that lacks its last byte.
        let mut context = Decompressor::new(&15);
        let mut out = Vec::with_capacity(100);
        context
            .decompress(&[0, 3, 0, 0xfc, 0xff, b'a', b'b'], &mut out)
            .unwrap();
        assert_eq!(out, b"ab");
        assert_eq!(context.rest(), None);
        let mut other = Decompressor::new(&15);
        other.restore(None);
        assert_eq!(
            other.decompress(&[0], &mut out),
            Err(ProtocolError::InvalidDeflate)
        );
        other.reset();
        assert_eq!(other.decompress(&[0], &mut out), Ok((1, false)));
    }
}
