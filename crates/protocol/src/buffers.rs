//! A pool of buffers for long messages.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::ProtocolError;

/// The minimum capacity of a pooled buffer, in bytes. Smaller buffers are cheap to allocate.
const MIN_CAPACITY: usize = 16 * 1024;

/// The maximum total capacity of the idle buffers, in bytes.
const MAX_BYTES: usize = 8 << 20;

/// The maximum number of idle buffers.
const MAX_COUNT: usize = 128;

/// An idle buffer is used only if its capacity is at most this many times the requested one.
const MAX_WASTE: usize = 2;

/// Idle buffers that can be used again.
///
/// The system clears new memory page by page when it is first written to, which takes as
/// long as receiving the data does. Memory that is used again does not have that cost.
///
/// Clones share the same buffers.
#[derive(Clone, Default)]
pub struct BufferPool(Arc<Mutex<Idle>>);

#[derive(Default)]
struct Idle {
    buffers: Vec<Vec<u8>>,
    /// The sum of the buffers' capacities, in bytes.
    bytes: usize,
}

impl BufferPool {
    fn idle(&self) -> MutexGuard<'_, Idle> {
        // The list is only pushed to and removed from: a panic elsewhere leaves
        // it consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Grows `buffer` to a capacity of at least `capacity` bytes, and keeps its content.
    pub fn grow(&self, buffer: &mut Vec<u8>, capacity: usize) {
        if !self.replace(buffer, capacity) {
            buffer.reserve_exact(capacity.saturating_sub(buffer.len()));
        }
    }

    /// Like [`grow`](Self::grow), but fails if the memory cannot be allocated. For
    /// lengths that depend on what a peer sends.
    ///
    /// # Errors
    ///
    /// [`PayloadTooLong`](ProtocolError::PayloadTooLong) if the memory cannot be allocated.
    pub fn try_grow(&self, buffer: &mut Vec<u8>, capacity: usize) -> Result<(), ProtocolError> {
        if self.replace(buffer, capacity) {
            return Ok(());
        }
        buffer
            .try_reserve_exact(capacity.saturating_sub(buffer.len()))
            .map_err(|_| ProtocolError::PayloadTooLong)
    }

    /// Moves the content of `buffer` to an idle buffer of at least `capacity` bytes.
    /// Returns whether there is one.
    fn replace(&self, buffer: &mut Vec<u8>, capacity: usize) -> bool {
        let Some(mut larger) = self.take(capacity) else {
            return false;
        };
        larger.extend_from_slice(buffer);
        self.give(std::mem::replace(buffer, larger));
        true
    }

    fn take(&self, capacity: usize) -> Option<Vec<u8>> {
        if capacity < MIN_CAPACITY {
            return None;
        }
        let most = capacity.saturating_mul(MAX_WASTE);
        let idle = &mut *self.idle();
        let found = (idle.buffers.iter())
            .rposition(|buffer| (capacity..=most).contains(&buffer.capacity()))?;
        let buffer = idle.buffers.swap_remove(found);
        idle.bytes -= buffer.capacity();
        Some(buffer)
    }

    /// Returns a buffer to the pool. It is freed if it is too small or the pool is full.
    pub fn give(&self, mut buffer: Vec<u8>) {
        let capacity = buffer.capacity();
        if capacity < MIN_CAPACITY {
            return;
        }
        let idle = &mut *self.idle();
        if idle.buffers.len() < MAX_COUNT && idle.bytes + capacity <= MAX_BYTES {
            buffer.clear();
            idle.bytes += capacity;
            idle.buffers.push(buffer);
        }
    }
}

impl fmt::Debug for BufferPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufferPool")
            .field("bytes", &self.idle().bytes)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_where_it_fits() {
        let pool = BufferPool::default();
        pool.give(Vec::with_capacity(100_000));
        for (capacity, fits) in [(100_001, false), (20_000, false), (50_000, true)] {
            let mut buffer = b"what is in it".to_vec();
            pool.grow(&mut buffer, capacity);
            assert_eq!(buffer, b"what is in it");
            assert_eq!(buffer.capacity() == 100_000, fits, "{capacity}");
        }
        assert_eq!(pool.idle().bytes, 0);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let pool = BufferPool::default();
        for capacity in [0, 100, MIN_CAPACITY - 1, MAX_BYTES + 1] {
            pool.give(Vec::with_capacity(capacity));
        }
        assert_eq!(pool.idle().buffers.len(), 0);
        for _ in 0..100 {
            pool.give(Vec::with_capacity(MAX_BYTES / 10));
        }
        assert_eq!(pool.idle().buffers.len(), 10);
        for _ in 0..100 {
            pool.give(Vec::with_capacity(MIN_CAPACITY));
        }
        assert!(pool.idle().buffers.len() <= MAX_COUNT);
        assert!(pool.idle().bytes <= MAX_BYTES);
    }
}
