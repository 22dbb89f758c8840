//! Converts bytes to Buffers.

use napi::bindgen_prelude::{BufferSlice, Result};
use napi::Env;
use oxws_protocol::BufferPool;

/// The minimum length of an external Buffer, in bytes. Fewer bytes are copied: Node does not
/// transfer external memory to another thread, and programs transfer what they receive.
const MIN_EXTERNAL: usize = 1 << 20;

/// Returns a Buffer with these bytes.
pub(super) fn buffer(env: &Env, mut bytes: Vec<u8>) -> Result<BufferSlice<'_>> {
    if bytes.len() < MIN_EXTERNAL {
        return BufferSlice::copy_from(env, bytes);
    }
    bytes.shrink_to_fit();
    BufferSlice::from_data(env, bytes)
}

/// The maximum capacity of the memory of an external Buffer, as a multiple of its length.
const MAX_WASTE: usize = 2;

/// Returns a Buffer with these bytes. Their memory is given to `buffers` when the Buffer no
/// longer exists.
pub(super) fn pooled<'env>(
    env: &'env Env,
    mut bytes: Vec<u8>,
    buffers: &BufferPool,
) -> Result<BufferSlice<'env>> {
    let len = bytes.len();
    if len < MIN_EXTERNAL {
        let copy = BufferSlice::copy_from(env, &bytes);
        buffers.give(bytes);
        return copy;
    }
    if bytes.capacity() > MAX_WASTE * len {
        return buffer(env, bytes);
    }
    let start = bytes.as_mut_ptr();
    let buffers = buffers.clone();
    let give = move |_, bytes| buffers.give(bytes);
    // SAFETY: `len` bytes from `start` on are initialised. They are not moved, and not used
    // by anybody else, until Node passes their owner to `give`, once.
    unsafe { BufferSlice::from_external(env, start, len, bytes, give) }
}
