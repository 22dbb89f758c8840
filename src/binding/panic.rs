//! No panic crosses into Node: unwinding out of an N-API callback would abort it.

use std::panic::{catch_unwind, AssertUnwindSafe};

use napi::{Error, Result, Status};

/// Runs `body`; a panic in it becomes an exception.
///
/// What `body` borrows may be left half changed; callers that keep such state
/// behind the exception make it unusable themselves.
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
