//! Work that takes long, on threads of its own: they serve all engines of the process.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::{Arc, Mutex, PoisonError};

use rayon_core::{ThreadPool, ThreadPoolBuilder};
use tokio::sync::oneshot::{self, Receiver};

/// The most threads. Where the system does not give so many, fewer will do.
const MAX_THREADS: usize = 4;

/// The threads, once they were needed and could be had.
static POOL: Mutex<Option<Arc<ThreadPool>>> = Mutex::new(None);

fn pool() -> Option<Arc<ThreadPool>> {
    let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    if pool.is_none() {
        let mut count = MAX_THREADS;
        while pool.is_none() && count > 0 {
            *pool = ThreadPoolBuilder::new()
                .num_threads(count)
                .thread_name(|number| format!("oxws work {number}"))
                .build()
                .ok()
                .map(Arc::new);
            count /= 2;
        }
    }
    pool.clone()
}

/// Does `work` elsewhere, in turn; right here where no thread can be had. What it comes
/// to is received; an error, if it panics.
pub(crate) fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
    let (sender, receiver) = oneshot::channel();
    let guarded = move || {
        if let Ok(result) = catch_unwind(AssertUnwindSafe(work)) {
            // Nobody waits for what a connection that is gone has begun.
            let _ = sender.send(result);
        }
    };
    match pool() {
        Some(pool) => pool.spawn_fifo(guarded),
        None => guarded(),
    }
    receiver
}
