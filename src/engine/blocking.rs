//! Threads for work that takes long. All engines of the process share them.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::{Arc, Mutex, PoisonError};

use rayon_core::{ThreadPool, ThreadPoolBuilder};
use tokio::sync::oneshot::{self, Receiver};

/// The maximum number of threads. If the system does not allow so many, fewer are used.
const MAX_THREADS: usize = 4;

/// The thread pool. `None` until it is needed and can be created.
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

/// Runs `work` on another thread, after the work that was queued before it. If no
/// thread can be started, runs it at once on this thread. The receiver gets the result,
/// or an error if `work` panics.
pub(crate) fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
    let (sender, receiver) = oneshot::channel();
    let guarded = move || {
        if let Ok(result) = catch_unwind(AssertUnwindSafe(work)) {
            // Nobody waits for the result if the connection no longer exists.
            let _ = sender.send(result);
        }
    };
    match pool() {
        Some(pool) => pool.spawn_fifo(guarded),
        None => guarded(),
    }
    receiver
}
