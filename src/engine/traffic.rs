//! Byte counts of each connection, for `bufferedAmount` and for the counters of
//! Node's socket.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

/// The bytes that a connection has received and sent. The engine's thread writes these
/// counts, and JavaScript's thread reads them. JavaScript's thread writes only the
/// count of what it has posted.
#[derive(Clone, Default)]
pub(crate) struct Traffic(Arc<Bytes>);

/// Each counter is written by one thread only, with a separate load and store. An
/// atomic addition would cost more than all other counting.
#[derive(Default)]
struct Bytes {
    received: AtomicU64,
    /// The bytes that JavaScript has posted to another thread.
    posted: AtomicU64,
    /// The accepted bytes, less the posted bytes that have arrived. May wrap below zero.
    accepted: AtomicU64,
    /// The same, less the written bytes. It is stored in one step, so that no byte is
    /// counted twice or not at all.
    queued: AtomicU64,
    /// The messages with `flag.ACK` that the system has taken.
    sent: AtomicU64,
}

fn add(counter: &AtomicU64, bytes: usize) {
    let sum = counter.load(Ordering::Relaxed) + bytes as u64;
    counter.store(sum, Ordering::Relaxed);
}

/// What a connection sends, as counted by the engine's thread, in bytes.
#[derive(Default)]
pub(crate) struct Tally {
    /// What it was given to send, including the heads of frames.
    pub(crate) accepted: u64,
    /// What JavaScript's thread has posted and counted, and has now arrived.
    pub(crate) arrived: u64,
    pub(crate) written: u64,
}

impl Traffic {
    /// Returns how many bytes were received.
    pub(crate) fn received(&self) -> u64 {
        self.0.received.load(Ordering::Relaxed)
    }

    /// Returns how many bytes the connection was given to send.
    pub(crate) fn accepted(&self) -> u64 {
        self.sum(&self.0.accepted)
    }

    /// Returns how many of these bytes the system has not taken yet.
    pub(crate) fn queued(&self) -> u64 {
        self.sum(&self.0.queued)
    }

    fn sum(&self, counter: &AtomicU64) -> u64 {
        let posted = self.0.posted.load(Ordering::Relaxed);
        posted.wrapping_add(counter.load(Ordering::Relaxed))
    }

    /// Publishes the counts of the engine's thread.
    pub(crate) fn publish(&self, tally: &Tally) {
        let accepted = tally.accepted.wrapping_sub(tally.arrived);
        let queued = accepted.wrapping_sub(tally.written);
        self.0.accepted.store(accepted, Ordering::Relaxed);
        self.0.queued.store(queued, Ordering::Relaxed);
    }

    /// Returns how many messages with `flag.ACK` the system has taken.
    pub(crate) fn sent(&self) -> u64 {
        self.0.sent.load(Ordering::Relaxed)
    }

    /// Counts a message with `flag.ACK` that the system has taken.
    pub(crate) fn send(&self) {
        add(&self.0.sent, 1);
    }

    pub(crate) fn receive(&self, bytes: usize) {
        add(&self.0.received, bytes);
    }

    /// Counts bytes that JavaScript's thread posts to the engine's thread.
    pub(crate) fn post(&self, bytes: usize) {
        add(&self.0.posted, bytes);
    }
}
