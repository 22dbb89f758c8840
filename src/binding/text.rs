//! Converts long texts to JavaScript strings, and back.

use std::ffi::{c_char, c_void};
use std::ptr;

use napi::bindgen_prelude::{FromNapiValue, Result};
use napi::{check_status, sys, Env, Error, JsString, JsValue, Status};
use oxws_protocol::BufferPool;

/// The minimum length of an external string, in bytes. A shorter text is copied into
/// V8's heap. A longer one would have its own pages there, which the system has to
/// clear for each string. That takes several times as long as the copy.
const MIN_EXTERNAL: usize = 128 * 1024;

/// The maximum length of a string in V8, in bytes.
const MAX_EXTERNAL: usize = (1 << 29) - 25;

/// A string of at most this many UTF-16 code units is encoded without measuring it first.
const MAX_UNMEASURED: usize = 8 << 20;

/// The maximum number of UTF-8 bytes for one UTF-16 code unit.
const MAX_BYTES_PER_UNIT: usize = 3;

/// Converts UTF-8 bytes to a string. The buffer is given to `buffers` when it is no
/// longer needed.
pub(super) fn decode<'env>(
    env: &'env Env,
    bytes: Vec<u8>,
    buffers: &BufferPool,
) -> Result<JsString<'env>> {
    if !bytes.is_ascii() {
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| Error::new(Status::GenericFailure, "the payload is not text"))?;
        let string = env.create_string(text);
        buffers.give(bytes);
        return string;
    }
    if (MIN_EXTERNAL..=MAX_EXTERNAL).contains(&bytes.len()) {
        if let Some(create) = external::find() {
            return external::string(env, create, bytes, buffers);
        }
    }
    let string = env.create_string_latin1(&bytes);
    buffers.give(bytes);
    string
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

    /// The owner of a string's bytes.
    struct Owner {
        bytes: Vec<u8>,
        buffers: BufferPool,
    }

    /// Creates a string of these bytes, which are ASCII.
    pub(super) fn string<'env>(
        env: &'env Env,
        create: Create,
        bytes: Vec<u8>,
        buffers: &BufferPool,
    ) -> Result<JsString<'env>> {
        let len = bytes.len();
        let buffers = buffers.clone();
        let owner = Box::into_raw(Box::new(Owner { bytes, buffers }));
        // Before the string is created, because `release` may run at once and
        // subtract it again.
        adjust(env.raw(), len as i64);
        let mut value = ptr::null_mut();
        let mut is_copied = false;
        // SAFETY: the bytes are neither moved nor changed until `release` is called,
        // which happens once. That may be after the environment has ended, but the code
        // of `release` stays loaded until the program ends: napi-build links the addon
        // with `nodelete`.
        unsafe {
            let start = (*owner).bytes.as_mut_ptr().cast();
            let hint = owner.cast();
            check_status!(create(
                env.raw(),
                start,
                len,
                release,
                hint,
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
        // SAFETY: the caller passes each owner, which came from `Box::into_raw`, only once.
        let Owner { bytes, buffers } = *unsafe { Box::from_raw(hint.cast::<Owner>()) };
        adjust(env, -(bytes.len() as i64));
        buffers.give(bytes);
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
