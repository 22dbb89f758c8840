//! A context that compresses.

use zlib_rs::{Deflate, DeflateConfig};

use super::context::Context;
use super::DeflateOptions;

/// A context that compresses. When it is freed, it forgets the earlier messages. The
/// peer does not notice: the next message just does not refer to them.
pub(super) type Compressor = Deflate;

/// The table of hashes, in bytes. Its size does not depend on the options.
const HASHES: usize = 128 * 1024;

/// The state itself, in bytes.
const STATE: usize = 4 * 1024;

impl Context for Compressor {
    type Options = DeflateOptions;
    type Rest = ();

    fn new(options: &DeflateOptions) -> Self {
        Self::new_with_config(DeflateConfig {
            level: i32::from(options.level),
            // Negative: a raw stream, without zlib's header and checksum.
            window_bits: -i32::from(window_bits(options)),
            mem_level: i32::from(options.mem_level),
            ..DeflateConfig::default()
        })
    }

    fn size(options: &DeflateOptions) -> usize {
        // Twice the window, and a list of 16-bit positions in it.
        let window = 4 << window_bits(options);
        // The symbols of a block, and the output that waits: 7 bytes for each symbol.
        let block = 7 << (options.mem_level + 6);
        STATE + HASHES + window + block
    }

    fn reset(&mut self) {
        self.reset();
    }

    fn rest(&mut self) {}

    fn restore(&mut self, (): ()) {}
}

/// The compressor does not support 8, a window of 256 bytes.
fn window_bits(options: &DeflateOptions) -> u8 {
    options.window_bits.max(9)
}
