//! All connections and listeners of an engine, and the commands of JavaScript.
//!
//! Everything here runs on one thread, in the context of its runtime and `LocalSet`.

use std::borrow::Cow;
use std::cell::RefCell;
use std::future::Future;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use oxws_protocol::{BufferPool, Decoder, Encoder};

use super::blocking;
use super::connection::{Connection, ConnectionOptions};
use super::driver::Driver;
use super::exchange::Exchange;
use super::inbox::Inbox;
use super::listener::Listener;
use super::outbox::{Entry, Flags, Outbox};
use super::socket::{Descriptor, ListenerSocket, Socket};
use super::traffic::Traffic;
use super::write_queue::Compression;
use crate::border::place;

/// The parameters of a new connection.
pub(crate) struct Opening {
    pub(crate) id: u32,
    pub(crate) source: Source,
    pub(crate) decoder: Decoder,
    pub(crate) encoder: Encoder,
    pub(crate) options: ConnectionOptions,
    pub(crate) traffic: Traffic,
    /// What has been read after the handshake.
    pub(crate) head: Vec<u8>,
    /// The response that ends the handshake. Empty if Node has sent it.
    pub(crate) response: Vec<u8>,
}

/// The socket of a new connection.
pub(crate) enum Source {
    /// No runtime watches it.
    Descriptor(Descriptor),
    /// The runtime of the core watches it.
    Socket(Socket),
}

impl Source {
    /// Ends the registration with the runtime, so that another one can watch the socket.
    fn deregister(self) -> Self {
        match self {
            Self::Socket(socket) => Self::Descriptor(socket.deregister()),
            descriptor @ Self::Descriptor(_) => descriptor,
        }
    }
}

/// A command of JavaScript.
pub(crate) enum Command {
    Open(Box<Opening>),
    /// Accepts connections from now on. The socket is listening.
    Listen {
        id: u32,
        socket: ListenerSocket,
        /// The maximum length of a request's head, in bytes.
        max_head: usize,
    },
    /// Accepts no more connections, and closes the listener's descriptor.
    Unlisten(u32),
    /// Sets whether each accepted connection is handed over to Node before it is read.
    SetHandsOver {
        id: u32,
        hands_over: bool,
    },
    /// Hands over the connections whose request has not arrived since the sweep before.
    Sweep(u32),
    /// Sends a message that is too long for the outbox.
    SendLong {
        id: u32,
        flags: Flags,
        payload: Vec<u8>,
    },
    Pause(u32),
    Resume(u32),
    /// Sets the maximum length of a message from now on, in bytes.
    SetMaxPayload {
        id: u32,
        bytes: u64,
    },
    /// Sets whether texts, from the next message on, and close reasons have to be UTF-8.
    SetValidates {
        id: u32,
        validates: bool,
    },
    /// Drops the messages that are being compressed, and those that wait for them.
    DropUnframed(u32),
    /// Ends the sending direction of the socket when all frames are written.
    End(u32),
    /// Releases the connection when everything is written.
    Release(u32),
    /// Releases the connection at once.
    Destroy(u32),
    /// Panics. For tests only.
    Panic,
}

impl Command {
    /// Returns a command that the core of any thread can run.
    pub(crate) fn deregistered(self) -> Self {
        match self {
            Self::Open(opening) => Self::Open(Box::new(Opening {
                source: opening.source.deregister(),
                ..*opening
            })),
            other => other,
        }
    }

    /// Returns the ID of the connection or listener that the command is for.
    pub(crate) fn id(&self) -> u32 {
        match self {
            Self::Open(opening) => opening.id,
            Self::Listen { id, .. }
            | Self::SetHandsOver { id, .. }
            | Self::SendLong { id, .. }
            | Self::SetMaxPayload { id, .. }
            | Self::SetValidates { id, .. }
            | Self::Unlisten(id)
            | Self::Sweep(id)
            | Self::Pause(id)
            | Self::Resume(id)
            | Self::DropUnframed(id)
            | Self::End(id)
            | Self::Release(id)
            | Self::Destroy(id) => *id,
            Self::Panic => 0,
        }
    }
}

/// The engine of one thread: its connections and listeners, and the events for JavaScript.
pub(crate) struct Core {
    pub(crate) exchange: Rc<Exchange>,
    connections: RefCell<Vec<Option<Rc<Connection>>>>,
    listeners: RefCell<Vec<Rc<Listener>>>,
}

/// The task of a connection, which removes it at the end. An `async` block would have the
/// driver in memory twice.
struct Task {
    driver: Driver,
    core: Rc<Core>,
}

impl Future for Task {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let ended = Pin::new(&mut self.driver).poll(context);
        if ended.is_ready() {
            self.core.forget(self.driver.id());
        }
        ended
    }
}

impl Core {
    pub(crate) fn new(inbox: Inbox, buffers: BufferPool, counts_posted: bool) -> Rc<Self> {
        Rc::new(Self {
            exchange: Rc::new(Exchange::new(inbox, buffers, counts_posted)),
            connections: RefCell::default(),
            listeners: RefCell::default(),
        })
    }

    fn get(&self, id: u32) -> Option<Rc<Connection>> {
        let place = place(id);
        let connections = self.connections.borrow();
        let connection = connections.get(place)?.as_ref()?;
        (connection.id == id).then(|| connection.clone())
    }

    /// Runs a command. It has no effect if its connection or listener no longer exists.
    pub(crate) fn run(self: &Rc<Self>, command: Command) {
        self.guard(|| match command {
            Command::Open(opening) => self.open(*opening),
            Command::Listen {
                id,
                socket,
                max_head,
            } => self.listen(id, socket, max_head),
            Command::Unlisten(id) => self.unlisten(id),
            Command::SetHandsOver { id, hands_over } => {
                self.with_listener(id, |listener| listener.set_hands_over(hands_over));
            }
            Command::Sweep(id) => self.with_listener(id, Listener::sweep),
            Command::SendLong { id, flags, payload } => {
                self.send_alone(id, flags, payload.into());
            }
            Command::Pause(id) => self.with(id, |connection| connection.set_paused(true)),
            Command::Resume(id) => self.with(id, |connection| connection.set_paused(false)),
            Command::SetMaxPayload { id, bytes } => {
                self.with(id, |connection| connection.set_max_payload(bytes));
            }
            Command::SetValidates { id, validates } => {
                self.with(id, |connection| connection.set_validates(validates));
            }
            Command::DropUnframed(id) => self.with(id, Connection::drop_unframed),
            Command::End(id) => self.with(id, Connection::end),
            Command::Release(id) => self.with(id, Connection::release),
            Command::Destroy(id) => {
                self.with(id, Connection::destroy);
                self.forget(id);
            }
            Command::Panic => panic!("on purpose"),
        });
    }

    /// Runs `body`, which does not belong to the task of one connection. If it panics, any
    /// connection may be in a wrong state, so all end with an error. The engine continues.
    fn guard(&self, body: impl FnOnce()) {
        if catch_unwind(AssertUnwindSafe(body)).is_err() {
            self.lose_all();
        }
    }

    /// Ends all connections with an error.
    pub(crate) fn lose_all(&self) {
        let connections: Vec<_> = self.connections.borrow_mut().drain(..).flatten().collect();
        for connection in &connections {
            self.exchange.lose(connection);
        }
    }

    /// Sends a message that is too long for the outbox.
    pub(crate) fn send_long(&self, id: u32, flags: Flags, payload: Cow<'_, [u8]>) {
        self.guard(|| self.send_alone(id, flags, payload));
    }

    fn send_alone(&self, id: u32, flags: Flags, payload: Cow<'_, [u8]>) {
        if let Some(connection) = self.get(id) {
            let len = payload.len();
            self.compress(&connection, connection.send_long(flags, payload));
            if self.exchange.counts_posted {
                connection.count_arrived(len);
            }
            connection.flush();
            self.exchange.note_sent(&connection);
        }
    }

    fn with(&self, id: u32, verb: impl FnOnce(&Connection)) {
        if let Some(connection) = self.get(id) {
            verb(&connection);
        }
    }

    fn open(self: &Rc<Self>, opening: Opening) {
        let Opening { id, .. } = opening;
        let registered = match opening.source {
            Source::Descriptor(socket) => socket.register(opening.traffic.clone()),
            Source::Socket(socket) => Ok(socket),
        };
        let socket = match registered {
            Ok(socket) => Rc::new(socket),
            Err(error) => {
                let number = error.raw_os_error().unwrap_or_default();
                self.exchange.fail(id, number);
                return;
            }
        };
        let connection = Rc::new(Connection::new(
            id,
            socket.clone(),
            opening.encoder,
            opening.options,
            opening.traffic,
            self.exchange.buffers.clone(),
        ));
        connection.open(&opening.response);
        let place = place(id);
        let mut connections = self.connections.borrow_mut();
        if connections.len() <= place {
            connections.resize_with(place + 1, || None);
        }
        connections[place] = Some(connection.clone());
        let driver = Driver::new(
            self.exchange.clone(),
            connection,
            socket,
            opening.decoder.with_buffers(self.exchange.buffers.clone()),
            opening.head,
        );
        tokio::task::spawn_local(Task {
            driver,
            core: self.clone(),
        });
    }

    fn listen(&self, id: u32, socket: ListenerSocket, max_head: usize) {
        match Listener::start(id, socket, max_head, &self.exchange) {
            Ok(listener) => self.listeners.borrow_mut().push(listener),
            Err(error) => {
                let number = error.raw_os_error().unwrap_or_default();
                self.exchange.fail(id, number);
            }
        }
    }

    fn unlisten(&self, id: u32) {
        self.listeners.borrow_mut().retain(|listener| {
            if listener.id == id {
                listener.close();
            }
            listener.id != id
        });
    }

    fn with_listener(&self, id: u32, verb: impl FnOnce(&Listener)) {
        let listeners = self.listeners.borrow();
        if let Some(listener) = listeners.iter().find(|listener| listener.id == id) {
            verb(listener);
        }
    }

    fn forget(&self, id: u32) {
        let place = place(id);
        if let Some(slot) = self.connections.borrow_mut().get_mut(place) {
            if slot.as_ref().is_some_and(|connection| connection.id == id) {
                *slot = None;
            }
        }
        // The descriptor of the connection is free soon.
        for listener in &*self.listeners.borrow() {
            listener.retry();
        }
    }

    /// Sends the messages of an outbox, with one system call for each connection.
    pub(crate) fn send(&self, outbox: Outbox<'_>) {
        self.guard(|| {
            self.send_all(outbox);
            self.exchange.flush(outbox);
        });
    }

    fn send_all(&self, outbox: Outbox<'_>) {
        let links = &mut *self.exchange.links.borrow_mut();
        let mut current: Option<Rc<Connection>> = None;
        for entry in outbox.entries() {
            let is_same = current
                .as_ref()
                .is_some_and(|connection| connection.id == entry.id);
            if !is_same {
                current = self.get(entry.id);
                if let Some(connection) = &current {
                    self.exchange.mark_dirty(connection);
                }
            }
            let Some(connection) = &current else {
                continue;
            };
            if self.exchange.counts_posted {
                connection.count_arrived(entry.content.len());
            }
            if connection.may_defer(&entry) {
                connection.defer(entry.row, links);
                continue;
            }
            if let Some(chain) = connection.take_deferred() {
                for earlier in links.entries(chain, outbox) {
                    self.append(connection, &earlier);
                }
            }
            self.append(connection, &entry);
        }
    }

    fn append(&self, connection: &Rc<Connection>, entry: &Entry<'_>) {
        let compression = connection.send(entry.flags, entry.content);
        self.compress(connection, compression);
    }

    /// Writes what the connections have to write.
    pub(crate) fn flush(&self) {
        self.guard(|| self.exchange.flush(Outbox::EMPTY));
    }

    /// Drops all connections and listeners.
    pub(crate) fn clear(&self) {
        self.connections.borrow_mut().clear();
        for listener in self.listeners.take() {
            listener.close();
        }
        self.exchange.clear();
    }

    /// Compresses a message on another thread, and then those that wait for it.
    fn compress(&self, connection: &Rc<Connection>, first: Option<Compression>) {
        let Some(first) = first else {
            return;
        };
        let exchange = self.exchange.clone();
        let connection = connection.clone();
        tokio::task::spawn_local(async move {
            let mut next = Some(first);
            while let Some(compression) = next {
                let Ok(done) = blocking::run(move || compression.run()).await else {
                    // The work panicked, and the encoder is lost.
                    exchange.lose(&connection);
                    return;
                };
                next = connection.end_compression(done);
                connection.flush();
                exchange.report_sent(&connection);
                exchange.wake_watcher();
            }
        });
    }
}
