//! What one connection has to write: frames, in the order they were sent.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{self, IoSlice};

use oxws_protocol::frame::{FrameHead, Opcode, MAX_HEAD_LEN};
use oxws_protocol::{mask, BufferPool, Encoder, MessageOptions};

use super::mask_keys;
use super::outbox::{Flags, What};
use super::socket::Socket;
use super::traffic::{Tally, Traffic};

/// Payloads at least this long, in bytes, are compressed on another thread.
const HEAVY: usize = 64 * 1024;

/// Bytes of automatic pongs that wait for the socket; beyond them only the latest
/// ping is answered (RFC 6455, 5.5.3).
const MAX_WAITING_PONGS: usize = 16 * 1024;

/// The most bytes of memory that a connection with nothing to write keeps for frames.
const MAX_KEPT: usize = 4 * 1024;

/// A payload at least this long, in bytes, waits in memory of its own.
const LONG: usize = 64 * 1024;

/// The longest payload, in bytes, that is copied behind its head to be written.
const SHORT: usize = 256;

/// The most pieces that one system call writes.
const MAX_SLICES: usize = 64;

/// The most entries that a list keeps room for when it is empty.
const MAX_KEPT_ENTRIES: usize = 64;

/// Something to be sent that has to wait for a message that is being compressed.
pub(crate) struct Held {
    pub(crate) flags: Flags,
    pub(crate) payload: Vec<u8>,
}

/// A message on its way to another thread, to be compressed there, and back.
pub(crate) struct Compression {
    encoder: Encoder,
    held: Held,
    /// The length of the message before it is compressed.
    len: usize,
    mask: Option<[u8; 4]>,
    frame: Vec<u8>,
}

impl Compression {
    /// Does the work.
    pub(crate) fn run(mut self) -> Self {
        if let Some(What::Message(kind)) = self.held.flags.what() {
            let options = MessageOptions {
                fin: self.held.flags.fin(),
                compress: true,
                mask: self.mask,
            };
            let payload = std::mem::take(&mut self.held.payload);
            self.encoder
                .message(kind, &payload, options, &mut self.frame);
        }
        self
    }
}

/// What is written, and what waits.
pub(crate) struct Out {
    /// `None` while it compresses on another thread.
    encoder: Option<Encoder>,
    /// What waits for that.
    held: VecDeque<Held>,
    /// What waits for the socket, but for the tail.
    segments: VecDeque<Vec<u8>>,
    /// Bytes of the first segment that are written already.
    first_written: usize,
    /// The last of what waits, in one piece that still grows.
    tail: Vec<u8>,
    /// The bytes ever appended, and of them those ever written.
    appended: u64,
    written: u64,
    tally: Tally,
    traffic: Traffic,
    buffers: BufferPool,
    /// Where in the stream messages end whose sending is to be told.
    acks: VecDeque<u64>,
    /// Messages that are sent, and not yet told.
    acked: u32,
    waiting_pongs: usize,
    latest_ping: Option<Vec<u8>>,
    /// Whether the socket takes no more for now.
    blocked: bool,
    /// Whether what is being compressed is dropped.
    ended: bool,
    /// Whether a close frame was sent: no automatic pong may follow it.
    closing: bool,
    /// Whether the socket takes no more for ever...
    failed: bool,
    /// ...and the system's error number, if it was writing that failed.
    error: Option<i32>,
}

impl Out {
    pub(crate) fn new(encoder: Encoder, traffic: Traffic, buffers: BufferPool) -> Self {
        Self {
            encoder: Some(encoder),
            held: VecDeque::new(),
            segments: VecDeque::new(),
            first_written: 0,
            tail: Vec::new(),
            appended: 0,
            written: 0,
            tally: Tally::default(),
            traffic,
            buffers,
            acks: VecDeque::new(),
            acked: 0,
            waiting_pongs: 0,
            latest_ping: None,
            blocked: false,
            ended: false,
            closing: false,
            failed: false,
            error: None,
        }
    }

    /// The system's error number of writing that failed.
    pub(crate) fn error(&self) -> Option<i32> {
        self.error
    }

    /// Whether the socket takes no more for ever.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }

    /// Whether all that will be written is.
    pub(crate) fn is_idle(&self) -> bool {
        let is_framed = self.encoder.is_some() || self.ended;
        self.failed || (is_framed && self.appended == self.written)
    }

    pub(crate) fn compresses(&self, flags: Flags, len: usize) -> bool {
        let is_message = matches!(flags.what(), Some(What::Message(_)));
        is_message
            && (self.encoder.as_ref())
                .is_some_and(|encoder| encoder.compresses(len, flags.compress()))
    }

    /// Whether it cannot be appended right now.
    pub(crate) fn must_copy(&self, flags: Flags, len: usize) -> bool {
        self.encoder.is_none() || (len >= HEAVY && self.compresses(flags, len))
    }

    /// Appends what may have to wait, or to be compressed on another thread.
    pub(crate) fn hold(&mut self, held: Held) -> Option<Compression> {
        let len = held.payload.len();
        if self.failed {
            return None;
        }
        if !self.must_copy(held.flags, len) {
            self.append(held.flags, &held.payload);
            return None;
        }
        self.tally.accepted += len as u64;
        let Some(encoder) = self.encoder.take() else {
            self.held.push_back(held);
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

    /// Appends a frame.
    pub(crate) fn append(&mut self, flags: Flags, payload: &[u8]) {
        if self.failed {
            return;
        }
        let mask = key(flags.mask());
        let before = self.tail.len();
        let needed = before + payload.len() + MAX_HEAD_LEN;
        if needed > self.tail.capacity() {
            // Twice as much, or many small messages would be moved once each.
            let capacity = needed.max(2 * self.tail.capacity());
            self.buffers.grow(&mut self.tail, capacity);
        }
        match (flags.what(), &mut self.encoder) {
            _ if flags.raw() => self.tail.extend_from_slice(payload),
            (Some(What::Message(kind)), Some(encoder)) => {
                let options = MessageOptions {
                    fin: flags.fin(),
                    compress: flags.compress(),
                    mask,
                };
                encoder.message(kind, payload, options, &mut self.tail);
            }
            (Some(What::Control(opcode)), _) => {
                self.closing |= opcode == Opcode::Close;
                control(opcode, payload, mask, &mut self.tail);
            }
            _ => return,
        }
        self.count(before, flags);
    }

    /// Whether a message can be written before it is appended.
    pub(crate) fn may_send_through(&self, flags: Flags, len: usize) -> bool {
        let is_clear = !self.blocked && !self.failed && self.is_idle();
        let is_plain = !flags.raw() && !flags.mask() && !self.compresses(flags, len);
        is_clear && is_plain && matches!(flags.what(), Some(What::Message(_)))
    }

    /// Writes a message from where it is; only what the socket does not take at once is
    /// appended.
    pub(crate) fn send_through(
        &mut self,
        flags: Flags,
        payload: Cow<'_, [u8]>,
        counted: bool,
        socket: &Socket,
    ) {
        let (Some(What::Message(kind)), Some(encoder)) = (flags.what(), &mut self.encoder) else {
            return;
        };
        let mut frame = [0; MAX_HEAD_LEN + SHORT];
        let head_len = encoder
            .plain_head(kind, payload.len(), plain(flags))
            .write(frame.first_chunk_mut().expect("it has room for a head"));
        let len = head_len + payload.len();
        self.appended += len as u64;
        self.tally.accepted += len as u64;
        if counted {
            self.settle(payload.len());
        }
        if flags.ack() {
            self.acks.push_back(self.appended);
        }
        let result = if payload.len() <= SHORT {
            // One piece costs the system less than two.
            frame[head_len..len].copy_from_slice(&payload);
            socket.write(&[IoSlice::new(&frame[..len])])
        } else {
            socket.write(&[IoSlice::new(&frame[..head_len]), IoSlice::new(&payload)])
        };
        let written = match result {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => {
                self.fail(Some(&error));
                return;
            }
        };
        self.advance(written);
        if written < len {
            self.tail
                .extend_from_slice(&frame[written.min(head_len)..head_len]);
            self.keep(payload, written.saturating_sub(head_len));
            self.blocked = true;
        } else if let Cow::Owned(bytes) = payload {
            self.buffers.give(bytes);
        }
    }

    /// Keeps a payload from `from` on, behind what is kept already.
    fn keep(&mut self, payload: Cow<'_, [u8]>, from: usize) {
        match payload {
            Cow::Borrowed(bytes) if bytes.len() - from < LONG => {
                self.tail.extend_from_slice(&bytes[from..]);
            }
            Cow::Borrowed(bytes) => {
                let bytes = &bytes[from..];
                self.seal();
                let mut own = Vec::new();
                self.buffers.grow(&mut own, bytes.len());
                own.extend_from_slice(bytes);
                self.segments.push_back(own);
            }
            Cow::Owned(mut bytes) => {
                self.seal();
                if self.segments.is_empty() {
                    self.first_written = from;
                } else {
                    bytes.drain(..from);
                }
                self.segments.push_back(bytes);
            }
        }
    }

    /// Appends a frame with a long payload, which is neither masked nor compressed.
    pub(crate) fn append_segment(&mut self, flags: Flags, payload: Cow<'_, [u8]>) {
        let (Some(What::Message(kind)), Some(encoder)) = (flags.what(), &mut self.encoder) else {
            return;
        };
        if self.failed {
            return;
        }
        let len = payload.len();
        let before = self.tail.len();
        encoder
            .plain_head(kind, len, plain(flags))
            .append(&mut self.tail);
        self.appended += len as u64;
        self.tally.accepted += len as u64;
        self.count(before, flags);
        self.keep(payload, 0);
    }

    /// Takes back what was compressed elsewhere, and appends what waited for it, up to
    /// the next that has to be compressed elsewhere, which comes back.
    pub(crate) fn end_compression(&mut self, done: Compression) -> Option<Compression> {
        self.encoder = Some(done.encoder);
        if self.failed || self.ended {
            return None;
        }
        self.tally.accepted -= done.len as u64;
        let before = self.tail.len();
        self.tail.extend_from_slice(&done.frame);
        self.count(before, done.held.flags);
        while let Some(held) = self.held.pop_front() {
            give_back(&mut self.held);
            self.tally.accepted -= held.payload.len() as u64;
            if let Some(next) = self.hold(held) {
                return Some(next);
            }
        }
        None
    }

    /// Counts no more what was on its way, now that it is appended.
    pub(crate) fn settle(&mut self, bytes: usize) {
        self.tally.settled += bytes as u64;
    }

    /// Tells JavaScript what is counted, now that what could be written is.
    pub(crate) fn publish(&self) {
        self.traffic.publish(&self.tally);
    }

    /// Answers a ping.
    pub(crate) fn answer(&mut self, payload: &[u8], masked: bool) {
        if self.closing || self.failed {
            return;
        }
        if self.blocked && self.waiting_pongs >= MAX_WAITING_PONGS {
            self.latest_ping = Some(payload.to_vec());
            return;
        }
        let before = self.tail.len();
        control(Opcode::Pong, payload, key(masked), &mut self.tail);
        self.waiting_pongs += self.tail.len() - before;
        self.count(before, Flags(0));
    }

    /// Counts what the tail has gained since it was `before` long.
    fn count(&mut self, before: usize, flags: Flags) {
        let added = self.tail.len() - before;
        self.appended += added as u64;
        self.tally.accepted += added as u64;
        if flags.ack() {
            self.acks.push_back(self.appended);
        }
    }

    /// Makes a segment of the tail.
    fn seal(&mut self) {
        if !self.tail.is_empty() {
            let tail = std::mem::take(&mut self.tail);
            self.segments.push_back(tail);
        }
    }

    /// Whether the socket takes no more for now.
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// The socket may take more.
    pub(crate) fn unblock(&mut self, masked: bool) {
        self.blocked = false;
        if let Some(payload) = self.latest_ping.take() {
            self.answer(&payload, masked);
        }
    }

    pub(crate) fn take_acked(&mut self) -> u32 {
        std::mem::take(&mut self.acked)
    }

    pub(crate) fn has_news(&self) -> bool {
        self.acked > 0
    }

    /// Writes until all is written or the socket takes no more.
    pub(crate) fn flush(&mut self, socket: &Socket) {
        // What is empty is written already.
        self.advance(0);
        match self.write(socket) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.blocked = true;
            }
            Err(error) => self.fail(Some(&error)),
        }
    }

    /// Writes until all is written or the socket refuses.
    fn write(&mut self, socket: &Socket) -> io::Result<()> {
        // The common case is one piece, whose memory is used again.
        if self.segments.is_empty() && !self.tail.is_empty() {
            let written = socket.write(&[IoSlice::new(&self.tail)])?;
            self.advance(written);
            if written == self.tail.len() {
                self.tail.clear();
                if self.tail.capacity() > MAX_KEPT {
                    self.buffers.give(std::mem::take(&mut self.tail));
                }
                return Ok(());
            }
            self.first_written = written;
        }
        self.seal();
        while !self.segments.is_empty() {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let mut count = 0;
            for (slice, segment) in slices.iter_mut().zip(&self.segments) {
                let skipped = if count == 0 { self.first_written } else { 0 };
                *slice = IoSlice::new(&segment[skipped..]);
                count += 1;
            }
            let mut written = socket.write(&slices[..count])?;
            self.advance(written);
            while let Some(first) = self.segments.front() {
                let left = first.len() - self.first_written;
                if written < left {
                    self.first_written += written;
                    break;
                }
                written -= left;
                self.first_written = 0;
                if let Some(bytes) = self.segments.pop_front() {
                    self.buffers.give(bytes);
                    give_back(&mut self.segments);
                }
            }
        }
        Ok(())
    }

    /// Counts what is written.
    fn advance(&mut self, written: usize) {
        self.written += written as u64;
        self.tally.written += written as u64;
        while self.acks.front().is_some_and(|end| *end <= self.written) {
            self.acks.pop_front();
            self.acked += 1;
            self.traffic.send();
            give_back(&mut self.acks);
        }
        if self.appended == self.written {
            self.waiting_pongs = 0;
        }
    }

    /// Sends what is framed already, and drops what is not.
    pub(crate) fn end(&mut self) {
        self.ended = true;
        if self.encoder.is_none() {
            self.held.clear();
            // Only so much will have been accepted at the end.
            self.tally.accepted = self.appended;
            self.publish();
        }
    }

    /// Sends nothing more, because of this error of the system or, without one, since
    /// the connection is let go of.
    pub(crate) fn fail(&mut self, error: Option<&io::Error>) {
        if !self.failed {
            self.error = error.map(|error| error.raw_os_error().unwrap_or_default());
        }
        self.failed = true;
        self.blocked = false;
        self.held.clear();
        self.segments.clear();
        self.tail = Vec::new();
        self.acks.clear();
        self.latest_ping = None;
        // What is not written never will be.
        self.tally.written = self.tally.accepted;
        self.publish();
    }
}

/// Gives back what a burst took, once nothing of it is left.
fn give_back<T>(list: &mut VecDeque<T>) {
    if list.is_empty() && list.capacity() > MAX_KEPT_ENTRIES {
        *list = VecDeque::new();
    }
}

/// The options of a message that is neither masked nor compressed.
fn plain(flags: Flags) -> MessageOptions {
    MessageOptions {
        fin: flags.fin(),
        compress: false,
        mask: None,
    }
}

/// A new masking key, if there is to be one.
fn key(masked: bool) -> Option<[u8; 4]> {
    // Without randomness nothing may be sent that has to be masked; once a system has
    // started it always has some.
    masked.then(|| mask_keys::next().expect("the system has randomness"))
}

fn control(opcode: Opcode, payload: &[u8], key: Option<[u8; 4]>, out: &mut Vec<u8>) {
    let head = FrameHead {
        fin: true,
        rsv1: false,
        opcode,
        len: payload.len(),
        mask: key,
    };
    head.append(out);
    match key {
        Some(key) => mask::extend(out, payload, key),
        None => out.extend_from_slice(payload),
    }
}
