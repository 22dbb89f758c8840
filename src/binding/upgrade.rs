//! The class `Upgrade`: an upgrade request that a listener has read.

use std::cell::RefCell;
use std::io;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::sync::Arc;

use napi::bindgen_prelude::{BufferSlice, Result};
use napi::{Env, Error};
use napi_derive::napi;
use oxws_protocol::handshake::server::plain_response;

use super::bytes;
use crate::engine::accepted::Accepted;
use crate::engine::socket::PeerState;

/// An upgrade request that waits for JavaScript's decision. The connection is closed if the
/// object is collected.
#[napi]
pub struct Upgrade(RefCell<Option<Accepted>>);

impl Upgrade {
    pub(super) fn new(accepted: Option<Accepted>) -> Self {
        Self(RefCell::new(accepted))
    }

    /// Takes the connection.
    pub(super) fn take(&self) -> Result<Accepted> {
        self.0.take().ok_or_else(over)
    }
}

#[napi]
impl Upgrade {
    /// Returns whether the connection is open, as far as it is known without reading.
    #[napi]
    pub fn is_open(&self) -> bool {
        let accepted = self.0.borrow();
        (accepted.as_ref())
            .is_some_and(|accepted| matches!(accepted.socket.peer_state(), PeerState::Open))
    }

    /// Returns what has been read after the head of the request.
    #[napi]
    pub fn rest<'env>(&self, env: &'env Env) -> Result<BufferSlice<'env>> {
        let accepted = self.0.borrow();
        let rest = accepted.as_ref().map(|accepted| accepted.rest.clone());
        bytes::buffer(env, rest.unwrap_or_default())
    }

    /// Returns the response that agrees to no subprotocol and no extension.
    #[napi]
    pub fn plain_response(&self) -> Result<String> {
        let accepted = self.0.borrow();
        let accepted = accepted.as_ref().ok_or_else(over)?;
        Ok(plain_response(&accepted.accept))
    }

    /// Returns a duplicate of the descriptor.
    #[napi]
    pub fn duplicate(&self) -> Result<i32> {
        let accepted = self.0.borrow();
        let fd = accepted
            .as_ref()
            .and_then(|accepted| accepted.socket.descriptor().upgrade());
        duplicate(fd)
    }

    /// Hands the connection over: returns its descriptor, which the caller has to close.
    #[napi]
    pub fn hand_over(&self) -> Result<i32> {
        hand_over(self.0.take())
    }

    /// Closes the connection.
    #[napi]
    pub fn destroy(&self) {
        self.0.take();
    }
}

/// Returns a duplicate of a descriptor.
pub(super) fn duplicate(fd: Option<Arc<OwnedFd>>) -> Result<i32> {
    let fd = fd.ok_or_else(over)?;
    let duplicate = fd.try_clone().map_err(system)?;
    Ok(duplicate.into_raw_fd())
}

/// Returns the descriptor of a connection that the engine no longer has.
pub(super) fn hand_over(accepted: Option<Accepted>) -> Result<i32> {
    let fd = accepted.ok_or_else(over)?.hand_over().map_err(system)?;
    Ok(fd.into_raw_fd())
}

/// Returns the error for a connection that no longer exists.
pub(super) fn over() -> Error {
    Error::from_reason("the connection is closed")
}

/// Returns the error for an error of the system.
pub(super) fn system(error: io::Error) -> Error {
    Error::from_reason(error.to_string())
}
