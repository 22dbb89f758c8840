//! Bytes as Buffers of JavaScript.

use napi::bindgen_prelude::{BufferSlice, Result};
use napi::Env;

/// Bytes at least this many are handed over as they are; fewer are copied, which costs
/// less than the memory's own finalizer.
const HAND_OVER: usize = 16 * 1024;

/// A Buffer of these bytes.
pub(super) fn buffer(env: &Env, mut bytes: Vec<u8>) -> Result<BufferSlice<'_>> {
    if bytes.len() < HAND_OVER {
        return BufferSlice::copy_from(env, bytes);
    }
    bytes.shrink_to_fit();
    BufferSlice::from_data(env, bytes)
}
