//! Converts long texts to JavaScript strings, and back.

use std::ffi::{c_char, c_void};
use std::ops::Deref;
use std::ptr;
use std::sync::Arc;

use napi::bindgen_prelude::{FromNapiValue, Result};
use napi::{check_status, sys, Env, Error, JsString, JsValue, Status};
use oxws_protocol::BufferPool;

/// The minimum length of an external string, in bytes. A shorter text is copied into V8's
/// heap: V8 frees external strings only in full collections. A longer one would have its own
/// pages there, which the system has to clear for each string. That takes several times as
/// long as the copy.
const MIN_EXTERNAL: usize = 128 * 1024;

/// The maximum length of a string in V8, in bytes.
const MAX_EXTERNAL: usize = (1 << 29) - 25;

/// A string of at most this many UTF-16 code units is encoded without measuring it first.
const MAX_UNMEASURED: usize = 8 << 20;

/// The maximum number of UTF-8 bytes for one UTF-16 code unit.
const MAX_BYTES_PER_UNIT: usize = 3;

/// The bytes of a received text. Their memory is given to the pool when nobody needs it.
pub(super) struct Text {
    bytes: Vec<u8>,
    buffers: BufferPool,
}

impl Deref for Text {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        self.buffers.give(std::mem::take(&mut self.bytes));
    }
}

/// Converts UTF-8 bytes to a string. `is_ascii` tells whether they are known to be ASCII. Their
/// memory is given to `buffers` when neither V8 nor the caller needs it.
pub(super) fn decode<'env>(
    env: &'env Env,
    bytes: Vec<u8>,
    is_ascii: bool,
    buffers: &BufferPool,
) -> Result<(JsString<'env>, Arc<Text>)> {
    let buffers = buffers.clone();
    let text = Arc::new(Text { bytes, buffers });
    let is_long = is_ascii && (MIN_EXTERNAL..=MAX_EXTERNAL).contains(&text.len());
    let string = match external::find().filter(|_| is_long) {
        Some(create) => external::string(env, create, text.clone()),
        None if is_ascii => env.create_string_latin1(&text[..]),
        None => {
            let utf8 = std::str::from_utf8(&text)
                .map_err(|_| Error::new(Status::GenericFailure, "the payload is not text"))?;
            env.create_string(utf8)
        }
    };
    Ok((string?, text))
}

/// Converts a string to UTF-8, in a buffer from `buffers`.
pub(super) fn encode(string: JsString<'_>, buffers: &BufferPool) -> Result<Vec<u8>> {
    let units = string.utf16_len()?;
    if units > MAX_UNMEASURED {
        return Ok(string.into_utf8()?.into_owned()?.into_bytes());
    }
    let raw = string.value();
    let mut len = 0;
    // If there is space for the longest possible result, V8 does not have to measure
    // the string. The part of the space that is not written to takes no memory.
    let mut bytes = Vec::new();
    buffers.grow(&mut bytes, MAX_BYTES_PER_UNIT * units + 1);
    // SAFETY: V8 writes at most `room` bytes, which are the capacity. The first
    // `len` are text.
    unsafe {
        let (start, room) = (bytes.as_mut_ptr().cast(), bytes.capacity());
        check_status!(sys::napi_get_value_string_utf8(
            raw.env, raw.value, start, room, &mut len
        ))?;
        bytes.set_len(len);
    }
    Ok(bytes)
}

/// Strings whose bytes stay outside V8's heap. They are made by
/// `node_api_create_external_string_latin1`, which Node.js has since 18.18 and 20.4.
/// napi-sys declares it only for versions that all have it, so it is looked up at run time.
mod external {
    use std::sync::OnceLock;

    use super::*;

    type Finalize = unsafe extern "C" fn(sys::napi_env, *mut c_void, *mut c_void);

    pub(super) type Create = unsafe extern "C" fn(
        sys::napi_env,
        *mut c_char,
        usize,
        Finalize,
        *mut c_void,
        *mut sys::napi_value,
        *mut bool,
    ) -> sys::napi_status;

    /// Returns the function, if this program has it. A string may live longer than the worker
    /// that made it, and only on Linux is the addon known to stay loaded when a worker ends.
    #[cfg(target_os = "linux")]
    pub(super) fn find() -> Option<Create> {
        use libloading::os::unix::Library;

        static FOUND: OnceLock<Option<Create>> = OnceLock::new();
        // SAFETY: the type is the one in Node's documentation.
        *FOUND.get_or_init(|| unsafe {
            let symbol = Library::this().get(b"node_api_create_external_string_latin1\0");
            symbol.ok().map(|symbol| *symbol)
        })
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn find() -> Option<Create> {
        None
    }

    /// Creates a string of these bytes, which are ASCII.
    pub(super) fn string<'env>(
        env: &'env Env,
        create: Create,
        text: Arc<Text>,
    ) -> Result<JsString<'env>> {
        let len = text.len();
        let start = text.as_ptr().cast_mut().cast();
        let owner = Arc::into_raw(text).cast_mut().cast();
        // Before the string is created, because `release` may run at once and
        // subtract it again.
        adjust(env.raw(), len as i64);
        let mut value = ptr::null_mut();
        let mut is_copied = false;
        // SAFETY: the bytes are neither moved nor changed while their owner exists, and V8
        // only reads them. It owns a part of them until `release` is called, which happens
        // once. That may be after the environment has ended, but the code of `release` stays
        // loaded until the program ends: napi-build links the addon with `nodelete`.
        unsafe {
            check_status!(create(
                env.raw(),
                start,
                len,
                release,
                owner,
                &mut value,
                &mut is_copied
            ))?;
            JsString::from_napi_value(env.raw(), value)
        }
    }

    /// Called by V8 during garbage collection, after the environment has ended, or at
    /// once by Node if it copied the bytes.
    ///
    /// # Safety
    ///
    /// `hint` is an owner that `string` gave away. It is passed only once.
    unsafe extern "C" fn release(env: sys::napi_env, _: *mut c_void, hint: *mut c_void) {
        // SAFETY: the caller passes each owner, which came from `Arc::into_raw`, only once.
        let text = unsafe { Arc::from_raw(hint.cast::<Text>()) };
        adjust(env, -(text.len() as i64));
    }

    /// Tells V8 how much memory its strings use outside its heap. Without that, V8 does
    /// not collect old strings early enough.
    fn adjust(env: sys::napi_env, change: i64) {
        let mut total = 0;
        if !env.is_null() {
            // SAFETY: this is the environment's thread. The call is allowed during
            // garbage collection.
            unsafe { sys::napi_adjust_external_memory(env, change, &mut total) };
        }
    }
}
