//! The frames that one connection has to write, in the order in which they were sent.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::Bytes;
use oxws_protocol::frame::{Opcode, MAX_HEAD_LEN};
use oxws_protocol::{BufferPool, Encoder, MessageOptions, PreparedMessage};

use super::batch::{Batch, Left, MAX_SLICES};
use super::framing::{self, append_control, append_prepared, key, plain};
use super::outbox::{Content, Entry, Flags, FrameKind};
use super::socket::Socket;
use super::traffic::{Tally, Traffic};

/// The minimum length of a payload, in bytes, that is compressed on another thread.
const MIN_OFFLOADED: usize = 64 * 1024;

/// The maximum length of the automatic pongs that wait for the socket, in bytes. After
/// that, only the latest ping is answered (RFC 6455, 5.5.3).
const MAX_WAITING_PONGS: usize = 16 * 1024;

/// The maximum memory for frames that a connection with nothing to write keeps, in bytes.
const MAX_IDLE_CAPACITY: usize = 4 * 1024;

/// The minimum length of a payload, in bytes, that waits in its own buffer.
const MIN_SEGMENT: usize = 64 * 1024;

/// The minimum length of a prepared message's frame, in bytes, that waits in the memory
/// which all connections share. A shorter one is copied.
const MIN_SHARED: usize = 512;

/// The maximum number of items for which an empty list keeps memory.
const MAX_IDLE_ENTRIES: usize = 64;

/// A message or control frame that waits for a message that is being compressed.
pub(crate) struct Held {
    pub(crate) flags: Flags,
    pub(crate) content: HeldContent,
}

/// What a held frame sends.
pub(crate) enum HeldContent {
    Payload(Vec<u8>),
    Prepared(Arc<PreparedMessage>),
}

impl Held {
    /// Returns a message or frame that does not borrow from the outbox.
    pub(crate) fn of(flags: Flags, content: Content<'_>) -> Self {
        let content = match content {
            Content::Payload(payload) => HeldContent::Payload(payload.to_vec()),
            Content::Prepared(message) => HeldContent::Prepared(message.clone()),
        };
        Self { flags, content }
    }

    fn content(&self) -> Content<'_> {
        match &self.content {
            HeldContent::Payload(payload) => Content::Payload(payload),
            HeldContent::Prepared(message) => Content::Prepared(message),
        }
    }
}

/// Bytes that wait for the socket.
enum Segment {
    Own(Vec<u8>),
    /// Of a prepared message. All connections share its memory.
    Shared(Bytes),
}

impl Segment {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

/// A message that is compressed on another thread.
pub(crate) struct Compression {
    encoder: Encoder,
    held: Held,
    /// The length of the message before compression, in bytes.
    len: usize,
    mask: Option<[u8; 4]>,
    frame: Vec<u8>,
}

impl Compression {
    /// Compresses the message.
    pub(crate) fn run(mut self) -> Self {
        match &mut self.held.content {
            HeldContent::Payload(payload) => {
                if let Some(FrameKind::Message(kind)) = self.held.flags.kind() {
                    let options = MessageOptions {
                        fin: self.held.flags.fin(),
                        compress: true,
                        mask: self.mask,
                    };
                    let payload = std::mem::take(payload);
                    self.encoder
                        .message(kind, &payload, options, &mut self.frame);
                }
            }
            HeldContent::Prepared(message) => {
                append_prepared(&mut self.encoder, message, self.mask, &mut self.frame);
            }
        }
        self
    }
}

/// What waits, except for the tail. A connection has none before something waits.
#[derive(Default)]
struct Backlog {
    /// What waits for the encoder.
    held: VecDeque<Held>,
    /// What waits for the socket.
    segments: VecDeque<Segment>,
    /// The number of bytes of the first segment that have been written.
    first_written: usize,
    /// Where messages with `flag.ACK` end, as positions in the stream.
    acks: VecDeque<u64>,
    /// The payload of the latest ping that is not answered.
    latest_ping: Option<Vec<u8>>,
}

/// The frames that one connection has to write, and what is not yet framed.
pub(crate) struct WriteQueue {
    /// `None` while another thread compresses with it.
    encoder: Option<Encoder>,
    backlog: Option<Box<Backlog>>,
    /// The end of what waits for the socket. New frames are appended to it.
    tail: Vec<u8>,
    /// The number of bytes that were ever appended.
    appended: u64,
    /// The number of bytes that were ever written.
    written: u64,
    tally: Tally,
    traffic: Traffic,
    buffers: BufferPool,
    /// The number of messages with `flag.ACK` that have been sent but not reported.
    acked: u32,
    waiting_pongs: usize,
    /// Whether the socket takes no more for now.
    blocked: bool,
    /// Whether a message that is being compressed is dropped.
    ended: bool,
    /// Whether a close frame was sent. No automatic pong may follow it.
    closing: bool,
    /// Whether nothing can be written any more.
    failed: bool,
    /// The system's error number, if a write failed.
    error: Option<i32>,
}

impl WriteQueue {
    pub(crate) fn new(encoder: Encoder, traffic: Traffic, buffers: BufferPool) -> Self {
        Self {
            encoder: Some(encoder),
            backlog: None,
            tail: Vec::new(),
            appended: 0,
            written: 0,
            tally: Tally::default(),
            traffic,
            buffers,
            acked: 0,
            waiting_pongs: 0,
            blocked: false,
            ended: false,
            closing: false,
            failed: false,
            error: None,
        }
    }

    fn backlog(&mut self) -> &mut Backlog {
        self.backlog.get_or_insert_default()
    }

    fn has_segments(&self) -> bool {
        (self.backlog.as_ref()).is_some_and(|backlog| !backlog.segments.is_empty())
    }

    /// Returns the system's error number if a write failed.
    pub(crate) fn error(&self) -> Option<i32> {
        self.error
    }

    /// Returns whether nothing can be written any more.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }

    /// Returns whether everything has been written.
    pub(crate) fn is_idle(&self) -> bool {
        let is_framed = self.encoder.is_some() || self.ended;
        self.failed || (is_framed && self.appended == self.written)
    }

    /// Returns whether a message or fragment of `len` bytes would be compressed.
    pub(crate) fn compresses(&self, flags: Flags, len: usize) -> bool {
        let is_message = matches!(flags.kind(), Some(FrameKind::Message(_)));
        is_message
            && (self.encoder.as_ref())
                .is_some_and(|encoder| encoder.compresses(len, flags.compress()))
    }

    /// Returns whether a message or frame cannot be appended now, because the encoder
    /// is in use or because the message has to be compressed on another thread.
    pub(crate) fn must_hold(&self, flags: Flags, content: Content<'_>) -> bool {
        let Some(encoder) = &self.encoder else {
            return true;
        };
        if content.len() < MIN_OFFLOADED {
            return false;
        }
        match content {
            Content::Payload(payload) => self.compresses(flags, payload.len()),
            Content::Prepared(message) if encoder.is_within_message() => {
                encoder.compresses(message.payload().len(), message.compress())
            }
            Content::Prepared(message) => (encoder.prepared_window(message))
                .is_some_and(|window_bits| !message.is_compressed(window_bits)),
        }
    }

    /// Appends a message or frame, or keeps it if it has to wait. Returns it if it has
    /// to be compressed on another thread.
    pub(crate) fn hold(&mut self, held: Held) -> Option<Compression> {
        let len = held.content().len();
        if self.failed {
            return None;
        }
        if !self.must_hold(held.flags, held.content()) {
            self.append(held.flags, held.content());
            return None;
        }
        self.tally.accepted += len as u64;
        let Some(encoder) = self.encoder.take() else {
            self.backlog().held.push_back(held);
            return None;
        };
        Some(Compression {
            encoder,
            mask: key(held.flags.mask()),
            held,
            len,
            frame: Vec::new(),
        })
    }

    /// Appends a message or frame.
    pub(crate) fn append(&mut self, flags: Flags, content: Content<'_>) {
        if self.failed {
            return;
        }
        let payload = match (content, &mut self.encoder) {
            (Content::Payload(payload), _) => payload,
            (Content::Prepared(_), None) => return,
            (Content::Prepared(message), Some(encoder)) => {
                let is_copied = flags.mask() || encoder.is_within_message();
                if !is_copied && encoder.prepared(message).bytes().len() >= MIN_SHARED {
                    let frame = encoder.prepared(message).bytes().clone();
                    self.count(frame.len(), flags);
                    self.append_shared(frame);
                    return;
                }
                let before = self.tail.len();
                append_prepared(encoder, message, key(flags.mask()), &mut self.tail);
                self.count(self.tail.len() - before, flags);
                return;
            }
        };
        let before = self.tail.len();
        let needed = before + payload.len() + MAX_HEAD_LEN;
        if needed > self.tail.capacity() {
            // Double the capacity, so that many small messages do not each move the tail.
            let capacity = needed.max(2 * self.tail.capacity());
            self.buffers.grow(&mut self.tail, capacity);
        }
        self.closing |= flags.kind() == Some(FrameKind::Control(Opcode::Close));
        if framing::append(self.encoder.as_mut(), flags, payload, &mut self.tail) {
            self.count(self.tail.len() - before, flags);
        }
    }

    /// Returns whether a message or frame can be written directly, without being appended
    /// first.
    pub(crate) fn may_write_directly(&self, flags: Flags, content: Content<'_>) -> bool {
        let is_whole = (self.encoder.as_ref())
            .is_some_and(|encoder| flags.fin() && !encoder.is_within_message());
        let is_clear = !self.blocked && !self.failed && self.is_idle();
        is_clear && (is_whole || flags.raw()) && !self.must_hold(flags, content)
    }

    /// Writes messages directly, each of which
    /// [may be](Self::may_write_directly). Only what the socket does not take at once is
    /// appended. `outbox` are the bytes of the outbox.
    pub(crate) fn write_batch<'a>(
        &mut self,
        entries: impl Iterator<Item = Entry<'a>> + Clone,
        outbox: &[u8],
        batch: &mut Batch,
        socket: &Socket,
    ) {
        let Some(encoder) = &mut self.encoder else {
            return;
        };
        batch.fill(entries, encoder);
        let start = self.appended;
        self.appended += batch.len() as u64;
        self.tally.accepted += batch.len() as u64;
        for part in batch.parts() {
            self.closing |= part.flags.kind() == Some(FrameKind::Control(Opcode::Close));
            if part.flags.ack() {
                let end = start + part.end as u64;
                self.backlog().acks.push_back(end);
            }
        }
        if batch.len() == 0 {
            self.advance(0);
            return;
        }
        // One system call may not take all pieces.
        let mut offered = 0;
        let result = batch.write(outbox, |slices| {
            offered = slices.iter().map(|slice| slice.len()).sum();
            socket.write(slices)
        });
        let Some(written) = self.advance_by(result) else {
            return;
        };
        self.blocked = written < offered;
        for left in batch.left(outbox, written) {
            match left {
                Left::Borrowed(bytes) => self.append_payload(bytes.into(), 0),
                Left::Shared(bytes) => self.append_shared(bytes),
            }
        }
    }

    /// Appends a frame of a prepared message, or the rest of one.
    fn append_shared(&mut self, frame: Bytes) {
        self.seal();
        self.backlog().segments.push_back(Segment::Shared(frame));
    }

    /// Writes a long message directly, which is neither masked nor compressed. Only what
    /// the socket does not take at once is appended.
    pub(crate) fn write_directly(&mut self, flags: Flags, payload: Cow<'_, [u8]>, socket: &Socket) {
        let (Some(FrameKind::Message(kind)), Some(encoder)) = (flags.kind(), &mut self.encoder)
        else {
            return;
        };
        let mut head = [0; MAX_HEAD_LEN];
        let head_len = encoder
            .plain_head(kind, payload.len(), plain(flags))
            .write(&mut head);
        let head = &head[..head_len];
        self.count(head_len + payload.len(), flags);
        let result = socket.write(&[IoSlice::new(head), IoSlice::new(&payload)]);
        let Some(written) = self.advance_by(result) else {
            return;
        };
        if written < head_len + payload.len() {
            self.tail.extend_from_slice(&head[written.min(head_len)..]);
            self.append_payload(payload, written.saturating_sub(head_len));
            self.blocked = true;
        } else if let Cow::Owned(bytes) = payload {
            self.buffers.give(bytes);
        }
    }

    /// Writes the response that ends the handshake. Only what the socket does not take at
    /// once is kept.
    pub(crate) fn write_response(&mut self, response: &[u8], socket: &Socket) {
        self.appended += response.len() as u64;
        self.tally.accepted += response.len() as u64;
        let Some(written) = self.advance_by(socket.write(&[IoSlice::new(response)])) else {
            return;
        };
        if written < response.len() {
            self.tail.extend_from_slice(&response[written..]);
            self.blocked = true;
        }
    }

    /// Takes the result of a direct write. Returns the number of bytes written, or `None`
    /// if the write failed.
    fn advance_by(&mut self, result: io::Result<usize>) -> Option<usize> {
        let written = match result {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => {
                self.fail(Some(&error));
                return None;
            }
        };
        self.advance(written);
        Some(written)
    }

    /// Appends a payload from position `from` on.
    fn append_payload(&mut self, payload: Cow<'_, [u8]>, from: usize) {
        match payload {
            Cow::Borrowed(bytes) if bytes.len() - from < MIN_SEGMENT => {
                self.tail.extend_from_slice(&bytes[from..]);
            }
            Cow::Borrowed(bytes) => {
                let bytes = &bytes[from..];
                self.seal();
                let mut own = Vec::new();
                self.buffers.grow(&mut own, bytes.len());
                own.extend_from_slice(bytes);
                self.backlog().segments.push_back(Segment::Own(own));
            }
            Cow::Owned(mut bytes) => {
                self.seal();
                let backlog = self.backlog();
                if backlog.segments.is_empty() {
                    backlog.first_written = from;
                } else {
                    bytes.drain(..from);
                }
                backlog.segments.push_back(Segment::Own(bytes));
            }
        }
    }

    /// Appends a frame with a long payload, which is neither masked nor compressed.
    pub(crate) fn append_segment(&mut self, flags: Flags, payload: Cow<'_, [u8]>) {
        let (Some(FrameKind::Message(kind)), Some(encoder)) = (flags.kind(), &mut self.encoder)
        else {
            return;
        };
        if self.failed {
            return;
        }
        let before = self.tail.len();
        encoder
            .plain_head(kind, payload.len(), plain(flags))
            .append(&mut self.tail);
        self.count(self.tail.len() - before + payload.len(), flags);
        self.append_payload(payload, 0);
    }

    /// Takes the encoder and the frame of a finished compression, and appends what waited
    /// for it. Returns the next message that has to be compressed on another thread.
    pub(crate) fn end_compression(&mut self, done: Compression) -> Option<Compression> {
        self.encoder = Some(done.encoder);
        if self.failed || self.ended {
            return None;
        }
        self.tally.accepted -= done.len as u64;
        self.tail.extend_from_slice(&done.frame);
        self.count(done.frame.len(), done.held.flags);
        while let Some(held) = self.next_held() {
            self.tally.accepted -= held.content().len() as u64;
            if let Some(next) = self.hold(held) {
                return Some(next);
            }
        }
        None
    }

    /// Takes the next message or frame that waits for the encoder.
    fn next_held(&mut self) -> Option<Held> {
        let held = &mut self.backlog.as_mut()?.held;
        let next = held.pop_front();
        shrink_if_empty(held);
        next
    }

    /// Counts posted bytes as arrived, so that they are not counted twice.
    pub(crate) fn count_arrived(&mut self, bytes: usize) {
        self.tally.arrived += bytes as u64;
    }

    /// Publishes the byte counts to JavaScript's thread.
    pub(crate) fn publish(&self) {
        self.traffic.publish(&self.tally);
    }

    /// Answers a ping.
    pub(crate) fn answer(&mut self, payload: &[u8], masked: bool) {
        if self.closing || self.failed {
            return;
        }
        if self.blocked && self.waiting_pongs >= MAX_WAITING_PONGS {
            self.backlog().latest_ping = Some(payload.to_vec());
            return;
        }
        let before = self.tail.len();
        append_control(Opcode::Pong, payload, key(masked), &mut self.tail);
        let added = self.tail.len() - before;
        self.waiting_pongs += added;
        self.count(added, Flags(0));
    }

    /// Counts the bytes of a message or frame that is appended.
    fn count(&mut self, added: usize, flags: Flags) {
        self.appended += added as u64;
        self.tally.accepted += added as u64;
        if flags.ack() {
            let end = self.appended;
            self.backlog().acks.push_back(end);
        }
    }

    /// Turns the tail into a segment.
    fn seal(&mut self) {
        if !self.tail.is_empty() {
            let tail = std::mem::take(&mut self.tail);
            self.backlog().segments.push_back(Segment::Own(tail));
        }
    }

    /// Returns whether the socket takes no more for now.
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Called when the socket may take more.
    pub(crate) fn unblock(&mut self, masked: bool) {
        self.blocked = false;
        let latest = (self.backlog.as_mut()).and_then(|backlog| backlog.latest_ping.take());
        if let Some(payload) = latest {
            self.answer(&payload, masked);
        }
    }

    pub(crate) fn take_acked(&mut self) -> u32 {
        std::mem::take(&mut self.acked)
    }

    pub(crate) fn has_acked(&self) -> bool {
        self.acked > 0
    }

    /// Writes until everything is written or the socket takes no more.
    pub(crate) fn flush(&mut self, socket: &Socket) {
        // Messages without any bytes need no write: count them as sent.
        self.advance(0);
        match self.write(socket) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.blocked = true;
            }
            Err(error) => self.fail(Some(&error)),
        }
    }

    /// Writes until everything is written or the socket returns an error.
    fn write(&mut self, socket: &Socket) -> io::Result<()> {
        // In the common case there is only the tail, and its memory is used again.
        if !self.has_segments() {
            if self.tail.is_empty() {
                return Ok(());
            }
            let written = socket.write(&[IoSlice::new(&self.tail)])?;
            self.advance(written);
            if written == self.tail.len() {
                self.tail.clear();
                if self.tail.capacity() > MAX_IDLE_CAPACITY {
                    self.buffers.give(std::mem::take(&mut self.tail));
                }
                return Ok(());
            }
            self.backlog().first_written = written;
        }
        self.seal();
        while self.has_segments() {
            let written = self.write_segments(socket)?;
            self.advance(written);
        }
        Ok(())
    }

    /// Writes segments, with one system call. Returns the number of bytes written.
    fn write_segments(&mut self, socket: &Socket) -> io::Result<usize> {
        let Some(backlog) = &mut self.backlog else {
            return Ok(0);
        };
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let mut count = 0;
        for (slice, segment) in slices.iter_mut().zip(&backlog.segments) {
            let skipped = if count == 0 { backlog.first_written } else { 0 };
            *slice = IoSlice::new(&segment.bytes()[skipped..]);
            count += 1;
        }
        let written = socket.write(&slices[..count])?;
        let mut left = written;
        while let Some(first) = backlog.segments.front() {
            let rest = first.bytes().len() - backlog.first_written;
            if left < rest {
                backlog.first_written += left;
                break;
            }
            left -= rest;
            backlog.first_written = 0;
            if let Some(Segment::Own(bytes)) = backlog.segments.pop_front() {
                self.buffers.give(bytes);
            }
            shrink_if_empty(&mut backlog.segments);
        }
        Ok(written)
    }

    /// Counts written bytes, and the messages that end in them.
    fn advance(&mut self, written: usize) {
        self.written += written as u64;
        self.tally.written += written as u64;
        if let Some(backlog) = &mut self.backlog {
            let acks = &mut backlog.acks;
            while acks.front().is_some_and(|end| *end <= self.written) {
                acks.pop_front();
                self.acked += 1;
                self.traffic.send();
                shrink_if_empty(acks);
            }
        }
        if self.appended == self.written {
            self.waiting_pongs = 0;
        }
    }

    /// Drops what is not yet framed. Frames are still written.
    pub(crate) fn end(&mut self) {
        self.ended = true;
        if self.encoder.is_none() {
            if let Some(backlog) = &mut self.backlog {
                backlog.held.clear();
            }
            // What was dropped counts as never accepted.
            self.tally.accepted = self.appended;
            self.publish();
        }
    }

    /// Drops everything, because a write failed with `error` or, if it is `None`,
    /// because the connection is released.
    pub(crate) fn fail(&mut self, error: Option<&io::Error>) {
        if !self.failed {
            self.error = error.map(|error| error.raw_os_error().unwrap_or_default());
        }
        self.failed = true;
        self.blocked = false;
        self.backlog = None;
        self.tail = Vec::new();
        // What was not written never will be, so it no longer counts as queued.
        self.tally.written = self.tally.accepted;
        self.publish();
    }
}

/// Frees the memory of an empty list that has grown long.
fn shrink_if_empty<T>(list: &mut VecDeque<T>) {
    if list.is_empty() && list.capacity() > MAX_IDLE_ENTRIES {
        *list = VecDeque::new();
    }
}
