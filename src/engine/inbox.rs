//! Events on their way to JavaScript: a row of numbers each, and their payloads.

use std::task::{Context, Waker};

use super::region::Region;
use crate::border::event;

/// The numbers in a row.
pub(crate) const ROW: usize = event::WIDTH as usize;

/// The largest read from a socket, in bytes; there is room for one while the inbox
/// is not full.
pub(crate) const READ: usize = 128 * 1024;

/// Bytes of payloads in memory of their own, beyond which the inbox is full.
const MAX_LARGE: usize = 4 * 1024 * 1024;

/// The part of the rows that is kept for news which is not received: of what is sent,
/// and of ends. However much comes in, they are told with the next batch.
const KEPT_PART: usize = 8;

/// The most events of one connection in a batch, and about the most bytes of them: the
/// others have their share.
const MAX_SHARE_ROWS: usize = 1024;
const MAX_SHARE_BYTES: usize = 256 * 1024;

/// An event to be put in.
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
    /// Writes it, as JavaScript reads it.
    pub(crate) fn write(&self, target: &mut [u32]) {
        target[event::ID as usize] = self.id;
        target[event::KIND as usize] = self.kind;
        target[event::START as usize] = self.start;
        target[event::END as usize] = self.end;
        target[event::WIRE as usize] = self.wire;
        target[event::EXTRA as usize] = self.extra;
    }

    /// An event without a payload.
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

/// How much is in an inbox.
#[derive(Clone, Copy)]
pub(crate) struct Filled {
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
}

/// What one connection has taken of a batch.
#[derive(Default)]
pub(crate) struct Share {
    batch: u64,
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
}

/// The events that JavaScript has not yet seen.
pub(crate) struct Inbox {
    rows: Region<u32>,
    bytes: Region<u8>,
    row_count: usize,
    /// The most rows of events: the rest is kept.
    event_rows: usize,
    byte_count: usize,
    large: Vec<Vec<u8>>,
    large_bytes: usize,
    /// Counts the batches.
    batch: u64,
    /// Who waits for room and had nothing of this batch: they come first next time.
    waiting: Vec<Waker>,
    /// Who had a share.
    sated: Vec<Waker>,
}

impl Inbox {
    /// An empty inbox in this memory.
    pub(crate) fn new(rows: Region<u32>, bytes: Region<u8>) -> Self {
        assert!(rows.len() >= 2 * ROW && bytes.len() >= READ);
        let capacity = rows.len() / ROW;
        Self {
            rows,
            bytes,
            row_count: 0,
            event_rows: capacity - capacity / KEPT_PART,
            byte_count: 0,
            large: Vec::new(),
            large_bytes: 0,
            batch: 1,
            waiting: Vec::new(),
            sated: Vec::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.row_count == 0
    }

    /// How much is in it.
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

    /// Begins a connection's share of a batch, unless it has one of this batch.
    pub(crate) fn begin(&self, share: &mut Share) {
        if share.batch != self.batch {
            *share = Share {
                batch: self.batch,
                rows: 0,
                bytes: 0,
            };
        }
    }

    /// Whether there is room for an event of a connection that has this share.
    #[inline]
    pub(crate) fn has_row(&self, share: &Share) -> bool {
        self.row_count < self.event_rows
            && share.rows < MAX_SHARE_ROWS
            && share.bytes < MAX_SHARE_BYTES
            && self.large_bytes < MAX_LARGE
    }

    /// Room for `len` bytes, and its position. They are kept only once `keep` says so.
    pub(crate) fn room(&mut self, len: usize) -> Option<(&mut [u8], usize)> {
        let start = self.byte_count;
        let room = self.bytes.get_mut(start..start + len)?;
        Some((room, start))
    }

    /// Keeps what was written to `room` up to this position.
    pub(crate) fn keep(&mut self, end: usize) {
        self.byte_count = self.byte_count.max(end);
    }

    /// What was written to `room`.
    pub(crate) fn slice(&mut self, start: usize, len: usize) -> &mut [u8] {
        &mut self.bytes[start..start + len]
    }

    /// Takes back what `keep` kept, if nothing came behind it.
    pub(crate) fn give_back(&mut self, start: usize, end: usize) {
        if self.byte_count == end {
            self.byte_count = start;
        }
    }

    /// Copies bytes in, if they are fewer than `limit` and there is room; where.
    pub(crate) fn copy(&mut self, bytes: &[u8], limit: usize) -> Option<usize> {
        if bytes.len() >= limit {
            return None;
        }
        let (room, start) = self.room(bytes.len())?;
        room.copy_from_slice(bytes);
        self.keep(start + bytes.len());
        Some(start)
    }

    /// Whether there is a row for news that is not received.
    pub(crate) fn has_kept_row(&self) -> bool {
        (self.row_count + 1) * ROW <= self.rows.len()
    }

    /// Adds an event; whether there was room for it.
    pub(crate) fn push(&mut self, row: Row) -> bool {
        let start = self.row_count * ROW;
        let Some(target) = self.rows.get_mut(start..start + ROW) else {
            return false;
        };
        row.write(target);
        self.row_count += 1;
        true
    }

    /// Keeps a payload in memory of its own; its number.
    pub(crate) fn push_large(&mut self, payload: Vec<u8>) -> u32 {
        self.large_bytes += payload.len();
        self.large.push(payload);
        (self.large.len() - 1) as u32
    }

    /// Takes out a payload that is in memory of its own.
    pub(crate) fn take_large(&mut self, number: u32) -> Vec<u8> {
        self.large
            .get_mut(number as usize)
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// Takes out all payloads that are in memory of their own.
    pub(crate) fn take_all_large(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.large)
    }

    /// Wakes the task when `clear` has made room.
    pub(crate) fn wait(&mut self, context: &Context<'_>, share: &Share) {
        let list = if share.batch == self.batch && share.rows > 0 {
            &mut self.sated
        } else {
            &mut self.waiting
        };
        list.push(context.waker().clone());
    }

    /// The memory that it is in.
    pub(crate) fn into_memory(self) -> (Region<u32>, Region<u8>) {
        (self.rows, self.bytes)
    }

    /// Forgets all events, and wakes who waits for room.
    pub(crate) fn clear(&mut self) {
        self.row_count = 0;
        self.byte_count = 0;
        self.large.clear();
        self.large_bytes = 0;
        self.batch += 1;
        for waker in self.waiting.drain(..).chain(self.sated.drain(..)) {
            waker.wake();
        }
    }
}
