//! What the commands of JavaScript and the tasks of a core share: the inbox, the pool of
//! buffers, and the connections that have something to write or to report.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Waker};

use oxws_protocol::BufferPool;

use super::batch::Batch;
use super::connection::Connection;
use super::inbox::{Inbox, Row};
use super::outbox::{Links, Outbox};
use crate::border::kind;

/// The shared state of a core. It belongs to one thread.
pub(crate) struct Exchange {
    pub(crate) inbox: RefCell<Inbox>,
    /// The pool of buffers for long messages.
    pub(crate) buffers: BufferPool,
    /// Connections that have something to write.
    dirty: RefCell<Vec<Rc<Connection>>>,
    /// The messages in the outbox that are written directly from there, by connection.
    pub(crate) links: RefCell<Links>,
    batch: RefCell<Batch>,
    /// Connections that have sent messages with `flag.ACK`, which are not yet reported.
    acked: RefCell<Vec<Rc<Connection>>>,
    /// Other rows to report, such as errors of connections whose task does not exist.
    reports: RefCell<Vec<Row>>,
    /// The task to wake when there is something to write or report. The inline host has
    /// none, because it checks by itself.
    watcher: RefCell<Option<Waker>>,
    /// Whether JavaScript's thread counts messages when it posts them.
    pub(crate) counts_posted: bool,
}

impl Exchange {
    pub(crate) fn new(inbox: Inbox, buffers: BufferPool, counts_posted: bool) -> Self {
        Self {
            inbox: RefCell::new(inbox),
            buffers,
            dirty: RefCell::default(),
            links: RefCell::default(),
            batch: RefCell::default(),
            acked: RefCell::default(),
            reports: RefCell::default(),
            watcher: RefCell::default(),
            counts_posted,
        }
    }

    /// Ends a connection with an error.
    pub(crate) fn lose(&self, connection: &Connection) {
        connection.destroy();
        self.fail(connection.id, 0);
    }

    /// Reports an error for a connection that has no task. `number` is the system's
    /// error number, or 0.
    pub(crate) fn fail(&self, id: u32, number: i32) {
        self.report(Row::bare(id, kind::ERROR, number as u32));
    }

    /// Reports a row as soon as the inbox has space.
    pub(crate) fn report(&self, row: Row) {
        self.reports.borrow_mut().push(row);
        self.wake_watcher();
    }

    pub(crate) fn mark_dirty(&self, connection: &Rc<Connection>) {
        if !connection.dirty.replace(true) {
            self.dirty.borrow_mut().push(connection.clone());
        }
    }

    /// Writes what the connections have to write. `outbox` has the deferred messages.
    pub(crate) fn flush(&self, outbox: Outbox<'_>) {
        let mut dirty = std::mem::take(&mut *self.dirty.borrow_mut());
        let batch = &mut *self.batch.borrow_mut();
        // Its frames are those of another outbox.
        batch.clear();
        for connection in dirty.drain(..) {
            connection.dirty.set(false);
            if let Some(chain) = connection.take_deferred() {
                let links = self.links.borrow();
                connection.write_deferred(chain, &links, outbox, batch);
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
    pub(crate) fn note_sent(&self, connection: &Rc<Connection>) {
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

    /// Adds the reports of sent messages and the other rows to the inbox, as far as it has
    /// space.
    pub(crate) fn report_pending(&self) {
        let inbox = &mut *self.inbox.borrow_mut();
        drain_while(&mut self.acked.borrow_mut(), |connection| {
            push_sent(inbox, connection)
        });
        drain_while(&mut self.reports.borrow_mut(), |row| inbox.push(*row));
    }

    /// Returns whether there is something to report.
    pub(crate) fn has_reports(&self) -> bool {
        !self.inbox.borrow().is_empty()
            || !self.acked.borrow().is_empty()
            || !self.reports.borrow().is_empty()
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

    /// Removes all connections and reports.
    pub(crate) fn clear(&self) {
        self.dirty.borrow_mut().clear();
        self.acked.borrow_mut().clear();
        self.reports.borrow_mut().clear();
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
