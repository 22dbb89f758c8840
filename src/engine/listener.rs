//! A listening socket. It accepts connections, and reads the head of their request.
//!
//! Upgrade requests in their usual form go to JavaScript as [`kind::UPGRADE`]. Every other
//! connection is handed over to Node's HTTP server with what has been read, as
//! [`kind::OTHER`]: other requests, invalid ones, and requests that do not arrive in time.

use std::cell::{Cell, RefCell};
use std::future::{poll_fn, Future};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::rc::Rc;
use std::task::{ready, Context, Poll};

use oxws_protocol::handshake::server::{recognise, Beginning};
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

use super::accepted::Accepted;
use super::exchange::Exchange;
use super::inbox::{Row, Share};
use super::socket::{accept, Descriptor, ListenerSocket, Socket};
use super::traffic::Traffic;
use crate::border::kind;

/// The maximum number of connections accepted before other tasks have their turn.
const MAX_ACCEPTS: usize = 64;

/// The maximum number of connections whose request has not arrived. If there are more, all
/// are handed over to Node.
const MAX_WAITING: usize = 4096;

/// The number of sweeps after which a connection is handed over to Node. The first one may
/// follow at once.
const MAX_SWEEPS: u32 = 2;

/// The maximum number of bytes read at a time.
const READ: usize = 16 * 1024;

/// A listening socket.
pub(crate) struct Listener {
    pub(crate) id: u32,
    /// The maximum length of a head, in bytes. A longer one is handed over to Node.
    max_head: usize,
    /// `None` once the listener is closed.
    socket: RefCell<Option<AsyncFd<OwnedFd>>>,
    /// Whether connections are handed over to Node before they are read.
    hands_over: Cell<bool>,
    /// Whether accepting waits for the next sweep.
    is_exhausted: Cell<bool>,
    /// The number of connections whose request has not arrived.
    waiting: Cell<usize>,
    /// The number of sweeps so far.
    sweeps: Cell<u32>,
    /// Whether JavaScript was asked for a sweep.
    expects_sweep: Cell<bool>,
    /// Notified at each sweep, and when the listener is closed.
    bell: Notify,
    /// Where requests are read, so that a connection that waits has no such memory.
    scratch: RefCell<Box<[u8]>>,
}

impl Listener {
    /// Starts to accept connections.
    ///
    /// # Errors
    ///
    /// If the runtime cannot watch the socket.
    pub(crate) fn start(
        id: u32,
        socket: ListenerSocket,
        max_head: usize,
        exchange: &Rc<Exchange>,
    ) -> io::Result<Rc<Self>> {
        let listener = Rc::new(Self {
            id,
            max_head,
            socket: RefCell::new(Some(socket.register()?)),
            hands_over: Cell::new(false),
            is_exhausted: Cell::new(false),
            waiting: Cell::new(0),
            sweeps: Cell::new(0),
            expects_sweep: Cell::new(false),
            bell: Notify::new(),
            scratch: RefCell::new(vec![0; READ].into()),
        });
        tokio::task::spawn_local(serve(listener.clone(), exchange.clone()));
        Ok(listener)
    }

    /// Closes the descriptor, and the connections whose request has not arrived.
    pub(crate) fn close(&self) {
        self.socket.replace(None);
        self.bell.notify_waiters();
    }

    fn is_closed(&self) -> bool {
        self.socket.borrow().is_none()
    }

    pub(crate) fn set_hands_over(&self, hands_over: bool) {
        self.hands_over.set(hands_over);
    }

    /// Hands over the connections whose request has not arrived since the sweep before, and
    /// accepts connections again if no descriptors were left.
    pub(crate) fn sweep(&self) {
        self.expects_sweep.set(false);
        self.is_exhausted.set(false);
        self.sweeps.set(self.sweeps.get().wrapping_add(1));
        self.bell.notify_waiters();
    }

    /// Accepts connections again if no descriptors were left.
    pub(crate) fn retry(&self) {
        if self.is_exhausted.replace(false) {
            self.bell.notify_waiters();
        }
    }

    /// Hands over all connections whose request has not arrived.
    fn sweep_all(&self) {
        self.sweeps.set(self.sweeps.get().wrapping_add(MAX_SWEEPS));
        self.bell.notify_waiters();
    }

    /// Asks JavaScript for a sweep.
    fn request_sweep(&self, exchange: &Exchange) {
        if !self.expects_sweep.replace(true) {
            exchange.report(Row::bare(self.id, kind::SWEEP, 0));
        }
    }

    /// Accepts a connection. Returns `None` once the listener is closed.
    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<Option<io::Result<Descriptor>>> {
        let socket = self.socket.borrow();
        let Some(socket) = socket.as_ref() else {
            return Poll::Ready(None);
        };
        if self.is_exhausted.get() {
            return Poll::Pending;
        }
        loop {
            let mut readiness = match ready!(socket.poll_read_ready(context)) {
                Ok(readiness) => readiness,
                Err(error) => return Poll::Ready(Some(Err(error))),
            };
            match accept(socket) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => readiness.clear_ready(),
                accepted => return Poll::Ready(Some(accepted)),
            }
        }
    }

    /// Reads from an accepted connection, and appends what was read to `read`.
    fn poll_read(
        &self,
        socket: &Socket,
        context: &mut Context<'_>,
        read: &mut Vec<u8>,
    ) -> Poll<io::Result<usize>> {
        let scratch = &mut *self.scratch.borrow_mut();
        let count = ready!(socket.poll_read(context, scratch))?;
        read.extend_from_slice(&scratch[..count]);
        Poll::Ready(Ok(count))
    }
}

/// Counts a connection whose request has not arrived.
struct Waiting(Rc<Listener>);

impl Waiting {
    fn new(listener: Rc<Listener>) -> Self {
        listener.waiting.set(listener.waiting.get() + 1);
        Self(listener)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get() - 1);
    }
}

/// The task of a listener.
async fn serve(listener: Rc<Listener>, exchange: Rc<Exchange>) {
    loop {
        for _ in 0..MAX_ACCEPTS {
            let mut bell = pin!(listener.bell.notified());
            let accepted = poll_fn(|context| {
                // A sweep may end the wait, so poll the socket again after it.
                while bell.as_mut().poll(context).is_ready() {
                    bell.set(listener.bell.notified());
                }
                listener.poll_accept(context)
            })
            .await;
            match accepted {
                None => return,
                Some(Ok(accepted)) => {
                    // If the runtime cannot watch the connection, it is closed.
                    if let Ok(socket) = accepted.register(Traffic::default()) {
                        let waiting = Waiting::new(listener.clone());
                        tokio::task::spawn_local(receive(socket, waiting, exchange.clone()));
                    }
                }
                Some(Err(error)) if is_exhausted(&error) => {
                    listener.is_exhausted.set(true);
                    listener.request_sweep(&exchange);
                }
                // The connection has failed before it was accepted.
                Some(Err(_)) => {}
            }
        }
        if listener.waiting.get() > MAX_WAITING {
            listener.sweep_all();
        }
        tokio::task::yield_now().await;
    }
}

/// Returns whether an error means that no descriptors or memory are left.
fn is_exhausted(error: &io::Error) -> bool {
    let numbers = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
    (error.raw_os_error()).is_some_and(|number| numbers.contains(&number))
}

/// The task of an accepted connection, until JavaScript gets it.
async fn receive(socket: Socket, waiting: Waiting, exchange: Rc<Exchange>) {
    let listener = &waiting.0;
    let accepted_at = listener.sweeps.get();
    let mut read = Vec::new();
    let beginning = loop {
        if listener.hands_over.get() {
            break Beginning::Other;
        }
        let mut bell = pin!(listener.bell.notified());
        let count = poll_fn(|context| {
            if let Poll::Ready(result) = listener.poll_read(&socket, context, &mut read) {
                return Poll::Ready(Some(result));
            }
            listener.request_sweep(&exchange);
            bell.as_mut().poll(context).map(|()| None)
        })
        .await;
        match count {
            None if listener.is_closed() => return,
            None if listener.sweeps.get().wrapping_sub(accepted_at) >= MAX_SWEEPS => {
                break Beginning::Other;
            }
            None => continue,
            // Node answers a request that ends too early.
            Some(Ok(0)) if !read.is_empty() => break Beginning::Other,
            Some(Err(_) | Ok(0)) => return,
            Some(Ok(_)) => {}
        }
        match recognise(&read) {
            Beginning::NeedsInput if read.len() < listener.max_head => {}
            Beginning::Upgrade(upgrade) if upgrade.head_len <= listener.max_head => {
                break Beginning::Upgrade(upgrade);
            }
            _ => break Beginning::Other,
        }
    };
    let id = listener.id;
    let mut accepted = Accepted {
        socket,
        rest: Vec::new(),
        accept: String::new(),
    };
    let (kind, version) = match beginning {
        Beginning::Upgrade(upgrade) => {
            accepted.rest = read.split_off(upgrade.head_len);
            accepted.accept = upgrade.accept;
            let offers = if upgrade.offers { kind::OFFERS } else { 0 };
            (kind::UPGRADE | offers, upgrade.version.into())
        }
        Beginning::NeedsInput | Beginning::Other => (kind::OTHER, 0),
    };
    let mut accepted = Some(accepted);
    poll_fn(|context| {
        let inbox = &mut *exchange.inbox.borrow_mut();
        if listener.is_closed() {
            return Poll::Ready(());
        }
        let has_row = inbox.has_reserved_row();
        let Some(start) = has_row.then(|| inbox.copy(&read, usize::MAX)).flatten() else {
            inbox.wait(context, &Share::default());
            return Poll::Pending;
        };
        let Some(accepted) = accepted.take() else {
            return Poll::Ready(());
        };
        let extra = inbox.push_accepted(accepted);
        inbox.push(Row {
            id,
            kind,
            start: start as u32,
            end: (start + read.len()) as u32,
            wire: version,
            extra,
        });
        Poll::Ready(())
    })
    .await;
    exchange.wake_watcher();
}
