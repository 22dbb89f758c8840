//! Messages on their way from JavaScript: a row of numbers for each, and the payloads.

use std::sync::Arc;

use oxws_protocol::frame::Opcode;
use oxws_protocol::{MessageKind, PreparedMessage};

use crate::border::{flag, message};

/// The number of values in each row.
pub(crate) const ROW: usize = message::WIDTH as usize;

/// The flags of a frame to send: see [`flag`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flags(pub(crate) u32);

impl Flags {
    pub(crate) fn fin(self) -> bool {
        self.0 & flag::FIN != 0
    }

    pub(crate) fn compress(self) -> bool {
        self.0 & flag::RSV1 != 0
    }

    pub(crate) fn mask(self) -> bool {
        self.0 & flag::MASK != 0
    }

    /// Returns whether to report when the system has taken the message.
    pub(crate) fn ack(self) -> bool {
        self.0 & flag::ACK != 0
    }

    /// Returns whether the message was withdrawn.
    fn skip(self) -> bool {
        self.0 & flag::SKIP != 0
    }

    /// Returns whether the payload is written as it is, without a frame around it.
    pub(crate) fn raw(self) -> bool {
        self.0 & flag::RAW != 0
    }

    /// Returns whether the row stands for a prepared message.
    fn prepared(self) -> bool {
        self.0 & flag::PREPARED != 0
    }

    /// Returns the type of the message or the opcode of the control frame.
    pub(crate) fn kind(self) -> Option<FrameKind> {
        Some(match self.0 & flag::OPCODE {
            0x1 => FrameKind::Message(MessageKind::Text),
            0x2 => FrameKind::Message(MessageKind::Binary),
            0x8 => FrameKind::Control(Opcode::Close),
            0x9 => FrameKind::Control(Opcode::Ping),
            0xa => FrameKind::Control(Opcode::Pong),
            _ => return None,
        })
    }
}

/// A message or control frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameKind {
    Message(MessageKind),
    Control(Opcode),
}

/// The messages that JavaScript hands over at a time.
#[derive(Clone, Copy)]
pub(crate) struct Outbox<'a> {
    pub(crate) rows: &'a [u32],
    pub(crate) bytes: &'a [u8],
    /// The prepared messages to which rows refer.
    pub(crate) prepared: &'a [Arc<PreparedMessage>],
}

/// A row of the outbox.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    /// The number of the row.
    pub(crate) row: usize,
    pub(crate) id: u32,
    pub(crate) flags: Flags,
    /// Where the payload begins. For a prepared message, its number.
    pub(crate) start: usize,
    pub(crate) content: Content<'a>,
}

/// What an entry sends.
#[derive(Clone, Copy)]
pub(crate) enum Content<'a> {
    Payload(&'a [u8]),
    Prepared(&'a Arc<PreparedMessage>),
}

impl Content<'_> {
    /// Returns the length of the payload, in bytes.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Payload(payload) => payload.len(),
            Self::Prepared(message) => message.payload().len(),
        }
    }
}

impl<'a> Outbox<'a> {
    /// An outbox without messages.
    pub(crate) const EMPTY: Outbox<'static> = Outbox {
        rows: &[],
        bytes: &[],
        prepared: &[],
    };

    /// Returns the number of rows.
    pub(crate) fn len(self) -> usize {
        self.rows.len() / ROW
    }

    /// Returns the message of a row. Returns `None` if it was withdrawn, and if the row
    /// points to nothing.
    pub(crate) fn entry(self, row: usize) -> Option<Entry<'a>> {
        let values = self.rows.get(row * ROW..(row + 1) * ROW)?;
        let [id, bits, start, end] = [message::ID, message::FLAGS, message::START, message::END]
            .map(|column| values[column as usize]);
        let flags = Flags(bits);
        let start = start as usize;
        let content = if flags.prepared() {
            Content::Prepared(self.prepared.get(start)?)
        } else {
            Content::Payload(self.bytes.get(start..end as usize)?)
        };
        (!flags.skip()).then_some(Entry {
            row,
            id,
            flags,
            start,
            content,
        })
    }

    /// Returns the messages, without those that were withdrawn.
    pub(crate) fn entries(self) -> impl Iterator<Item = Entry<'a>> {
        (0..self.len()).filter_map(move |row| self.entry(row))
    }
}

/// Some messages of one connection, in the order of their rows: the first and the last of
/// them. [`Links`] has the others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chain {
    first: u32,
    last: u32,
}

/// For each row of an outbox, the next row of the same chain.
#[derive(Default)]
pub(crate) struct Links(Vec<u32>);

/// The link of the last row.
const NONE: u32 = u32::MAX;

impl Links {
    /// Returns a chain to which this row is added.
    pub(crate) fn add(&mut self, chain: Option<Chain>, row: usize) -> Chain {
        let added = row as u32;
        if self.0.len() <= row {
            self.0.resize(row + 1, NONE);
        }
        self.0[row] = NONE;
        match chain {
            Some(chain) => {
                self.0[chain.last as usize] = added;
                Chain {
                    first: chain.first,
                    last: added,
                }
            }
            None => Chain {
                first: added,
                last: added,
            },
        }
    }

    /// Returns the messages of a chain.
    pub(crate) fn entries<'a>(
        &'a self,
        chain: Chain,
        outbox: Outbox<'a>,
    ) -> impl Iterator<Item = Entry<'a>> + Clone {
        std::iter::successors(Some(chain.first), |row| {
            Some(self.0[*row as usize]).filter(|next| *next != NONE)
        })
        .filter_map(move |row| outbox.entry(row as usize))
    }
}
