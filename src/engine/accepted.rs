//! A connection that a listener has accepted, on its way to JavaScript.

use std::io;
use std::os::fd::OwnedFd;

use super::socket::Socket;

/// A connection that a listener has accepted, until JavaScript decides on it. Dropping it
/// closes the connection.
pub(crate) struct Accepted {
    pub(crate) socket: Socket,
    /// What has been read after the head of the upgrade request. Empty for other requests.
    pub(crate) rest: Vec<u8>,
    /// The `Sec-WebSocket-Accept` of an upgrade request. Empty for other requests.
    pub(crate) accept: String,
}

impl Accepted {
    /// Hands the connection over to Node: returns its descriptor.
    ///
    /// # Errors
    ///
    /// If the descriptor is in use, and no descriptors are left for a duplicate.
    pub(crate) fn hand_over(self) -> io::Result<OwnedFd> {
        self.socket.deregister().into_owned()
    }
}
