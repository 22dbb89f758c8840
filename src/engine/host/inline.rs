//! The engine in libuv's loop. libuv watches the epoll descriptor of a tokio runtime.
//!
//! When the descriptor is readable, [`Inline::pump`] turns tokio's driver without
//! blocking, runs the tasks that this wakes, and calls JavaScript with their events.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use oxws_protocol::PreparedMessage;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tokio::task::LocalSet;

use super::super::accepted::Accepted;
use super::super::core::{Command, Core};
use super::super::inbox::Inbox;
use super::super::outbox::{Flags, Outbox, ROW};
use super::super::region::Region;
use super::super::uv::{Async, AsyncSender, Backend, Loop, Poll, Uv};
use super::{Boundary, ClearOnDrop, Dispatch, Host, NotStarted, Unavailable};

/// The maximum duration of a pump, even if no other handle of the loop seems to be ready.
const MAX_TIME: Duration = Duration::from_millis(4);

/// A pump ends once it has found both the loop's and the engine's descriptor readable
/// this many times. The loop watches the engine's descriptor, so it is then unknown
/// whether another handle is ready.
const MAX_AMBIGUOUS: u32 = 2;

/// The inline host.
pub(crate) struct Inline {
    core: Rc<Core>,
    runtime: RefCell<Option<Runtime>>,
    tasks: RefCell<Option<LocalSet>>,
    loop_waker: Arc<LoopWaker>,
    outbox_rows: RefCell<Region<u32>>,
    outbox_bytes: RefCell<Region<u8>>,
    dispatch: Dispatch,
    poll: RefCell<Option<Poll>>,
    doorbell: RefCell<Option<Async>>,
    pumping: Cell<bool>,
    backend: Backend,
    /// The epoll descriptor of tokio's driver.
    epoll: RawFd,
}

/// Records that tasks were woken. If another thread woke them, it also wakes the loop.
struct LoopWaker {
    woken: AtomicBool,
    loop_thread: ThreadId,
    doorbell: Mutex<Option<AsyncSender>>,
}

impl Wake for LoopWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let was_woken = self.woken.swap(true, Ordering::AcqRel);
        if !was_woken && std::thread::current().id() != self.loop_thread {
            let doorbell = self.doorbell.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(doorbell) = *doorbell {
                // SAFETY: the handle still exists. `close` removes the sender under
                // this lock before it drops the handle.
                unsafe { doorbell.send() };
            }
        }
    }
}

impl Inline {
    /// Starts the host.
    ///
    /// # Errors
    ///
    /// If libuv or epoll is missing, the check at the start fails, or no
    /// descriptors are left.
    ///
    /// # Safety
    ///
    /// `loop_` is the loop of this thread, and outlives the host.
    pub(crate) unsafe fn start(
        loop_: Loop,
        boundary: Boundary,
        dispatch: Dispatch,
    ) -> Result<Rc<Self>, Box<NotStarted>> {
        let (uv, runtime, epoll) = match prepare() {
            Ok(prepared) => prepared,
            Err(reason) => {
                return Err(Box::new(NotStarted {
                    reason,
                    boundary,
                    dispatch,
                }))
            }
        };
        let host = Rc::new(Self {
            core: Core::new(
                Inbox::new(boundary.inbox_rows, boundary.inbox_bytes),
                boundary.buffers,
                false,
            ),
            runtime: RefCell::new(Some(runtime)),
            tasks: RefCell::new(Some(LocalSet::new())),
            loop_waker: Arc::new(LoopWaker {
                // The tasks have no waker until they run for the first time.
                woken: AtomicBool::new(true),
                loop_thread: std::thread::current().id(),
                doorbell: Mutex::new(None),
            }),
            outbox_rows: RefCell::new(boundary.outbox_rows),
            outbox_bytes: RefCell::new(boundary.outbox_bytes),
            dispatch,
            poll: RefCell::new(None),
            doorbell: RefCell::new(None),
            pumping: Cell::new(false),
            // SAFETY: promised by the caller.
            backend: unsafe { Backend::of(uv, loop_) },
            epoll,
        });
        let pump = |host: Weak<Self>| {
            Box::new(move || {
                if let Some(host) = host.upgrade() {
                    host.pump();
                }
            })
        };
        // SAFETY: promised by the caller.
        let poll = unsafe { Poll::start(uv, loop_, epoll, pump(Rc::downgrade(&host))) };
        // SAFETY: promised by the caller.
        let doorbell = unsafe { Async::start(uv, loop_, pump(Rc::downgrade(&host))) };
        match (poll, doorbell) {
            (Some(poll), Some(doorbell)) => {
                let mut sender = host
                    .loop_waker
                    .doorbell
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                *sender = Some(doorbell.sender());
                drop(sender);
                host.poll.replace(Some(poll));
                host.doorbell.replace(Some(doorbell));
                Ok(host)
            }
            _ => {
                let (boundary, dispatch) = host.dismantle();
                Err(Box::new(NotStarted {
                    reason: Unavailable::Unsupported,
                    boundary,
                    dispatch,
                }))
            }
        }
    }

    /// Returns the arguments of `start`.
    fn dismantle(self: Rc<Self>) -> (Boundary, Dispatch) {
        let Ok(host) = Rc::try_unwrap(self) else {
            unreachable!("only weak references are given away");
        };
        let core = Rc::try_unwrap(host.core).ok().expect("no task has it yet");
        let exchange = Rc::try_unwrap(core.exchange)
            .ok()
            .expect("no task has it yet");
        let (inbox_rows, inbox_bytes) = exchange.inbox.into_inner().into_memory();
        let boundary = Boundary {
            inbox_rows,
            inbox_bytes,
            outbox_rows: host.outbox_rows.into_inner(),
            outbox_bytes: host.outbox_bytes.into_inner(),
            buffers: exchange.buffers,
        };
        (boundary, host.dispatch)
    }

    /// Runs the engine until nothing is left to do, or other handles of the loop have to run.
    fn pump(&self) {
        if self.pumping.replace(true) {
            return;
        }
        let pumping = ClearOnDrop(&self.pumping);
        let start = Instant::now();
        let mut ambiguous = 0;
        loop {
            let ran = self.turn();
            let dispatched = self.dispatch_events();
            let is_quiet = !ran && !dispatched;
            if is_quiet || self.must_yield(start.elapsed(), &mut ambiguous) {
                break;
            }
        }
        drop(pumping);
        self.request_pump_if_needed();
    }

    /// Returns whether other handles of the loop have to run. `elapsed` is the time
    /// since the pump began.
    fn must_yield(&self, elapsed: Duration, ambiguous: &mut u32) -> bool {
        if elapsed > MAX_TIME {
            return true;
        }
        if self.backend.timeout().is_some_and(|left| left <= elapsed) {
            return true;
        }
        let Some(backend) = self.backend.fd() else {
            return false;
        };
        match are_readable([backend, self.epoll]) {
            [true, false] => true,
            [true, true] => {
                *ambiguous += 1;
                *ambiguous >= MAX_AMBIGUOUS
            }
            [false, _] => false,
        }
    }

    /// Turns the driver once without blocking, and runs the tasks that were woken.
    /// Returns whether there were any.
    fn turn(&self) -> bool {
        let runtime = self.runtime.borrow();
        let Some(runtime) = runtime.as_ref() else {
            return false;
        };
        runtime.block_on(tokio::task::yield_now());
        let waker = Waker::from(self.loop_waker.clone());
        let mut context = Context::from_waker(&waker);
        // Report sent messages before the peer receives them, if it is in this process.
        self.core.exchange.report_pending();
        let mut ran = false;
        while self.loop_waker.woken.swap(false, Ordering::AcqRel) {
            ran = true;
            let _runtime = runtime.enter();
            if let Some(tasks) = self.tasks.borrow_mut().as_mut() {
                let _ = Pin::new(tasks).poll(&mut context);
            }
            if !self.core.exchange.inbox.borrow().is_empty() {
                break;
            }
        }
        self.core.flush();
        ran
    }

    /// Calls JavaScript with the events in the inbox. Returns whether there were any.
    fn dispatch_events(&self) -> bool {
        self.core.exchange.report_pending();
        let filled = self.core.exchange.inbox.borrow().filled();
        if filled.rows == 0 {
            return false;
        }
        (self.dispatch)(filled);
        self.core.exchange.inbox.borrow_mut().clear();
        true
    }

    /// Requests another pump if something is left to do.
    fn request_pump_if_needed(&self) {
        if self.loop_waker.woken.load(Ordering::Acquire) || self.core.exchange.has_reports() {
            if let Some(doorbell) = self.doorbell.borrow().as_ref() {
                doorbell.send();
            }
        }
    }

    /// Runs `body` in a context in which tasks can be spawned and sockets registered.
    fn within(&self, body: impl FnOnce()) {
        let runtime = self.runtime.borrow();
        let tasks = self.tasks.borrow();
        let (Some(runtime), Some(tasks)) = (runtime.as_ref(), tasks.as_ref()) else {
            return;
        };
        let _runtime = runtime.enter();
        let _tasks = tasks.enter();
        body();
    }
}

impl Host for Inline {
    fn name(&self) -> &'static str {
        "inline"
    }

    fn run(&self, command: Command) {
        self.within(|| self.core.run(command));
        if !self.pumping.get() {
            self.core.flush();
            self.request_pump_if_needed();
        }
    }

    fn send_long(&self, id: u32, flags: Flags, payload: Cow<'_, [u8]>) {
        self.within(|| self.core.send_long(id, flags, payload));
        if !self.pumping.get() {
            self.request_pump_if_needed();
        }
    }

    fn flush(&self, rows: usize, prepared: Vec<Arc<PreparedMessage>>) {
        if rows > 0 {
            self.within(|| {
                let table = self.outbox_rows.borrow();
                let bytes = self.outbox_bytes.borrow();
                self.core.send(Outbox {
                    rows: &table[..rows * ROW],
                    bytes: &bytes,
                    prepared: &prepared,
                });
            });
        }
        if !self.pumping.get() {
            self.request_pump_if_needed();
        }
    }

    fn settle(&self) {
        // Every call writes at once what the system takes.
    }

    fn take_large(&self, number: u32) -> Vec<u8> {
        self.core.exchange.inbox.borrow_mut().take_large(number)
    }

    fn take_accepted(&self, number: u32) -> Option<Accepted> {
        self.core.exchange.inbox.borrow_mut().take_accepted(number)
    }

    fn unlisten(&self, id: u32) {
        self.run(Command::Unlisten(id));
    }

    fn keep_alive(&self, alive: bool) {
        if let Some(poll) = self.poll.borrow().as_ref() {
            poll.keep_alive(alive);
        }
    }

    fn close(&self) {
        let mut sender = self
            .loop_waker
            .doorbell
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *sender = None;
        drop(sender);
        self.poll.replace(None);
        self.doorbell.replace(None);
        // Drop the tasks before their runtime.
        self.tasks.replace(None);
        self.core.clear();
        if let Some(runtime) = self.runtime.replace(None) {
            runtime.shutdown_background();
        }
    }
}

/// Creates a runtime, and checks that the epoll descriptor of its driver works.
fn prepare() -> Result<(&'static Uv, Runtime, RawFd), Unavailable> {
    let uv = Uv::find().ok_or(Unavailable::Unsupported)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let epoll = {
        let _guard = runtime.enter();
        let (probe, other) = UnixStream::pair()?;
        let epoll = epoll_that_watches(probe.as_raw_fd())?;
        // The descriptor has to become readable when a socket does.
        runtime.block_on(tokio::task::yield_now());
        other.try_write(b"x")?;
        if are_readable([epoll]) != [true] {
            return Err(Unavailable::Unsupported);
        }
        epoll
    };
    runtime.block_on(tokio::task::yield_now());
    Ok((uv, runtime, epoll))
}

/// Returns the epoll descriptor of this process that watches `fd`. tokio does not
/// provide it, but Linux lists it in `/proc`.
fn epoll_that_watches(fd: RawFd) -> Result<RawFd, Unavailable> {
    let is_watched = |line: &str| {
        line.strip_prefix("tfd:")
            .and_then(|rest| rest.split_whitespace().next())
            .is_some_and(|number| number.parse() == Ok(fd))
    };
    let entries = match std::fs::read_dir("/proc/self/fd") {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Unavailable::Unsupported)
        }
        entries => entries?,
    };
    let numbers = entries
        .flatten()
        .filter(|entry| {
            std::fs::read_link(entry.path())
                .is_ok_and(|target| target.as_os_str() == "anon_inode:[eventpoll]")
        })
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    for number in numbers {
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{number}"))?;
        if info.lines().any(is_watched) {
            return Ok(number);
        }
    }
    Err(Unavailable::Unsupported)
}

/// Returns which of these descriptors are readable now.
fn are_readable<const N: usize>(fds: [RawFd; N]) -> [bool; N] {
    let mut watched = fds.map(|fd| libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    });
    // SAFETY: `watched` is a valid array of `N` entries. The call returns at once.
    unsafe { libc::poll(watched.as_mut_ptr(), N as libc::nfds_t, 0) };
    watched.map(|each| each.revents & libc::POLLIN != 0)
}
