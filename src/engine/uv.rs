//! The few functions of libuv that the hosts need, taken from the running program: a
//! runtime that has none of them, or another loop, has no host.

use std::ffi::{c_int, c_void};
use std::sync::OnceLock;
use std::time::Duration;

use libloading::os::unix::Library;

/// A handle of libuv's, of whatever kind.
pub(crate) type Handle = *mut c_void;

/// A loop of libuv's.
pub(crate) type Loop = *mut c_void;

const UV_ASYNC: c_int = 1;
const UV_POLL: c_int = 8;
const UV_READABLE: c_int = 1;

type AsyncCallback = extern "C" fn(Handle);
type PollCallback = extern "C" fn(Handle, c_int, c_int);
type CloseCallback = extern "C" fn(Handle);

/// The functions.
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
    /// The functions of this program, if it has them.
    pub(crate) fn find() -> Option<&'static Self> {
        static FOUND: OnceLock<Option<Uv>> = OnceLock::new();
        FOUND.get_or_init(Self::look_up).as_ref()
    }

    fn look_up() -> Option<Self> {
        let program = Library::this();
        // SAFETY: the types are those of libuv's documentation, unchanged since 1.19.
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

/// Memory for a handle, which libuv uses until it is closed.
fn allocate(uv: &Uv, kind: c_int) -> Handle {
    // SAFETY: it only looks up a number.
    let size = unsafe { (uv.handle_size)(kind) };
    let memory = vec![0u128; size.div_ceil(16)].into_boxed_slice();
    Box::into_raw(memory).cast()
}

/// Frees the memory of a handle that is closed.
fn free(uv: &Uv, kind: c_int, handle: Handle) {
    // SAFETY: as in `allocate`.
    let size = unsafe { (uv.handle_size)(kind) };
    let memory = std::ptr::slice_from_raw_parts_mut(handle.cast::<u128>(), size.div_ceil(16));
    // SAFETY: it is `allocate`'s, and libuv does not use it any more.
    drop(unsafe { Box::from_raw(memory) });
}

/// What is called on the loop's thread.
type Callback = Box<dyn Fn()>;

/// What stands behind a handle's data pointer.
struct Data {
    kind: c_int,
    callback: Callback,
}

fn call(handle: Handle) {
    let Some(uv) = Uv::find() else { return };
    // SAFETY: the data is set when the handle is made, and freed when it is closed.
    let data = unsafe { (uv.handle_get_data)(handle) }.cast::<Data>();
    // A panic must not unwind into libuv. The callback guards itself as well.
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        // SAFETY: as above.
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
        // SAFETY: set from a box when the handle was made; nothing is called any more.
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
    /// A handle that `init` initialises, and that does not keep its loop alive until
    /// [`keep_alive`](Self::keep_alive).
    ///
    /// # Safety
    ///
    /// `init` initialises a handle of this kind, in a loop of this thread that outlives
    /// it, or gives an error number.
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

    /// Whether it keeps the loop alive.
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
        // SAFETY: it is closed once, here, on the loop's thread.
        unsafe { (self.uv.close)(self.raw, on_closed) };
    }
}

/// Calls back when a descriptor is readable.
pub(crate) struct Poll(OwnedHandle);

impl Poll {
    /// Watches `fd` in this loop, which it does not keep alive.
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

    /// Whether it keeps the loop alive.
    pub(crate) fn keep_alive(&self, alive: bool) {
        self.0.keep_alive(alive);
    }
}

/// Calls back, on the loop's thread, when any thread asks for it.
pub(crate) struct Async(OwnedHandle);

impl Async {
    /// A handle in this loop, which it does not keep alive.
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

    /// Asks for the callback.
    pub(crate) fn send(&self) {
        // SAFETY: the handle is not closed before `self` is dropped.
        unsafe { self.sender().send() };
    }

    /// Whether it keeps the loop alive.
    pub(crate) fn keep_alive(&self, alive: bool) {
        self.0.keep_alive(alive);
    }

    /// What other threads ask with; who holds it promises not to use it any more once
    /// this is dropped.
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
    /// That of this loop.
    ///
    /// # Safety
    ///
    /// `loop_` is the loop of this thread, and outlives it.
    pub(crate) unsafe fn of(uv: &'static Uv, loop_: Loop) -> Self {
        Self { uv, loop_ }
    }

    /// The descriptor that is readable when one that the loop watches is ready; `None`
    /// where there is none.
    pub(crate) fn fd(&self) -> Option<c_int> {
        // SAFETY: promised to `of`; it only looks up a number.
        let fd = unsafe { (self.uv.backend_fd)(self.loop_) };
        (fd >= 0).then_some(fd)
    }

    /// How long the loop may wait, from the time on that its present turn began: 0 if
    /// there is something to do at once, `None` without a timer.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        // SAFETY: promised to `of`; it only looks at the loop.
        let timeout = unsafe { (self.uv.backend_timeout)(self.loop_) };
        u64::try_from(timeout).ok().map(Duration::from_millis)
    }
}

/// Asks an [`Async`] for its callback, from any thread.
#[derive(Clone, Copy)]
pub(crate) struct AsyncSender {
    uv: &'static Uv,
    handle: Handle,
}

// SAFETY: libuv allows `uv_async_send`, and nothing else, from any thread.
unsafe impl Send for AsyncSender {}
// SAFETY: as above.
unsafe impl Sync for AsyncSender {}

impl AsyncSender {
    /// Asks for the callback.
    ///
    /// # Safety
    ///
    /// The [`Async`] is not dropped yet.
    pub(crate) unsafe fn send(&self) {
        // SAFETY: promised by the caller.
        unsafe { (self.uv.async_send)(self.handle) };
    }
}
