//! Frames that are about to be written to one connection with one system call.

use std::io::IoSlice;
use std::ops::Range;

use bytes::Bytes;
use oxws_protocol::frame::MAX_HEAD_LEN;
use oxws_protocol::Encoder;

use super::framing::{self, append_prepared, key, plain};
use super::outbox::{Content, Entry, Flags, FrameKind};

/// The maximum length of a payload, in bytes, that is copied behind its head. The system
/// takes longer for a further slice than such a copy does.
const MAX_JOINED: usize = 2 * 1024;

/// The maximum number of slices that one system call writes.
pub(crate) const MAX_SLICES: usize = 64;

/// The maximum memory that an empty batch keeps, in bytes.
const MAX_IDLE_CAPACITY: usize = 256 * 1024;

/// Frames that are about to be written to one connection. All connections of a core use
/// the same batch, one after the other.
///
/// Many connections may send the same messages. The frames of the last connection are
/// kept until the next one needs others.
#[derive(Default)]
pub(crate) struct Batch {
    /// Heads, and payloads that were short, masked or compressed.
    bytes: Vec<u8>,
    pieces: Vec<Piece>,
    /// The length of all pieces, in bytes.
    len: usize,
    parts: Vec<Part>,
    /// Whether the frames are those of other connections with the same parts, too.
    is_common: bool,
}

/// A piece of the frames.
enum Piece {
    /// In the bytes of the batch.
    Own(Range<usize>),
    /// In the bytes of the outbox.
    Outbox(Range<usize>),
    /// Of a prepared message.
    Shared(Bytes),
}

/// What is left of a piece that the socket has not taken.
pub(crate) enum Left<'a> {
    Borrowed(&'a [u8]),
    Shared(Bytes),
}

/// What the frame of a message depends on, apart from the message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// On nothing else.
    Common,
    /// On the window for which the prepared message is compressed.
    Window(u8),
    /// On the connection: it is masked, or compressed in the context of earlier messages.
    Own,
}

/// A message in the batch.
#[derive(Clone, Copy)]
pub(crate) struct Part {
    pub(crate) flags: Flags,
    start: usize,
    len: usize,
    form: Form,
    /// Where the frame ends.
    pub(crate) end: usize,
}

impl Batch {
    /// Removes all frames.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        if self.bytes.capacity() > MAX_IDLE_CAPACITY {
            self.bytes = Vec::new();
        }
        self.pieces.clear();
        self.parts.clear();
        self.len = 0;
        self.is_common = true;
    }

    /// Returns the length of all frames, in bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns the messages.
    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Has the batch have exactly the frames of these messages on the encoder's connection.
    pub(crate) fn fill<'a>(
        &mut self,
        entries: impl Iterator<Item = Entry<'a>> + Clone,
        encoder: &mut Encoder,
    ) {
        if !self.has(entries.clone(), encoder) {
            self.clear();
            for entry in entries {
                self.push(&entry, encoder);
            }
            return;
        }
        for entry in entries {
            if let Content::Prepared(message) = entry.content {
                // The encoder has to know that it is sent.
                encoder.prepared(message);
            }
        }
    }

    /// Returns whether the batch has exactly the frames of these messages.
    fn has<'a>(&self, entries: impl Iterator<Item = Entry<'a>>, encoder: &Encoder) -> bool {
        if !self.is_common {
            return false;
        }
        let mut parts = self.parts.iter();
        for entry in entries {
            let is_same = parts.next().is_some_and(|part| {
                part.flags == entry.flags
                    && part.start == entry.start
                    && part.len == entry.content.len()
                    && part.form == form(&entry, encoder)
            });
            if !is_same {
                return false;
            }
        }
        parts.next().is_none()
    }

    /// Appends the frame of a message or control frame.
    fn push(&mut self, entry: &Entry<'_>, encoder: &mut Encoder) {
        let Entry { flags, start, .. } = *entry;
        let form = form(entry, encoder);
        match (entry.content, flags.kind()) {
            (Content::Prepared(message), _) if form == Form::Own => {
                self.append(|out| append_prepared(encoder, message, key(flags.mask()), out));
            }
            (Content::Prepared(message), _) => {
                self.append_shared(encoder.prepared(message).bytes());
            }
            (Content::Payload(payload), _) if flags.raw() => self.append_payload(payload, start),
            (Content::Payload(payload), Some(FrameKind::Message(kind))) if form == Form::Common => {
                let head = encoder.plain_head(kind, payload.len(), plain(flags));
                self.append(|out| head.append(out));
                self.append_payload(payload, start);
            }
            (Content::Payload(payload), _) => self.append(|out| {
                framing::append(Some(encoder), flags, payload, out);
            }),
        }
        self.is_common &= form != Form::Own;
        self.parts.push(Part {
            flags,
            start,
            len: entry.content.len(),
            form,
            end: self.len,
        });
    }

    /// Appends bytes that `write` appends to the buffer that it gets.
    fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        write(&mut self.bytes);
        let end = self.bytes.len();
        self.len += end - start;
        match self.pieces.last_mut() {
            Some(Piece::Own(last)) if last.end == start => last.end = end,
            _ => self.pieces.push(Piece::Own(start..end)),
        }
    }

    /// Appends a payload, which is in the outbox at position `start`.
    fn append_payload(&mut self, payload: &[u8], start: usize) {
        if payload.len() <= MAX_JOINED {
            self.append(|bytes| bytes.extend_from_slice(payload));
            return;
        }
        self.len += payload.len();
        self.pieces
            .push(Piece::Outbox(start..start + payload.len()));
    }

    /// Appends a frame of a prepared message.
    fn append_shared(&mut self, frame: &Bytes) {
        if frame.len() <= MAX_JOINED + MAX_HEAD_LEN {
            self.append(|bytes| bytes.extend_from_slice(frame));
            return;
        }
        self.len += frame.len();
        self.pieces.push(Piece::Shared(frame.clone()));
    }

    /// Calls `write` with the frames, as far as one system call can write them. `outbox`
    /// are the bytes of the outbox.
    pub(crate) fn write<T>(&self, outbox: &[u8], write: impl FnOnce(&[IoSlice<'_>]) -> T) -> T {
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
            *slice = IoSlice::new(self.bytes_of(piece, outbox));
            count += 1;
        }
        write(&slices[..count])
    }

    /// Returns what is left after the first `written` bytes.
    pub(crate) fn left<'a>(
        &'a self,
        outbox: &'a [u8],
        written: usize,
    ) -> impl Iterator<Item = Left<'a>> {
        let mut skipped = written;
        self.pieces.iter().filter_map(move |piece| {
            let bytes = self.bytes_of(piece, outbox);
            let from = skipped.min(bytes.len());
            skipped -= from;
            match piece {
                _ if from == bytes.len() => None,
                Piece::Shared(shared) => Some(Left::Shared(shared.slice(from..))),
                Piece::Own(_) | Piece::Outbox(_) => Some(Left::Borrowed(&bytes[from..])),
            }
        })
    }

    fn bytes_of<'a>(&'a self, piece: &'a Piece, outbox: &'a [u8]) -> &'a [u8] {
        match piece {
            Piece::Own(range) => &self.bytes[range.clone()],
            Piece::Outbox(range) => &outbox[range.clone()],
            Piece::Shared(bytes) => bytes,
        }
    }
}

/// Returns what the frame of a message depends on.
fn form(entry: &Entry<'_>, encoder: &Encoder) -> Form {
    let Entry { flags, content, .. } = *entry;
    match content {
        _ if flags.raw() => Form::Common,
        _ if flags.mask() => Form::Own,
        Content::Prepared(message) => {
            (encoder.prepared_window(message)).map_or(Form::Common, Form::Window)
        }
        Content::Payload(payload) => match flags.kind() {
            Some(FrameKind::Message(_)) if encoder.compresses(payload.len(), flags.compress()) => {
                Form::Own
            }
            _ => Form::Common,
        },
    }
}
