//! Turns panics into exceptions. Unwinding out of an N-API callback would abort Node.

use std::panic::{catch_unwind, AssertUnwindSafe};

use napi::{Error, Result, Status};

/// Runs `body`, and turns a panic in it into an error.
///
/// A panic may leave what `body` borrows half changed. Callers must not use such state again.
#[inline]
pub(super) fn guard<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        Err(Error::new(
            Status::GenericFailure,
            format!("internal error of oxws: {text}"),
        ))
    })
}
