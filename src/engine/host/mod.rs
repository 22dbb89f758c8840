//! The hosts: where the engine runs.
//!
//! Both run the same [`Core`](super::core::Core). The host `inline` runs on
//! JavaScript's thread, in libuv's loop. The host `thread` runs on threads of its own.

pub(crate) mod inline;
pub(crate) mod thread;

use std::borrow::Cow;
use std::cell::Cell;
use std::io;
use std::sync::Arc;

use oxws_protocol::{BufferPool, PreparedMessage};

use super::accepted::Accepted;
use super::core::Command;
use super::inbox::Filled;
use super::outbox::Flags;
use super::region::Region;

/// The memory in which JavaScript and the engine exchange events and messages.
pub(crate) struct Boundary {
    pub(crate) inbox_rows: Region<u32>,
    pub(crate) inbox_bytes: Region<u8>,
    pub(crate) outbox_rows: Region<u32>,
    pub(crate) outbox_bytes: Region<u8>,
    /// The pool of buffers for long messages, which do not go through the outbox.
    pub(crate) buffers: BufferPool,
}

/// Why a host cannot start.
#[derive(Debug)]
pub(crate) enum Unavailable {
    /// This program or system does not support it.
    Unsupported,
    /// Descriptors, memory or threads are used up. It may start later.
    Exhausted(io::Error),
}

impl From<io::Error> for Unavailable {
    fn from(error: io::Error) -> Self {
        Self::Exhausted(error)
    }
}

/// Calls JavaScript with the events in the inbox.
pub(crate) type Dispatch = Box<dyn Fn(Filled)>;

/// A host that did not start: the reason, and the arguments that it gives back.
pub(crate) struct NotStarted {
    pub(crate) reason: Unavailable,
    pub(crate) boundary: Boundary,
    pub(crate) dispatch: Dispatch,
}

/// Clears a flag when it is dropped, also during a panic.
pub(crate) struct ClearOnDrop<'a>(pub(crate) &'a Cell<bool>);

impl Drop for ClearOnDrop<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// A host of the engine. All methods are called on JavaScript's thread.
pub(crate) trait Host {
    /// Returns the name: `inline` or `thread`.
    fn name(&self) -> &'static str;

    /// Runs a command.
    fn run(&self, command: Command);

    /// Sends a message that is too long for the outbox. A borrowed payload is not used
    /// after the call.
    fn send_long(&self, id: u32, flags: Flags, payload: Cow<'_, [u8]>);

    /// Sends the first `rows` rows of the outbox, and the prepared messages to which
    /// they refer.
    fn flush(&self, rows: usize, prepared: Vec<Arc<PreparedMessage>>);

    /// Waits until everything is written that the system takes without waiting. Called
    /// before the process ends.
    fn settle(&self);

    /// Takes the payload with this number. Call it only while JavaScript is being called.
    fn take_large(&self, number: u32) -> Vec<u8>;

    /// Takes the accepted connection with this number. Call it only while JavaScript is
    /// being called.
    fn take_accepted(&self, number: u32) -> Option<Accepted>;

    /// Closes a listener. Its descriptor is closed after the call.
    fn unlisten(&self, id: u32);

    /// Sets whether open connections keep the event loop alive.
    fn keep_alive(&self, alive: bool);

    /// Ends the engine. JavaScript is not called after that.
    fn close(&self);
}
