//! The contexts of one kind that many connections keep between messages, and the budget
//! that limits them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::context::Context;

/// The maximum number of contexts that are kept for no connection in particular. A
/// thread uses only one at a time, except for messages that have not arrived completely.
const MAX_SPARE: usize = 16;

/// Contexts that are not in use, up to a budget of bytes.
///
/// Most are kept for the connection that used them. If they exceed the budget, the least
/// recently used are freed. The others are spare: they are for any connection that needs
/// one with an empty window.
///
/// Clones share the same contexts and budget.
pub(super) struct Pool<C: Context>(Arc<Mutex<Kept<C>>>);

/// What is left of the context of a connection after it has been freed. `None` if it
/// has not.
type Rest<C> = Arc<Mutex<Option<<C as Context>::Rest>>>;

struct Kept<C: Context> {
    budget: usize,
    /// The size of `entries`, in bytes.
    size: usize,
    /// The number of the last use.
    last: u64,
    /// By the number of the last use, so that the least recently used is the first.
    entries: BTreeMap<u64, Entry<C>>,
    /// The keys of the spare entries, in the order in which they became spare.
    spare: Vec<u64>,
}

struct Entry<C: Context> {
    options: C::Options,
    context: Box<C>,
    /// `None` if it is spare.
    rest: Option<Rest<C>>,
}

impl<C: Context> Pool<C> {
    /// `budget` is in bytes. One context is kept even if it is larger.
    pub(super) fn new(budget: usize) -> Self {
        Self(Arc::new(Mutex::new(Kept {
            budget,
            size: 0,
            last: 0,
            entries: BTreeMap::new(),
            spare: Vec::new(),
        })))
    }

    /// Returns the size of the contexts, in bytes.
    pub(super) fn size(&self) -> usize {
        self.kept().size
    }

    /// Returns the number of contexts.
    pub(super) fn len(&self) -> usize {
        self.kept().entries.len()
    }

    /// Whether others than the caller use this pool.
    pub(super) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// Returns a context with an empty window: a spare one if there is one, or the least
    /// recently used if the budget has no room for one more.
    fn fresh(&self, options: &C::Options) -> Box<C> {
        let spare = self.kept().take_spare(options);
        let found = spare.or_else(|| {
            let size = C::size(options);
            std::iter::from_fn(|| self.evict(size, 0))
                .find_map(|(has, context)| (has == *options).then_some(context))
        });
        match found {
            Some(mut context) => {
                context.reset();
                context
            }
            None => Box::new(C::new(options)),
        }
    }

    fn keep(&self, entry: Entry<C>) -> u64 {
        let (key, is_full, dropped) = self.kept().insert(entry);
        drop(dropped);
        if is_full {
            while self.evict(0, 1).is_some() {}
        }
        key
    }

    /// Frees the least recently used context if there are more than `least` and the
    /// budget has no room for `size` bytes more.
    fn evict(&self, size: usize, least: usize) -> Option<(C::Options, Box<C>)> {
        let mut kept = self.kept();
        if kept.has_room(size) || kept.entries.len() <= least {
            return None;
        }
        let Entry {
            options,
            mut context,
            rest,
        } = kept.pop()?;
        if let Some(rest) = rest {
            // Locked before the pool is unlocked: if its connection does not find the
            // context, it waits for the rest.
            let mut rest = lock(&rest);
            drop(kept);
            *rest = Some(context.rest());
        }
        Some((options, context))
    }

    fn kept(&self) -> MutexGuard<'_, Kept<C>> {
        lock(&self.0)
    }
}

impl<C: Context> Clone for Pool<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C: Context> Kept<C> {
    fn has_room(&self, size: usize) -> bool {
        self.size.saturating_add(size) <= self.budget
    }

    /// Adds an entry as the last used. Returns its key, whether the entries exceed the
    /// budget, and a spare one that it replaces.
    fn insert(&mut self, entry: Entry<C>) -> (u64, bool, Option<Entry<C>>) {
        self.last += 1;
        let is_spare = entry.rest.is_none();
        self.size += C::size(&entry.options);
        self.entries.insert(self.last, entry);
        let replaced = if is_spare {
            self.add_spare(self.last)
        } else {
            None
        };
        (self.last, !self.has_room(0), replaced)
    }

    /// Removes an entry that is not spare.
    fn remove(&mut self, key: u64) -> Option<Entry<C>> {
        let entry = self.entries.remove(&key)?;
        self.size -= C::size(&entry.options);
        Some(entry)
    }

    /// Removes the least recently used entry.
    fn pop(&mut self) -> Option<Entry<C>> {
        let (key, entry) = self.entries.pop_first()?;
        self.size -= C::size(&entry.options);
        if entry.rest.is_none() {
            self.spare.retain(|&spare| spare != key);
        }
        Some(entry)
    }

    /// Makes an entry spare. Returns its rest, and the spare one that it replaces.
    fn release(&mut self, key: u64) -> (Option<Rest<C>>, Option<Entry<C>>) {
        match self.entries.get_mut(&key) {
            Some(entry) => (entry.rest.take(), self.add_spare(key)),
            None => (None, None),
        }
    }

    fn add_spare(&mut self, key: u64) -> Option<Entry<C>> {
        self.spare.push(key);
        if self.spare.len() > MAX_SPARE {
            let oldest = self.spare.remove(0);
            return self.remove(oldest);
        }
        None
    }

    /// Removes the spare entry with these options that was used last.
    fn take_spare(&mut self, options: &C::Options) -> Option<Box<C>> {
        let found = self
            .spare
            .iter()
            .rposition(|key| self.entries[key].options == *options)?;
        let key = self.spare.remove(found);
        Some(self.remove(key)?.context)
    }
}

/// The place of a connection in a pool: for its context, while that is not in use.
pub(super) struct Place<C: Context> {
    pool: Pool<C>,
    options: C::Options,
    /// The key of its entry. The entry may have been removed.
    key: Option<u64>,
    rest: Rest<C>,
}

impl<C: Context> Place<C> {
    pub(super) fn new(pool: Pool<C>, options: C::Options) -> Self {
        Self {
            pool,
            options,
            key: None,
            rest: Rest::<C>::default(),
        }
    }

    /// Takes the context. If it has been freed, the result is another one, with what is
    /// left. If there is none, the result is one with an empty window.
    pub(super) fn take(&mut self) -> Box<C> {
        let Some(key) = self.key.take() else {
            return self.pool.fresh(&self.options);
        };
        let entry = self.pool.kept().remove(key);
        if let Some(entry) = entry {
            return entry.context;
        }
        let mut context = self.pool.fresh(&self.options);
        let rest = lock(&self.rest).take();
        if let Some(rest) = rest {
            context.restore(rest);
        }
        context
    }

    /// Puts the context back, to be taken again with what it remembers.
    pub(super) fn keep(&mut self, context: Box<C>) {
        self.key = Some(self.pool.keep(Entry {
            options: self.options,
            context,
            rest: Some(Arc::clone(&self.rest)),
        }));
    }

    /// Puts the context back for any connection.
    pub(super) fn give(&mut self, context: Box<C>) {
        self.pool.keep(Entry {
            options: self.options,
            context,
            rest: None,
        });
    }

    /// Gives the context up to any connection.
    pub(super) fn release(&mut self) {
        if let Some(key) = self.key.take() {
            // Bound first, so that the lock is released before they are freed.
            let released = self.pool.kept().release(key);
            drop(released);
        }
    }

    /// Whether it has a context, or what is left of one.
    #[cfg(test)]
    pub(super) fn is_used(&self) -> bool {
        self.key.is_some()
    }
}

impl<C: Context> Drop for Place<C> {
    fn drop(&mut self) {
        self.release();
    }
}

/// What the locks protect is complete whenever other code runs: a panic there does not
/// matter.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
