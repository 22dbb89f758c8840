//! Messages on their way from JavaScript: a row of numbers for each, and the payloads.

use oxws_protocol::frame::Opcode;
use oxws_protocol::MessageKind;

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
    pub(crate) fn skip(self) -> bool {
        self.0 & flag::SKIP != 0
    }

    /// Returns whether the payload is written as it is, without a frame around it.
    pub(crate) fn raw(self) -> bool {
        self.0 & flag::RAW != 0
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

/// A row of the outbox.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) id: u32,
    pub(crate) flags: Flags,
    /// Where the payload begins.
    pub(crate) start: u32,
    pub(crate) payload: &'a [u8],
}

/// A message in the outbox that is not yet written. The outbox must not change until then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deferred {
    pub(crate) flags: Flags,
    start: u32,
    len: u32,
}

impl From<Entry<'_>> for Deferred {
    fn from(entry: Entry<'_>) -> Self {
        Self {
            flags: entry.flags,
            start: entry.start,
            len: entry.payload.len() as u32,
        }
    }
}

impl Deferred {
    /// Returns the payload. `bytes` are the bytes of the outbox.
    pub(crate) fn payload(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start as usize..][..self.len as usize]
    }
}

/// Returns the messages in `rows`, whose payloads are in `bytes`. Messages that were
/// withdrawn and rows that point outside `bytes` are skipped.
pub(crate) fn entries<'a>(
    rows: &'a [u32],
    bytes: &'a [u8],
) -> impl Iterator<Item = Entry<'a>> + 'a {
    rows.chunks_exact(ROW).filter_map(move |row| {
        let [id, bits, start, end] = [message::ID, message::FLAGS, message::START, message::END]
            .map(|column| row[column as usize]);
        let payload = bytes.get(start as usize..end as usize)?;
        let flags = Flags(bits);
        (!flags.skip()).then_some(Entry {
            id,
            flags,
            start,
            payload,
        })
    })
}
