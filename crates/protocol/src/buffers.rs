//! Memory of long messages, to be used again.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::ProtocolError;

/// A shorter buffer, in bytes, is cheaply had.
const MIN_CAPACITY: usize = 16 * 1024;

/// The most bytes that are kept.
const MAX_BYTES: usize = 8 << 20;

/// The most buffers that are kept.
const MAX_COUNT: usize = 64;

/// A buffer may be so many times as large as it has to be.
const MAX_WASTE: usize = 4;

/// Idle buffers. Memory that comes from the system anew is cleared page by page when it
/// is first written to, which takes as long as receiving it does.
///
/// Clones share the same buffers.
#[derive(Clone, Default)]
pub struct BufferPool(Arc<Mutex<Idle>>);

#[derive(Default)]
struct Idle {
    buffers: Vec<Vec<u8>>,
    /// The sum of their capacities.
    bytes: usize,
}

impl BufferPool {
    fn idle(&self) -> MutexGuard<'_, Idle> {
        // A panic elsewhere leaves the list whole: it only pushes and removes.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a buffer at least this capacity, in bytes; what is in it stays.
    pub fn grow(&self, buffer: &mut Vec<u8>, capacity: usize) {
        if !self.replace(buffer, capacity) {
            buffer.reserve_exact(capacity.saturating_sub(buffer.len()));
        }
    }

    /// As [`grow`](Self::grow), for what a peer sends.
    ///
    /// # Errors
    ///
    /// [`PayloadTooLong`](ProtocolError::PayloadTooLong) if there is no memory for it.
    pub fn try_grow(&self, buffer: &mut Vec<u8>, capacity: usize) -> Result<(), ProtocolError> {
        if self.replace(buffer, capacity) {
            return Ok(());
        }
        buffer
            .try_reserve_exact(capacity.saturating_sub(buffer.len()))
            .map_err(|_| ProtocolError::PayloadTooLong)
    }

    /// Moves a buffer to idle memory of this capacity, if there is some; whether there
    /// was.
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

    /// Takes back a buffer that is not needed any more, whatever it is.
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
