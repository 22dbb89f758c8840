//! How many bytes of each connection come and go: `bufferedAmount`, and what Node
//! counts for a socket.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use super::core::place;

/// What a connection has received and sent, in bytes. The thread of the engine writes
/// it, that of JavaScript reads it, and counts ahead what is on its way to the engine.
#[derive(Clone, Default)]
pub(crate) struct Traffic(Arc<Bytes>);

/// Each is written by one thread alone, and so is never added to in one step: that
/// would cost more than the rest of the counting.
#[derive(Default)]
struct Bytes {
    received: AtomicU64,
    accepted: AtomicU64,
    written: AtomicU64,
    /// What set out to another thread, of which it has settled so much.
    posted: AtomicU64,
    settled: AtomicU64,
    /// Messages whose sending is to be told, that the system has taken.
    sent: AtomicU64,
}

fn add(counter: &AtomicU64, bytes: usize) {
    let sum = counter.load(Ordering::Relaxed) + bytes as u64;
    counter.store(sum, Ordering::Relaxed);
}

impl Traffic {
    /// The bytes that the system has handed over.
    pub(crate) fn received(&self) -> u64 {
        self.0.received.load(Ordering::Relaxed)
    }

    /// The bytes that the connection was given to send.
    pub(crate) fn accepted(&self) -> u64 {
        let Bytes {
            posted, settled, ..
        } = &*self.0;
        let settled = settled.load(Ordering::Relaxed);
        let under_way = posted.load(Ordering::Relaxed).saturating_sub(settled);
        self.0.accepted.load(Ordering::Relaxed) + under_way
    }

    /// Those of them that the system has not taken.
    pub(crate) fn queued(&self) -> u64 {
        let accepted = self.accepted();
        accepted.saturating_sub(self.0.written.load(Ordering::Relaxed))
    }

    /// The messages, of those whose sending is to be told, that the system has taken.
    pub(crate) fn sent(&self) -> u64 {
        self.0.sent.load(Ordering::Relaxed)
    }

    /// Counts one of them.
    pub(crate) fn send(&self) {
        add(&self.0.sent, 1);
    }

    pub(crate) fn receive(&self, bytes: usize) {
        add(&self.0.received, bytes);
    }

    pub(crate) fn accept(&self, bytes: usize) {
        add(&self.0.accepted, bytes);
    }

    /// Counts no more what was accepted, where its frame is counted instead.
    pub(crate) fn discount(&self, bytes: usize) {
        let accepted = self.0.accepted.load(Ordering::Relaxed);
        let rest = accepted.saturating_sub(bytes as u64);
        self.0.accepted.store(rest, Ordering::Relaxed);
    }

    pub(crate) fn write(&self, bytes: usize) {
        add(&self.0.written, bytes);
    }

    /// Counts, on JavaScript's thread, what sets out to the engine's...
    pub(crate) fn post(&self, bytes: usize) {
        add(&self.0.posted, bytes);
    }

    /// ...and there what of it is accepted now.
    pub(crate) fn settle(&self, bytes: usize) {
        add(&self.0.settled, bytes);
    }

    /// Only so much will have been accepted at the end.
    pub(crate) fn stop(&self, accepted: u64) {
        self.0.accepted.store(accepted, Ordering::Relaxed);
    }

    /// Nothing is queued any more: what is not written never will be.
    pub(crate) fn clear(&self) {
        self.0.written.store(self.accepted(), Ordering::Relaxed);
    }
}

/// For each place of the table, whose bytes are counted there. JavaScript's thread has
/// it.
#[derive(Clone, Default)]
pub(crate) struct Counters(Rc<RefCell<Vec<(u32, Traffic)>>>);

impl Counters {
    /// The counters of a new connection.
    pub(crate) fn open(&self, id: u32) -> Traffic {
        let mut table = self.0.borrow_mut();
        let place = place(id);
        if table.len() <= place {
            table.resize_with(place + 1, || (u32::MAX, Traffic::default()));
        }
        let traffic = Traffic::default();
        table[place] = (id, traffic.clone());
        traffic
    }

    /// What `body` makes of the counters of a connection.
    pub(crate) fn with<T>(&self, id: u32, body: impl FnOnce(&Traffic) -> T) -> Option<T> {
        let table = self.0.borrow();
        let (owner, traffic) = table.get(place(id))?;
        (*owner == id).then(|| body(traffic))
    }
}
