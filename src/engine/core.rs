//! All connections of an engine, and the commands of JavaScript.
//!
//! Everything here runs on one thread, in the context of its runtime and `LocalSet`.

use std::borrow::Cow;
use std::cell::RefCell;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::rc::Rc;
use std::task::{Context, Waker};

use oxws_protocol::{BufferPool, Decoder, Encoder};

use super::blocking;
use super::connection::{Connection, ConnectionOptions};
use super::driver::Driver;
use super::inbox::{Inbox, Row};
use super::outbox::{self, Flags};
use super::socket::Adopted;
use super::traffic::Traffic;
use super::write_queue::Compression;
use crate::border::{kind, PLACE_BITS};

/// Returns the index of a connection in the table.
pub(crate) fn place(id: u32) -> usize {
    (id & ((1 << PLACE_BITS) - 1)) as usize
}

/// The parameters of a new connection.
pub(crate) struct Opening {
    pub(crate) id: u32,
    pub(crate) socket: Adopted,
    pub(crate) decoder: Decoder,
    pub(crate) encoder: Encoder,
    pub(crate) options: ConnectionOptions,
    pub(crate) traffic: Traffic,
    /// What Node has read already.
    pub(crate) head: Vec<u8>,
}

/// A command of JavaScript.
pub(crate) enum Command {
    Open(Box<Opening>),
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
    /// Returns the ID of the connection that the command is for.
    pub(crate) fn id(&self) -> u32 {
        match self {
            Self::Open(opening) => opening.id,
            Self::SendLong { id, .. }
            | Self::SetMaxPayload { id, .. }
            | Self::SetValidates { id, .. }
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

/// The engine of one thread: its connections, and the events for JavaScript.
pub(crate) struct Core {
    pub(crate) inbox: RefCell<Inbox>,
    /// The pool of buffers for long messages.
    pub(crate) buffers: BufferPool,
    connections: RefCell<Vec<Option<Rc<Connection>>>>,
    /// Connections that have something to write.
    dirty: RefCell<Vec<Rc<Connection>>>,
    /// Connections that have sent messages with `flag.ACK`, which are not yet reported.
    acked: RefCell<Vec<Rc<Connection>>>,
    /// Errors to report for connections whose task does not exist or has ended.
    failures: RefCell<Vec<Row>>,
    /// The task to wake when there is something to write or report. The inline host has
    /// none, because it checks by itself.
    watcher: RefCell<Option<Waker>>,
    /// Whether JavaScript's thread counts messages when it posts them.
    counts_posted: bool,
}

impl Core {
    pub(crate) fn new(inbox: Inbox, buffers: BufferPool, counts_posted: bool) -> Rc<Self> {
        Rc::new(Self {
            counts_posted,
            inbox: RefCell::new(inbox),
            buffers,
            connections: RefCell::default(),
            dirty: RefCell::default(),
            acked: RefCell::default(),
            failures: RefCell::default(),
            watcher: RefCell::default(),
        })
    }

    fn get(&self, id: u32) -> Option<Rc<Connection>> {
        let place = place(id);
        let connections = self.connections.borrow();
        let connection = connections.get(place)?.as_ref()?;
        (connection.id == id).then(|| connection.clone())
    }

    /// Runs a command. It has no effect if its connection no longer exists.
    pub(crate) fn run(self: &Rc<Self>, command: Command) {
        self.guard(|| match command {
            Command::Open(opening) => self.open(*opening),
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
            self.lose(connection);
        }
    }

    /// Ends a connection with an error.
    pub(crate) fn lose(&self, connection: &Connection) {
        connection.destroy();
        self.fail(connection.id, 0);
    }

    /// Reports an error for a connection that has no task. `number` is the system's
    /// error number, or 0.
    fn fail(&self, id: u32, number: i32) {
        let row = Row::bare(id, kind::ERROR, number as u32);
        self.failures.borrow_mut().push(row);
        self.wake_watcher();
    }

    /// Sends a message that is too long for the outbox.
    pub(crate) fn send_long(self: &Rc<Self>, id: u32, flags: Flags, payload: Cow<'_, [u8]>) {
        self.guard(|| self.send_alone(id, flags, payload));
    }

    fn send_alone(self: &Rc<Self>, id: u32, flags: Flags, payload: Cow<'_, [u8]>) {
        if let Some(connection) = self.get(id) {
            let len = payload.len();
            self.compress(&connection, connection.send_long(flags, payload));
            if self.counts_posted {
                connection.count_arrived(len);
            }
            connection.flush();
            self.note_sent(&connection);
        }
    }

    fn with(&self, id: u32, verb: impl FnOnce(&Connection)) {
        if let Some(connection) = self.get(id) {
            verb(&connection);
        }
    }

    fn open(self: &Rc<Self>, opening: Opening) {
        let Opening { id, .. } = opening;
        let socket = match opening.socket.register(opening.traffic.clone()) {
            Ok(socket) => Rc::new(socket),
            Err(error) => {
                self.fail(id, error.raw_os_error().unwrap_or_default());
                return;
            }
        };
        let connection = Rc::new(Connection::new(
            id,
            socket.clone(),
            opening.encoder,
            opening.options,
            opening.traffic,
            self.buffers.clone(),
        ));
        let place = place(id);
        let mut connections = self.connections.borrow_mut();
        if connections.len() <= place {
            connections.resize_with(place + 1, || None);
        }
        connections[place] = Some(connection.clone());
        let driver = Driver::new(
            self.clone(),
            connection,
            socket,
            opening.decoder.with_buffers(self.buffers.clone()),
            opening.head,
        );
        let core = self.clone();
        tokio::task::spawn_local(async move {
            driver.await;
            core.forget(id);
        });
    }

    fn forget(&self, id: u32) {
        let place = place(id);
        if let Some(slot) = self.connections.borrow_mut().get_mut(place) {
            if slot.as_ref().is_some_and(|connection| connection.id == id) {
                *slot = None;
            }
        }
    }

    /// Sends the messages of an outbox, with one system call for each connection.
    pub(crate) fn send(self: &Rc<Self>, rows: &[u32], bytes: &[u8]) {
        self.guard(|| self.send_rows(rows, bytes));
    }

    fn send_rows(self: &Rc<Self>, rows: &[u32], bytes: &[u8]) {
        let mut current: Option<Rc<Connection>> = None;
        for entry in outbox::entries(rows, bytes) {
            let is_same = current
                .as_ref()
                .is_some_and(|connection| connection.id == entry.id);
            if !is_same {
                current = self.get(entry.id);
                if let Some(connection) = &current {
                    self.mark_dirty(connection);
                }
            }
            let Some(connection) = &current else {
                continue;
            };
            // If this is the only message of its connection, it is written
            // without being copied.
            match connection.take_deferred() {
                None if connection.may_defer(&entry) => {
                    connection.defer(entry.into());
                    continue;
                }
                None => {}
                Some(deferred) => {
                    self.append(connection, deferred.flags, deferred.payload(bytes));
                }
            }
            self.append(connection, entry.flags, entry.payload);
        }
        self.flush_outbox(bytes);
    }

    fn append(self: &Rc<Self>, connection: &Rc<Connection>, flags: Flags, payload: &[u8]) {
        let compression = connection.send(flags, payload);
        self.compress(connection, compression);
        if self.counts_posted {
            connection.count_arrived(payload.len());
        }
    }

    pub(crate) fn mark_dirty(&self, connection: &Rc<Connection>) {
        if !connection.dirty.replace(true) {
            self.dirty.borrow_mut().push(connection.clone());
        }
    }

    /// Writes what the connections have to write.
    pub(crate) fn flush(&self) {
        self.guard(|| self.flush_outbox(&[]));
    }

    /// Like [`flush`](Self::flush), with the bytes of the outbox for deferred messages.
    fn flush_outbox(&self, bytes: &[u8]) {
        let mut dirty = std::mem::take(&mut *self.dirty.borrow_mut());
        for connection in dirty.drain(..) {
            connection.dirty.set(false);
            if let Some(deferred) = connection.take_deferred() {
                let payload = deferred.payload(bytes);
                connection.write_directly(deferred.flags, payload, self.counts_posted);
            }
            connection.flush();
            self.note_sent(&connection);
        }
        // The memory of the list is used again.
        let mut list = self.dirty.borrow_mut();
        if list.is_empty() {
            *list = dirty;
        }
    }

    /// Schedules the report of sent messages. It does not go to the inbox now, because
    /// JavaScript may be reading the inbox.
    fn note_sent(&self, connection: &Rc<Connection>) {
        if connection.has_acked() {
            self.acked.borrow_mut().push(connection.clone());
        }
    }

    /// Reports sent messages before any other event of the task. If the peer is in the same
    /// process, the sender then learns that a message was sent before the peer receives it.
    pub(crate) fn report_sent(&self, connection: &Rc<Connection>) {
        if !connection.has_acked() {
            return;
        }
        if !push_sent(&mut self.inbox.borrow_mut(), connection) {
            self.acked.borrow_mut().push(connection.clone());
        }
    }

    /// Adds the reports of sent messages and failed connections to the inbox, as
    /// far as it has space.
    pub(crate) fn report_pending(&self) {
        let inbox = &mut *self.inbox.borrow_mut();
        drain_while(&mut self.acked.borrow_mut(), |connection| {
            push_sent(inbox, connection)
        });
        drain_while(&mut self.failures.borrow_mut(), |row| inbox.push(*row));
    }

    /// Returns whether there is something to report.
    pub(crate) fn has_reports(&self) -> bool {
        !self.inbox.borrow().is_empty()
            || !self.acked.borrow().is_empty()
            || !self.failures.borrow().is_empty()
    }

    /// Returns whether there is something to write, or to report if `can_report` is true.
    /// Otherwise the task is woken when that may have changed.
    pub(crate) fn poll_work(&self, context: &Context<'_>, can_report: bool) -> bool {
        *self.watcher.borrow_mut() = Some(context.waker().clone());
        !self.dirty.borrow().is_empty() || (can_report && self.has_reports())
    }

    /// Wakes the task that waits for something to write or report.
    pub(crate) fn wake_watcher(&self) {
        if let Some(watcher) = self.watcher.borrow_mut().take() {
            watcher.wake();
        }
    }

    /// Drops all connections.
    pub(crate) fn clear(&self) {
        self.connections.borrow_mut().clear();
        self.dirty.borrow_mut().clear();
        self.acked.borrow_mut().clear();
        self.failures.borrow_mut().clear();
    }

    /// Compresses a message on another thread, and then those that wait for it.
    fn compress(self: &Rc<Self>, connection: &Rc<Connection>, first: Option<Compression>) {
        let Some(first) = first else {
            return;
        };
        let core = self.clone();
        let connection = connection.clone();
        tokio::task::spawn_local(async move {
            let mut next = Some(first);
            while let Some(compression) = next {
                let Ok(done) = blocking::run(move || compression.run()).await else {
                    // The work panicked, and the encoder is lost.
                    core.lose(&connection);
                    return;
                };
                next = connection.end_compression(done);
                connection.flush();
                core.report_sent(&connection);
                core.wake_watcher();
            }
        });
    }
}

/// Adds the number of sent messages of a connection to the inbox. Returns whether
/// there was space.
fn push_sent(inbox: &mut Inbox, connection: &Connection) -> bool {
    if !inbox.has_reserved_row() {
        return false;
    }
    let count = connection.take_acked();
    if count > 0 {
        inbox.push(Row::bare(connection.id, kind::SENT, count));
    }
    true
}

/// Removes the items at the beginning of a list for which `taken` returns true.
fn drain_while<T>(list: &mut Vec<T>, taken: impl FnMut(&T) -> bool) {
    let count = list.iter().map(taken).take_while(|&taken| taken).count();
    list.drain(..count);
}
