//! How many bytes of each connection wait: `bufferedAmount`.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use super::core::place;

/// The bytes that a connection was given and the system has not taken. The thread of
/// the engine writes it, that of JavaScript reads it.
#[derive(Clone, Default)]
pub(crate) struct Queued(Arc<AtomicUsize>);

impl Queued {
    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    /// It may be cleared at any time by the engine, and stays at 0 then.
    pub(crate) fn subtract(&self, bytes: usize) {
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |queued| {
                Some(queued.saturating_sub(bytes))
            });
    }

    pub(crate) fn clear(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// For each place of the table, whose bytes are counted there. JavaScript's thread has
/// it.
#[derive(Clone, Default)]
pub(crate) struct Counters(Rc<RefCell<Vec<(u32, Queued)>>>);

impl Counters {
    /// A counter for a new connection.
    pub(crate) fn open(&self, id: u32) -> Queued {
        let mut table = self.0.borrow_mut();
        let place = place(id);
        if table.len() <= place {
            table.resize_with(place + 1, || (u32::MAX, Queued::default()));
        }
        let queued = Queued::default();
        table[place] = (id, queued.clone());
        queued
    }

    /// The bytes of a connection.
    pub(crate) fn bytes(&self, id: u32) -> usize {
        self.with(id, Queued::bytes).unwrap_or(0)
    }

    /// Counts bytes that are on their way to the engine.
    pub(crate) fn add(&self, id: u32, bytes: usize) {
        self.with(id, |queued| queued.add(bytes));
    }

    fn with<T>(&self, id: u32, body: impl FnOnce(&Queued) -> T) -> Option<T> {
        let table = self.0.borrow();
        let (owner, queued) = table.get(place(id))?;
        (*owner == id).then(|| body(queued))
    }
}
