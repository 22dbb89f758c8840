//! The functions of libuv that the hosts need. They are looked up in the running
//! program. A runtime that lacks one of them, or has another event loop, has no host.

use std::ffi::{c_int, c_void};
use std::sync::OnceLock;
use std::time::Duration;

use libloading::os::unix::Library;

/// A handle of libuv, of any type.
pub(crate) type Handle = *mut c_void;

/// A loop of libuv.
pub(crate) type Loop = *mut c_void;

const UV_ASYNC: c_int = 1;
const UV_POLL: c_int = 8;
const UV_READABLE: c_int = 1;

type AsyncCallback = extern "C" fn(Handle);
type PollCallback = extern "C" fn(Handle, c_int, c_int);
type CloseCallback = extern "C" fn(Handle);

/// Functions of libuv.
pub(crate) struct Uv {
    handle_size: unsafe extern "C" fn(c_int) -> usize,
    handle_get_data: unsafe extern "C" fn(Handle) -> *mut c_void,
    handle_set_data: unsafe extern "C" fn(Handle, *mut c_void),
    async_init: unsafe extern "C" fn(Loop, Handle, AsyncCallback) -> c_int,
    async_send: unsafe extern "C" fn(Handle) -> c_int,
    poll_init: unsafe extern "C" fn(Loop, Handle, c_int) -> c_int,
    poll_start: unsafe extern "C" fn(Handle, c_int, PollCallback) -> c_int,
    close: unsafe extern "C" fn(Handle, CloseCallback),
    reference: unsafe extern "C" fn(Handle),
    unreference: unsafe extern "C" fn(Handle),
    backend_fd: unsafe extern "C" fn(Loop) -> c_int,
    backend_timeout: unsafe extern "C" fn(Loop) -> c_int,
}

impl Uv {
    /// Returns the functions, if this program has all of them.
    pub(crate) fn find() -> Option<&'static Self> {
        static FOUND: OnceLock<Option<Uv>> = OnceLock::new();
        FOUND.get_or_init(Self::look_up).as_ref()
    }

    fn look_up() -> Option<Self> {
        let program = Library::this();
        // SAFETY: the types are those in libuv's documentation, unchanged since 1.19.
        unsafe {
            Some(Self {
                handle_size: *program.get(b"uv_handle_size\0").ok()?,
                handle_get_data: *program.get(b"uv_handle_get_data\0").ok()?,
                handle_set_data: *program.get(b"uv_handle_set_data\0").ok()?,
                async_init: *program.get(b"uv_async_init\0").ok()?,
                async_send: *program.get(b"uv_async_send\0").ok()?,
                poll_init: *program.get(b"uv_poll_init\0").ok()?,
                poll_start: *program.get(b"uv_poll_start\0").ok()?,
                close: *program.get(b"uv_close\0").ok()?,
                reference: *program.get(b"uv_ref\0").ok()?,
                unreference: *program.get(b"uv_unref\0").ok()?,
                backend_fd: *program.get(b"uv_backend_fd\0").ok()?,
                backend_timeout: *program.get(b"uv_backend_timeout\0").ok()?,
            })
        }
    }
}

/// Allocates the memory of a handle, which libuv uses until the handle is closed.
fn allocate(uv: &Uv, kind: c_int) -> Handle {
    // SAFETY: the function only returns a number.
    let size = unsafe { (uv.handle_size)(kind) };
    let memory = vec![0u128; size.div_ceil(16)].into_boxed_slice();
    Box::into_raw(memory).cast()
}

/// Frees the memory of a closed handle.
fn free(uv: &Uv, kind: c_int, handle: Handle) {
    // SAFETY: as in `allocate`.
    let size = unsafe { (uv.handle_size)(kind) };
    let memory = std::ptr::slice_from_raw_parts_mut(handle.cast::<u128>(), size.div_ceil(16));
    // SAFETY: the memory is from `allocate`, with the same size, and libuv no longer uses it.
    drop(unsafe { Box::from_raw(memory) });
}

/// A function that is called on the loop's thread.
type Callback = Box<dyn Fn()>;

/// What the data pointer of a handle points to.
struct Data {
    kind: c_int,
    callback: Callback,
}

fn call(handle: Handle) {
    let Some(uv) = Uv::find() else { return };
    // SAFETY: the handle exists. Its data was set when it was created.
    let data = unsafe { (uv.handle_get_data)(handle) }.cast::<Data>();
    // A panic must not unwind into libuv. The callback also catches panics itself.
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        // SAFETY: the data is freed only when the handle is closed, after the last call.
        (unsafe { &(*data).callback })();
    }));
}

extern "C" fn on_poll(handle: Handle, _status: c_int, _events: c_int) {
    call(handle);
}

extern "C" fn on_async(handle: Handle) {
    call(handle);
}

extern "C" fn on_closed(handle: Handle) {
    if let Some(uv) = Uv::find() {
        // SAFETY: the data came from `Box::into_raw` when the handle was created. It is
        // not used after this, because libuv does not call back for a closed handle.
        let data = unsafe { Box::from_raw((uv.handle_get_data)(handle).cast::<Data>()) };
        free(uv, data.kind, handle);
    }
}

/// A handle that is closed when it is dropped, on the loop's thread.
struct OwnedHandle {
    uv: &'static Uv,
    raw: Handle,
}

impl OwnedHandle {
    /// Creates a handle that `init` initialises. It does not keep its loop alive before
    /// [`keep_alive`](Self::keep_alive) is called.
    ///
    /// # Safety
    ///
    /// `init` initialises a handle of this type, in a loop of this thread that outlives
    /// the handle, or returns an error number.
    unsafe fn new(
        uv: &'static Uv,
        kind: c_int,
        callback: Callback,
        init: impl FnOnce(Handle) -> c_int,
    ) -> Option<Self> {
        let raw = allocate(uv, kind);
        if init(raw) != 0 {
            free(uv, kind, raw);
            return None;
        }
        let data = Box::into_raw(Box::new(Data { kind, callback }));
        // SAFETY: the handle is initialised.
        unsafe {
            (uv.handle_set_data)(raw, data.cast());
            (uv.unreference)(raw);
        }
        Some(Self { uv, raw })
    }

    /// Sets whether the handle keeps the loop alive.
    fn keep_alive(&self, alive: bool) {
        // SAFETY: the handle is not closed before `self` is dropped.
        unsafe {
            if alive {
                (self.uv.reference)(self.raw);
            } else {
                (self.uv.unreference)(self.raw);
            }
        }
    }
}

impl Drop for OwnedHandle {
    fn drop(&mut self) {
        // SAFETY: the handle is closed only here, once, on the loop's thread.
        unsafe { (self.uv.close)(self.raw, on_closed) };
    }
}

/// Calls back when a descriptor is readable.
pub(crate) struct Poll(OwnedHandle);

impl Poll {
    /// Watches `fd` in this loop. Does not keep the loop alive.
    ///
    /// # Safety
    ///
    /// `loop_` is the loop of this thread, and outlives the handle.
    pub(crate) unsafe fn start(
        uv: &'static Uv,
        loop_: Loop,
        fd: c_int,
        callback: Callback,
    ) -> Option<Self> {
        // SAFETY: promised by the caller.
        let handle = unsafe {
            OwnedHandle::new(uv, UV_POLL, callback, |raw| (uv.poll_init)(loop_, raw, fd))?
        };
        // SAFETY: the handle is initialised.
        let status = unsafe { (uv.poll_start)(handle.raw, UV_READABLE, on_poll) };
        (status == 0).then_some(Self(handle))
    }

    /// Sets whether the handle keeps the loop alive.
    pub(crate) fn keep_alive(&self, alive: bool) {
        self.0.keep_alive(alive);
    }
}

/// Calls back on the loop's thread when any thread requests it.
pub(crate) struct Async(OwnedHandle);

impl Async {
    /// Creates a handle in this loop. Does not keep the loop alive.
    ///
    /// # Safety
    ///
    /// `loop_` is the loop of this thread, and outlives the handle.
    pub(crate) unsafe fn start(uv: &'static Uv, loop_: Loop, callback: Callback) -> Option<Self> {
        // SAFETY: promised by the caller.
        let handle = unsafe {
            OwnedHandle::new(uv, UV_ASYNC, callback, |raw| {
                (uv.async_init)(loop_, raw, on_async)
            })?
        };
        Some(Self(handle))
    }

    /// Requests the callback.
    pub(crate) fn send(&self) {
        // SAFETY: the handle is not closed before `self` is dropped.
        unsafe { self.sender().send() };
    }

    /// Sets whether the handle keeps the loop alive.
    pub(crate) fn keep_alive(&self, alive: bool) {
        self.0.keep_alive(alive);
    }

    /// Returns a sender with which other threads request the callback. It must not be
    /// used after this handle is dropped.
    pub(crate) fn sender(&self) -> AsyncSender {
        AsyncSender {
            uv: self.0.uv,
            handle: self.0.raw,
        }
    }
}

/// What a loop waits for.
pub(crate) struct Backend {
    uv: &'static Uv,
    loop_: Loop,
}

impl Backend {
    /// Returns the backend of this loop.
    ///
    /// # Safety
    ///
    /// `loop_` is the loop of this thread, and outlives the returned value.
    pub(crate) unsafe fn of(uv: &'static Uv, loop_: Loop) -> Self {
        Self { uv, loop_ }
    }

    /// Returns the descriptor that is readable when one that the loop watches is ready.
    /// `None` if there is no such descriptor.
    pub(crate) fn fd(&self) -> Option<c_int> {
        // SAFETY: the caller of `of` promises that the loop exists. The function
        // only reads it.
        let fd = unsafe { (self.uv.backend_fd)(self.loop_) };
        (fd >= 0).then_some(fd)
    }

    /// Returns how long the loop may wait, counted from the start of its current
    /// iteration. 0 if there is something to do at once, and `None` if there is no timer.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        // SAFETY: the caller of `of` promises that the loop exists. The function
        // only reads it.
        let timeout = unsafe { (self.uv.backend_timeout)(self.loop_) };
        u64::try_from(timeout).ok().map(Duration::from_millis)
    }
}

/// Requests the callback of an [`Async`] from any thread.
#[derive(Clone, Copy)]
pub(crate) struct AsyncSender {
    uv: &'static Uv,
    handle: Handle,
}

// SAFETY: the handle is only passed to `uv_async_send`, which any thread may call.
unsafe impl Send for AsyncSender {}
// SAFETY: as above.
unsafe impl Sync for AsyncSender {}

impl AsyncSender {
    /// Requests the callback.
    ///
    /// # Safety
    ///
    /// The [`Async`] has not been dropped.
    pub(crate) unsafe fn send(&self) {
        // SAFETY: promised by the caller.
        unsafe { (self.uv.async_send)(self.handle) };
    }
}
