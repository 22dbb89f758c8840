//! Converts bytes to Buffers.

use napi::bindgen_prelude::{BufferSlice, Result};
use napi::Env;

/// The minimum length of an external Buffer, in bytes. Fewer bytes are copied, which
/// costs less than the finalizer of external memory.
const MIN_EXTERNAL: usize = 16 * 1024;

/// Returns a Buffer with these bytes.
pub(super) fn buffer(env: &Env, mut bytes: Vec<u8>) -> Result<BufferSlice<'_>> {
    if bytes.len() < MIN_EXTERNAL {
        return BufferSlice::copy_from(env, bytes);
    }
    bytes.shrink_to_fit();
    BufferSlice::from_data(env, bytes)
}
