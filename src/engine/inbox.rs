//! Events on their way to JavaScript: a row of numbers for each, and the payloads.

use std::task::{Context, Waker};

use super::accepted::Accepted;
use super::region::Region;
use crate::border::event;

/// The number of values in each row.
pub(crate) const ROW: usize = event::WIDTH as usize;

/// The maximum length of a read from a socket, in bytes. There is space for one read
/// unless the inbox is full.
pub(crate) const READ: usize = 128 * 1024;

/// The number of bytes of payloads in their own buffers from which on the inbox is full.
const MAX_LARGE_BYTES: usize = 4 * 1024 * 1024;

/// One in this many rows is reserved for events other than received data: messages that were
/// sent, and ends. They are reported with the next batch, however much data is received.
const RESERVED_PART: usize = 8;

/// The maximum number of events of one connection in a batch. Other connections
/// can use the rest.
const MAX_SHARE_ROWS: u32 = 1024;
/// The number of bytes of one connection in a batch after which no event is added. The
/// last event may exceed it.
const MAX_SHARE_BYTES: u32 = 256 * 1024;

/// An event to add.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) id: u32,
    pub(crate) kind: u32,
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) wire: u32,
    pub(crate) extra: u32,
}

impl Row {
    /// Writes the values of the row.
    pub(crate) fn write(&self, target: &mut [u32]) {
        target[event::ID as usize] = self.id;
        target[event::KIND as usize] = self.kind;
        target[event::START as usize] = self.start;
        target[event::END as usize] = self.end;
        target[event::WIRE as usize] = self.wire;
        target[event::EXTRA as usize] = self.extra;
    }

    /// Creates an event without a payload.
    pub(crate) fn bare(id: u32, kind: u32, extra: u32) -> Self {
        Self {
            id,
            kind,
            start: 0,
            end: 0,
            wire: 0,
            extra,
        }
    }
}

/// How much of an inbox is used.
#[derive(Clone, Copy)]
pub(crate) struct Filled {
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
}

/// What one connection has used of a batch.
#[derive(Default)]
pub(crate) struct Share {
    batch: u32,
    pub(crate) rows: u32,
    bytes: u32,
}

impl Share {
    pub(crate) fn add_bytes(&mut self, count: usize) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.bytes = self.bytes.saturating_add(count);
    }
}

/// The events that JavaScript has not seen yet.
pub(crate) struct Inbox {
    rows: Region<u32>,
    bytes: Region<u8>,
    row_count: usize,
    /// The number of rows for received data. The others are reserved.
    event_rows: usize,
    byte_count: usize,
    large: Vec<Vec<u8>>,
    large_bytes: usize,
    /// The accepted connections that rows refer to.
    accepted: Vec<Option<Accepted>>,
    /// The number of the current batch.
    batch: u32,
    /// Tasks that wait for space and have used none of this batch. They are woken first.
    unserved: Vec<Waker>,
    /// Tasks that wait for space and have used some of this batch.
    served: Vec<Waker>,
}

impl Inbox {
    /// Creates an empty inbox in this memory.
    pub(crate) fn new(rows: Region<u32>, bytes: Region<u8>) -> Self {
        assert!(rows.len() >= 2 * ROW && bytes.len() >= READ);
        let capacity = rows.len() / ROW;
        Self {
            rows,
            bytes,
            row_count: 0,
            event_rows: capacity - capacity / RESERVED_PART,
            byte_count: 0,
            large: Vec::new(),
            large_bytes: 0,
            accepted: Vec::new(),
            batch: 1,
            unserved: Vec::new(),
            served: Vec::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.row_count == 0
    }

    /// Returns how much is used.
    pub(crate) fn filled(&self) -> Filled {
        Filled {
            rows: self.row_count,
            bytes: self.byte_count,
        }
    }

    pub(crate) fn rows(&self) -> &[u32] {
        &self.rows[..self.row_count * ROW]
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.byte_count]
    }

    /// Starts a connection's share of the current batch, if it has not started yet.
    pub(crate) fn begin(&self, share: &mut Share) {
        if share.batch != self.batch {
            *share = Share {
                batch: self.batch,
                rows: 0,
                bytes: 0,
            };
        }
    }

    /// Returns whether a connection with this share may add an event.
    #[inline]
    pub(crate) fn has_row(&self, share: &Share) -> bool {
        self.row_count < self.event_rows
            && share.rows < MAX_SHARE_ROWS
            && share.bytes < MAX_SHARE_BYTES
            && self.large_bytes < MAX_LARGE_BYTES
    }

    /// Returns space for `len` bytes, and its position. It is only used after a call to
    /// [`keep`](Self::keep).
    pub(crate) fn room(&mut self, len: usize) -> Option<(&mut [u8], usize)> {
        let start = self.byte_count;
        let room = self.bytes.get_mut(start..start + len)?;
        Some((room, start))
    }

    /// Keeps what was written to [`room`](Self::room) up to position `end`.
    pub(crate) fn keep(&mut self, end: usize) {
        self.byte_count = self.byte_count.max(end);
    }

    /// Returns what was written to [`room`](Self::room).
    pub(crate) fn slice(&mut self, start: usize, len: usize) -> &mut [u8] {
        &mut self.bytes[start..start + len]
    }

    /// Frees the bytes from `start` to `end`, if they were the last ones that were kept.
    pub(crate) fn give_back(&mut self, start: usize, end: usize) {
        if self.byte_count == end {
            self.byte_count = start;
        }
    }

    /// Copies bytes into the inbox, if they are fewer than `limit` and there is space.
    /// Returns their position.
    pub(crate) fn copy(&mut self, bytes: &[u8], limit: usize) -> Option<usize> {
        if bytes.len() >= limit {
            return None;
        }
        let (room, start) = self.room(bytes.len())?;
        room.copy_from_slice(bytes);
        self.keep(start + bytes.len());
        Some(start)
    }

    /// Returns whether there is a row for an event other than received data.
    pub(crate) fn has_reserved_row(&self) -> bool {
        (self.row_count + 1) * ROW <= self.rows.len()
    }

    /// Adds an event. Returns whether there was space for it.
    pub(crate) fn push(&mut self, row: Row) -> bool {
        let start = self.row_count * ROW;
        let Some(target) = self.rows.get_mut(start..start + ROW) else {
            return false;
        };
        row.write(target);
        self.row_count += 1;
        true
    }

    /// Stores a payload in its own buffer, and returns its number.
    pub(crate) fn push_large(&mut self, payload: Vec<u8>) -> u32 {
        self.large_bytes += payload.len();
        self.large.push(payload);
        (self.large.len() - 1) as u32
    }

    /// Takes a payload that is in its own buffer.
    pub(crate) fn take_large(&mut self, number: u32) -> Vec<u8> {
        self.large
            .get_mut(number as usize)
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// Stores an accepted connection, and returns its number.
    pub(crate) fn push_accepted(&mut self, accepted: Accepted) -> u32 {
        self.accepted.push(Some(accepted));
        (self.accepted.len() - 1) as u32
    }

    /// Takes an accepted connection.
    pub(crate) fn take_accepted(&mut self, number: u32) -> Option<Accepted> {
        self.accepted.get_mut(number as usize)?.take()
    }

    /// Takes all accepted connections.
    pub(crate) fn take_all_accepted(&mut self) -> Vec<Option<Accepted>> {
        std::mem::take(&mut self.accepted)
    }

    /// Takes all payloads that are in their own buffers.
    pub(crate) fn take_all_large(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.large)
    }

    /// Wakes the task when [`clear`](Self::clear) has made space.
    pub(crate) fn wait(&mut self, context: &Context<'_>, share: &Share) {
        let list = if share.batch == self.batch && share.rows > 0 {
            &mut self.served
        } else {
            &mut self.unserved
        };
        list.push(context.waker().clone());
    }

    /// Returns the memory of the inbox.
    pub(crate) fn into_memory(self) -> (Region<u32>, Region<u8>) {
        (self.rows, self.bytes)
    }

    /// Removes all events, and wakes the tasks that wait for space.
    pub(crate) fn clear(&mut self) {
        self.row_count = 0;
        self.byte_count = 0;
        self.large.clear();
        self.large_bytes = 0;
        self.accepted.clear();
        self.batch = self.batch.wrapping_add(1);
        for waker in self.unserved.drain(..).chain(self.served.drain(..)) {
            waker.wake();
        }
    }
}
