//! Long texts: as strings of JavaScript, and back.

use std::ffi::{c_char, c_void};
use std::ptr;

use napi::bindgen_prelude::{FromNapiValue, Result};
use napi::{check_status, sys, Env, Error, JsString, JsValue, Status};
use oxws_protocol::BufferPool;

/// A shorter text, in bytes, is copied into V8's heap. A longer one would have pages of
/// its own there, which the system has to clear for each: that takes several times as
/// long as copying it does.
const EXTERNAL: usize = 128 * 1024;

/// The most that V8 takes as a string, in bytes.
const MAX_EXTERNAL: usize = (1 << 29) - 25;

/// A string of at most so many units is encoded without measuring it first.
const UNMEASURED: usize = 8 << 20;

/// A UTF-16 unit takes at most so many bytes of UTF-8.
const BYTES_PER_UNIT: usize = 3;

/// A string of these bytes, which are UTF-8; they go back to `buffers` when they are
/// not needed any more.
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
    if (EXTERNAL..=MAX_EXTERNAL).contains(&bytes.len()) {
        if let Some(create) = external::find() {
            return external::string(env, create, bytes, buffers);
        }
    }
    let string = env.create_string_latin1(&bytes);
    buffers.give(bytes);
    string
}

/// The UTF-8 of a string, in memory of `buffers`.
pub(super) fn encode(string: JsString<'_>, buffers: &BufferPool) -> Result<Vec<u8>> {
    let units = string.utf16_len()?;
    if units > UNMEASURED {
        return Ok(string.into_utf8()?.into_owned()?.into_bytes());
    }
    let raw = string.value();
    let mut len = 0;
    // Where there is room for whatever it may be, V8 does not measure it; and memory
    // that is not written to is none.
    let mut bytes = Vec::new();
    buffers.grow(&mut bytes, BYTES_PER_UNIT * units + 1);
    // SAFETY: at most the capacity is written, of which `len` bytes are the text.
    unsafe {
        let (start, room) = (bytes.as_mut_ptr().cast(), bytes.capacity());
        check_status!(sys::napi_get_value_string_utf8(
            raw.env, raw.value, start, room, &mut len
        ))?;
        bytes.set_len(len);
    }
    Ok(bytes)
}

/// Strings whose bytes stay where they are: `node_api_create_external_string_latin1`,
/// which Node.js has since 18.18 and 20.4, and napi-sys only where all have it.
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

    /// The function of this program, if it has it. Elsewhere than on Linux the addon is
    /// not known to stay loaded when a worker ends, which its strings may outlive.
    #[cfg(target_os = "linux")]
    pub(super) fn find() -> Option<Create> {
        use libloading::os::unix::Library;

        static FOUND: OnceLock<Option<Create>> = OnceLock::new();
        // SAFETY: the type is that of Node's documentation.
        *FOUND.get_or_init(|| unsafe {
            let symbol = Library::this().get(b"node_api_create_external_string_latin1\0");
            symbol.ok().map(|symbol| *symbol)
        })
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn find() -> Option<Create> {
        None
    }

    /// What a string's bytes belong to.
    struct Owner {
        bytes: Vec<u8>,
        buffers: BufferPool,
    }

    /// A string of these bytes, which are ASCII.
    pub(super) fn string<'env>(
        env: &'env Env,
        create: Create,
        bytes: Vec<u8>,
        buffers: &BufferPool,
    ) -> Result<JsString<'env>> {
        let len = bytes.len();
        let buffers = buffers.clone();
        let owner = Box::into_raw(Box::new(Owner { bytes, buffers }));
        // Before `release` can take it back.
        adjust(env.raw(), len as i64);
        let mut value = ptr::null_mut();
        let mut is_copied = false;
        // SAFETY: the bytes stay as they are until `release` is called, once; and the
        // addon, linked with `nodelete` by napi-build, is there for as long as the
        // program: that may be after the environment is gone.
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

    /// Called while V8 collects garbage, or once the environment is gone; by Node, too,
    /// if it has copied the bytes.
    ///
    /// # Safety
    ///
    /// `hint` is the owner that `string` gave away, and it is called once for each.
    unsafe extern "C" fn release(env: sys::napi_env, _: *mut c_void, hint: *mut c_void) {
        // SAFETY: promised by the caller.
        let Owner { bytes, buffers } = *unsafe { Box::from_raw(hint.cast::<Owner>()) };
        adjust(env, -(bytes.len() as i64));
        buffers.give(bytes);
    }

    /// Tells V8 of memory that its strings keep: those that have grown old are looked
    /// for only if it knows.
    fn adjust(env: sys::napi_env, change: i64) {
        let mut total = 0;
        if !env.is_null() {
            // SAFETY: on the environment's thread; it may be called during a collection.
            unsafe { sys::napi_adjust_external_memory(env, change, &mut total) };
        }
    }
}
