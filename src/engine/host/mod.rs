//! Where the engine runs.
//!
//! Both hosts run the same [`Core`](super::core::Core): `inline` on JavaScript's own
//! thread, inside libuv's loop; `thread` on threads of its own.

pub(crate) mod inline;
pub(crate) mod thread;

use std::borrow::Cow;
use std::cell::Cell;
use std::io;

use oxws_protocol::BufferPool;

use super::core::Command;
use super::inbox::Filled;
use super::outbox::Flags;
use super::region::Region;

/// The memory that JavaScript and the engine exchange events and messages in.
pub(crate) struct Boundary {
    pub(crate) inbox_rows: Region<u32>,
    pub(crate) inbox_bytes: Region<u8>,
    pub(crate) outbox_rows: Region<u32>,
    pub(crate) outbox_bytes: Region<u8>,
    /// Memory of long messages, which do not go through these.
    pub(crate) buffers: BufferPool,
}

/// Why a host does not start.
#[derive(Debug)]
pub(crate) enum Unavailable {
    /// It cannot be, in this program or on this system.
    Here,
    /// It could be, but something is used up now: descriptors, memory or threads.
    Now(io::Error),
}

impl From<io::Error> for Unavailable {
    fn from(error: io::Error) -> Self {
        Self::Now(error)
    }
}

/// Calls JavaScript with what is in the inbox.
pub(crate) type Dispatch = Box<dyn Fn(Filled)>;

/// A host that has not started: the reason, and what it was to be made of.
pub(crate) struct NotStarted {
    pub(crate) reason: Unavailable,
    pub(crate) boundary: Boundary,
    pub(crate) dispatch: Dispatch,
}

/// Clears a flag at the end of its scope, also where that panics.
pub(crate) struct Cleared<'a>(pub(crate) &'a Cell<bool>);

impl Drop for Cleared<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// A place for the engine to run. All of it is for JavaScript's thread.
pub(crate) trait Host {
    /// `inline` or `thread`.
    fn name(&self) -> &'static str;

    /// Carries out a command.
    fn run(&self, command: Command);

    /// Sends a message that is too long for the outbox. Nothing refers to a borrowed
    /// payload afterwards.
    fn send_long(&self, id: u32, flags: Flags, payload: Cow<'_, [u8]>);

    /// Sends the first `rows` rows of the outbox.
    fn flush(&self, rows: usize);

    /// Waits until what was handed over is written, as far as the system takes it at
    /// once: the process ends then.
    fn settle(&self);

    /// Takes the payload with this number; while JavaScript is called only.
    fn take_large(&self, number: u32) -> Vec<u8>;

    /// Whether the loop stays alive for the sake of open connections.
    fn keep_alive(&self, alive: bool);

    /// Ends everything. Nothing is called any more.
    fn close(&self);
}
