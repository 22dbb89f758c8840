//! What JavaScript's thread keeps of each connection, wherever the engine runs.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::{Arc, Weak};

use super::traffic::Traffic;
use crate::border::place;

/// For each index in the table, what JavaScript's thread keeps of a connection. It
/// belongs to that thread.
#[derive(Clone, Default)]
pub(crate) struct Registry(Rc<RefCell<Vec<Entry>>>);

#[derive(Default)]
struct Entry {
    id: Option<u32>,
    traffic: Traffic,
    /// The descriptor of a connection that a listener accepted.
    fd: Weak<OwnedFd>,
}

impl Registry {
    /// Adds a connection. `fd` is its descriptor if a listener accepted it.
    pub(crate) fn add(&self, id: u32, traffic: &Traffic, fd: Weak<OwnedFd>) {
        let mut table = self.0.borrow_mut();
        let place = place(id);
        if table.len() <= place {
            table.resize_with(place + 1, Entry::default);
        }
        table[place] = Entry {
            id: Some(id),
            traffic: traffic.clone(),
            fd,
        };
    }

    /// Calls `body` with the counts of a connection, if it exists.
    pub(crate) fn with_traffic<T>(&self, id: u32, body: impl FnOnce(&Traffic) -> T) -> Option<T> {
        let table = self.0.borrow();
        let entry = table.get(place(id))?;
        (entry.id == Some(id)).then(|| body(&entry.traffic))
    }

    /// Returns the descriptor of a connection that a listener accepted, unless the
    /// engine has closed it.
    pub(crate) fn descriptor(&self, id: u32) -> Option<Arc<OwnedFd>> {
        let table = self.0.borrow();
        let entry = table.get(place(id))?;
        (entry.id == Some(id)).then(|| entry.fd.upgrade()).flatten()
    }
}
