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
    /// What JavaScript has posted to another thread.
    posted: AtomicU64,
    /// What was accepted, less what of it was posted. It may be below zero, and wraps.
    accepted: AtomicU64,
    /// The same, less what is written. It is told at once, so that nothing is counted
    /// twice or not at all.
    queued: AtomicU64,
    /// Messages whose sending is to be told, that the system has taken.
    sent: AtomicU64,
}

fn add(counter: &AtomicU64, bytes: usize) {
    let sum = counter.load(Ordering::Relaxed) + bytes as u64;
    counter.store(sum, Ordering::Relaxed);
}

/// What a connection sends, as the thread of the engine counts it, in bytes.
#[derive(Default)]
pub(crate) struct Tally {
    /// What it was given to send, with the heads of frames.
    pub(crate) accepted: u64,
    /// What of it was posted by another thread, as that has counted it.
    pub(crate) settled: u64,
    pub(crate) written: u64,
}

impl Traffic {
    /// The bytes that the system has handed over.
    pub(crate) fn received(&self) -> u64 {
        self.0.received.load(Ordering::Relaxed)
    }

    /// The bytes that the connection was given to send.
    pub(crate) fn accepted(&self) -> u64 {
        self.sum(&self.0.accepted)
    }

    /// Those of them that the system has not taken.
    pub(crate) fn queued(&self) -> u64 {
        self.sum(&self.0.queued)
    }

    fn sum(&self, counter: &AtomicU64) -> u64 {
        let posted = self.0.posted.load(Ordering::Relaxed);
        posted.wrapping_add(counter.load(Ordering::Relaxed))
    }

    /// Tells what is counted.
    pub(crate) fn publish(&self, tally: &Tally) {
        let accepted = tally.accepted.wrapping_sub(tally.settled);
        let queued = accepted.wrapping_sub(tally.written);
        self.0.accepted.store(accepted, Ordering::Relaxed);
        self.0.queued.store(queued, Ordering::Relaxed);
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

    /// Counts, on JavaScript's thread, what sets out to the engine's.
    pub(crate) fn post(&self, bytes: usize) {
        add(&self.0.posted, bytes);
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
