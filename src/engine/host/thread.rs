//! The engine on threads of its own. Events and messages are copied from thread to
//! thread in batches. While JavaScript is busy, its next batch collects events, and the
//! doorbell rings only once.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::sync::{mpsc, Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use oxws_protocol::{BufferPool, PreparedMessage};
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::task::LocalSet;

use super::super::accepted::Accepted;
use super::super::core::{Command, Core};
use super::super::inbox::{Filled, Inbox, ROW as INBOX_ROW};
use super::super::outbox::{Content, Flags, Outbox, ROW};
use super::super::region::Region;
use super::super::registry::Registry;
use super::super::uv::{Async, AsyncSender, Loop, Uv};
use super::{Boundary, ClearOnDrop, Dispatch, Host, Unavailable};

/// The maximum number of batches of each thread with which JavaScript is called before
/// other handles of the loop have their turn.
const MAX_BATCHES: usize = 2;

/// The maximum time to wait for a busy thread at the end of the process.
const MAX_SETTLING: Duration = Duration::from_secs(1);

/// The thread host.
pub(crate) struct Threaded {
    workers: RefCell<Vec<Worker>>,
    boundary: RefCell<Boundary>,
    dispatch: Dispatch,
    doorbell: RefCell<Option<Async>>,
    /// The long payloads of the batch with which JavaScript is being called.
    large: RefCell<Vec<Vec<u8>>>,
    /// The accepted connections of that batch.
    accepted: RefCell<Vec<Option<Accepted>>>,
    dispatching: Cell<bool>,
    registry: Registry,
}

/// A thread, and the state that it shares with JavaScript's thread.
struct Worker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// The state that JavaScript's thread and a thread of the engine share.
struct Shared {
    orders: Mutex<Vec<Order>>,
    /// Notified when there are orders, or when JavaScript has taken the batch.
    bell: Notify,
    /// The next events for JavaScript.
    batch: Mutex<Option<Batch>>,
    doorbell: Mutex<Option<AsyncSender>>,
}

/// An instruction to a thread.
enum Order {
    Run(Command),
    Send {
        rows: Vec<u32>,
        bytes: Vec<u8>,
        prepared: Vec<Arc<PreparedMessage>>,
    },
    /// Signals when all orders before it have been carried out.
    Settle(mpsc::Sender<()>),
    Stop,
}

/// Events on their way to JavaScript.
struct Batch {
    rows: Vec<u32>,
    bytes: Vec<u8>,
    large: Vec<Vec<u8>>,
    accepted: Vec<Option<Accepted>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The values are only pushed to and taken: a panic leaves them consistent.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Threaded {
    /// Starts the host with this many threads.
    ///
    /// # Errors
    ///
    /// If it cannot start. Threads that were already started have then ended.
    ///
    /// # Safety
    ///
    /// `loop_` is the loop of this thread, and outlives the host.
    pub(crate) unsafe fn start(
        loop_: Loop,
        boundary: Boundary,
        dispatch: Dispatch,
        threads: usize,
        registry: Registry,
    ) -> Result<Rc<Self>, Unavailable> {
        let uv = Uv::find().ok_or(Unavailable::Unsupported)?;
        let inbox_size = (boundary.inbox_rows.len(), boundary.inbox_bytes.len());
        let host = Rc::new(Self {
            workers: RefCell::default(),
            boundary: RefCell::new(boundary),
            dispatch,
            doorbell: RefCell::new(None),
            large: RefCell::default(),
            accepted: RefCell::default(),
            dispatching: Cell::new(false),
            registry,
        });
        let weak: Weak<Self> = Rc::downgrade(&host);
        let receive = Box::new(move || {
            if let Some(host) = weak.upgrade() {
                host.receive();
            }
        });
        // SAFETY: promised by the caller.
        let doorbell =
            unsafe { Async::start(uv, loop_, receive) }.ok_or(Unavailable::Unsupported)?;
        let sender = doorbell.sender();
        host.doorbell.replace(Some(doorbell));
        for number in 0..threads.max(1) {
            let shared = Arc::new(Shared {
                orders: Mutex::default(),
                bell: Notify::new(),
                batch: Mutex::new(None),
                doorbell: Mutex::new(Some(sender)),
            });
            match start_worker(number, &shared, inbox_size, &host) {
                Ok(thread) => host.workers.borrow_mut().push(Worker {
                    shared,
                    thread: Some(thread),
                }),
                Err(error) => {
                    host.close();
                    return Err(error.into());
                }
            }
        }
        Ok(host)
    }

    /// Calls JavaScript with the batches that are ready.
    fn receive(&self) {
        if self.dispatching.replace(true) {
            return;
        }
        let dispatching = ClearOnDrop(&self.dispatching);
        let mut left = MAX_BATCHES;
        while left > 0 && self.receive_one_each() {
            left -= 1;
        }
        drop(dispatching);
        if left == 0 {
            if let Some(doorbell) = self.doorbell.borrow().as_ref() {
                doorbell.send();
            }
        }
    }

    /// Calls JavaScript with one batch of each thread. Returns whether there were any.
    fn receive_one_each(&self) -> bool {
        let shared: Vec<_> = (self.workers.borrow().iter())
            .map(|worker| worker.shared.clone())
            .collect();
        let mut any = false;
        for shared in shared {
            let Some(batch) = lock(&shared.batch).take() else {
                continue;
            };
            any = true;
            shared.bell.notify_one();
            let filled = Filled {
                rows: batch.rows.len() / INBOX_ROW,
                bytes: batch.bytes.len(),
            };
            {
                let boundary = &mut *self.boundary.borrow_mut();
                boundary.inbox_rows[..batch.rows.len()].copy_from_slice(&batch.rows);
                boundary.inbox_bytes[..batch.bytes.len()].copy_from_slice(&batch.bytes);
            }
            self.large.replace(batch.large);
            self.accepted.replace(batch.accepted);
            (self.dispatch)(filled);
            self.large.take();
            self.accepted.take();
        }
        any
    }

    /// Returns the state of the thread that a connection belongs to.
    fn worker_of(&self, id: u32) -> Option<Arc<Shared>> {
        let workers = self.workers.borrow();
        let count = workers.len().max(1);
        let worker = workers.get(id as usize % count)?;
        Some(worker.shared.clone())
    }

    fn order(shared: &Shared, order: Order) {
        lock(&shared.orders).push(order);
        shared.bell.notify_one();
    }
}

impl Host for Threaded {
    fn name(&self) -> &'static str {
        "thread"
    }

    fn run(&self, mut command: Command) {
        // With several threads, the one that has accepted a connection may be another.
        if self.workers.borrow().len() > 1 {
            command = command.deregistered();
        }
        if matches!(command, Command::Panic) {
            for worker in &*self.workers.borrow() {
                Self::order(&worker.shared, Order::Run(Command::Panic));
            }
        } else if let Some(shared) = self.worker_of(command.id()) {
            Self::order(&shared, Order::Run(command));
        }
    }

    fn send_long(&self, id: u32, flags: Flags, payload: Cow<'_, [u8]>) {
        self.registry
            .with_traffic(id, |traffic| traffic.post(payload.len()));
        let payload = match payload {
            Cow::Owned(bytes) => bytes,
            Cow::Borrowed(bytes) => {
                let mut own = Vec::new();
                self.boundary.borrow().buffers.grow(&mut own, bytes.len());
                own.extend_from_slice(bytes);
                own
            }
        };
        self.run(Command::SendLong { id, flags, payload });
    }

    fn flush(&self, rows: usize, prepared: Vec<Arc<PreparedMessage>>) {
        if rows == 0 {
            return;
        }
        let boundary = self.boundary.borrow();
        let outbox = Outbox {
            rows: &boundary.outbox_rows[..rows * ROW],
            bytes: &boundary.outbox_bytes,
            prepared: &prepared,
        };
        let mut used = 0;
        for entry in outbox.entries() {
            let len = entry.content.len();
            self.registry
                .with_traffic(entry.id, |traffic| traffic.post(len));
            if let Content::Payload(payload) = entry.content {
                used = used.max(entry.start + payload.len());
            }
        }
        let workers = self.workers.borrow();
        if let [worker] = workers.as_slice() {
            let order = Order::Send {
                rows: outbox.rows.to_vec(),
                bytes: outbox.bytes[..used].to_vec(),
                prepared,
            };
            Self::order(&worker.shared, order);
            return;
        }
        for (number, worker) in workers.iter().enumerate() {
            let mut rows = Vec::new();
            let mut bytes = Vec::new();
            for entry in outbox.entries() {
                if entry.id as usize % workers.len() != number {
                    continue;
                }
                let (start, end) = match entry.content {
                    Content::Payload(payload) => {
                        let start = bytes.len();
                        bytes.extend_from_slice(payload);
                        (start, bytes.len())
                    }
                    Content::Prepared(_) => (entry.start, entry.start),
                };
                rows.extend_from_slice(&[entry.id, entry.flags.0, start as u32, end as u32]);
            }
            if !rows.is_empty() {
                let prepared = prepared.clone();
                let order = Order::Send {
                    rows,
                    bytes,
                    prepared,
                };
                Self::order(&worker.shared, order);
            }
        }
    }

    fn unlisten(&self, id: u32) {
        let Some(shared) = self.worker_of(id) else {
            return;
        };
        let (sender, receiver) = mpsc::channel();
        Self::order(&shared, Order::Run(Command::Unlisten(id)));
        Self::order(&shared, Order::Settle(sender));
        let _ = receiver.recv_timeout(MAX_SETTLING);
    }

    fn settle(&self) {
        let (sender, receiver) = mpsc::channel();
        for worker in &*self.workers.borrow() {
            Self::order(&worker.shared, Order::Settle(sender.clone()));
        }
        drop(sender);
        let deadline = Instant::now() + MAX_SETTLING;
        for _ in &*self.workers.borrow() {
            let _ = receiver.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        }
    }

    fn take_large(&self, number: u32) -> Vec<u8> {
        self.large
            .borrow_mut()
            .get_mut(number as usize)
            .map(std::mem::take)
            .unwrap_or_default()
    }

    fn take_accepted(&self, number: u32) -> Option<Accepted> {
        self.accepted.borrow_mut().get_mut(number as usize)?.take()
    }

    fn keep_alive(&self, alive: bool) {
        if let Some(doorbell) = self.doorbell.borrow().as_ref() {
            doorbell.keep_alive(alive);
        }
    }

    fn close(&self) {
        let mut workers = self.workers.take();
        for worker in &workers {
            *lock(&worker.shared.doorbell) = None;
            Self::order(&worker.shared, Order::Stop);
        }
        for worker in &mut workers {
            if let Some(thread) = worker.thread.take() {
                let _ = thread.join();
            }
        }
        self.doorbell.replace(None);
    }
}

/// Starts a thread. The runtime is created here, so that an error can be returned.
fn start_worker(
    number: usize,
    shared: &Arc<Shared>,
    inbox_size: (usize, usize),
    host: &Threaded,
) -> std::io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let shared = shared.clone();
    let buffers = host.boundary.borrow().buffers.clone();
    std::thread::Builder::new()
        .name(format!("oxws {number}"))
        .spawn(move || serve(&shared, runtime, inbox_size, buffers))
}

/// The main function of a thread.
fn serve(shared: &Shared, runtime: Runtime, (rows, bytes): (usize, usize), buffers: BufferPool) {
    let tasks = LocalSet::new();
    let core = Core::new(
        Inbox::new(Region::owned(rows), Region::owned(bytes)),
        buffers,
        true,
    );
    let work = || tasks.block_on(&runtime, work(shared, &core));
    while std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err() {
        // All its connections end with an error. The thread continues with new ones.
        core.lose_all();
    }
    drop(tasks);
    core.clear();
    runtime.shutdown_background();
}

async fn work(shared: &Shared, core: &Rc<Core>) {
    loop {
        let orders = std::mem::take(&mut *lock(&shared.orders));
        for order in orders {
            match order {
                Order::Run(command) => core.run(command),
                Order::Send {
                    rows,
                    bytes,
                    prepared,
                } => core.send(Outbox {
                    rows: &rows,
                    bytes: &bytes,
                    prepared: &prepared,
                }),
                Order::Settle(settled) => {
                    core.flush();
                    // The receiver may have stopped waiting.
                    let _ = settled.send(());
                }
                Order::Stop => return,
            }
        }
        core.flush();
        // The orders come before what the tasks read, because JavaScript gave them before.
        // The tasks run before the batch, so that one batch has the events of all of them.
        tokio::task::yield_now().await;
        core.flush();
        core.exchange.report_pending();
        let can_report = publish(shared, core);

        let mut ring = std::pin::pin!(shared.bell.notified());
        poll_fn(|context| {
            if core.exchange.poll_work(context, can_report) {
                return Poll::Ready(());
            }
            std::future::Future::poll(ring.as_mut(), context)
        })
        .await;
    }
}

/// Hands the events over, if JavaScript has taken the previous batch. Returns whether
/// another batch could be handed over now.
fn publish(shared: &Shared, core: &Core) -> bool {
    let mut batch = lock(&shared.batch);
    if batch.is_some() {
        return false;
    }
    let inbox = &mut *core.exchange.inbox.borrow_mut();
    if inbox.is_empty() {
        return true;
    }
    *batch = Some(Batch {
        rows: inbox.rows().to_vec(),
        bytes: inbox.bytes().to_vec(),
        large: inbox.take_all_large(),
        accepted: inbox.take_all_accepted(),
    });
    inbox.clear();
    drop(batch);
    if let Some(doorbell) = *lock(&shared.doorbell) {
        // SAFETY: the handle still exists. `close` removes the sender under this lock
        // before it drops the handle.
        unsafe { doorbell.send() };
    }
    false
}
