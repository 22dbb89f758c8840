//! What one connection has to write: frames, in the order they were sent.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use oxws_protocol::frame::{FrameHead, Opcode, MAX_HEAD_LEN};
use oxws_protocol::{mask, BufferPool, Encoder, MessageOptions};

use super::mask_keys;
use super::outbox::{Flags, What};
use super::socket::WriteHalf;
use super::traffic::Traffic;

/// Payloads at least this long, in bytes, are compressed on another thread.
const HEAVY: usize = 64 * 1024;

/// Bytes of automatic pongs that wait for the socket; beyond them only the latest
/// ping is answered (RFC 6455, 5.5.3).
const MAX_WAITING_PONGS: usize = 16 * 1024;

/// The most bytes of memory that a connection with nothing to write keeps for frames.
const MAX_KEPT: usize = 4 * 1024;

/// The longest payload, in bytes, that is copied behind its head to be written.
const SHORT: usize = 256;

/// The most pieces that one system call writes.
const MAX_SLICES: usize = 64;

/// A piece of what is to be written.
pub(crate) enum Segment {
    Own(Vec<u8>),
    /// Bytes that somebody else keeps until they are sent.
    Lent(Box<dyn AsRef<[u8]> + Send>),
}

impl Segment {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Lent(bytes) => (**bytes).as_ref(),
        }
    }

    /// The bytes as one's own: they are copied if they are lent.
    pub(crate) fn into_own(self) -> Vec<u8> {
        match self {
            Self::Own(bytes) => bytes,
            Self::Lent(bytes) => (*bytes).as_ref().to_vec(),
        }
    }
}

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
    segments: VecDeque<Segment>,
    /// Bytes of the first segment that are written already.
    first_written: usize,
    /// The last of what waits, in one piece that still grows.
    tail: Vec<u8>,
    /// The bytes ever appended, and of them those ever written.
    appended: u64,
    written: u64,
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
    /// Whether a close frame was sent: no automatic pong may follow it.
    closing: bool,
    /// Whether the socket takes no more for ever.
    failed: bool,
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
            traffic,
            buffers,
            acks: VecDeque::new(),
            acked: 0,
            waiting_pongs: 0,
            latest_ping: None,
            blocked: false,
            closing: false,
            failed: false,
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.failed || (self.encoder.is_some() && self.appended == self.written)
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
        self.traffic.accept(len);
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
        payload: &[u8],
        counted: bool,
        writer: &WriteHalf,
    ) {
        let (Some(What::Message(kind)), Some(encoder)) = (flags.what(), &mut self.encoder) else {
            return;
        };
        let options = MessageOptions {
            fin: flags.fin(),
            compress: false,
            mask: None,
        };
        let mut frame = [0; MAX_HEAD_LEN + SHORT];
        let head_len = encoder
            .plain_head(kind, payload.len(), options)
            .write(frame.first_chunk_mut().expect("it has room for a head"));
        let len = head_len + payload.len();
        self.appended += len as u64;
        self.traffic.accept(len);
        if counted {
            self.settle(payload.len());
        }
        if flags.ack() {
            self.acks.push_back(self.appended);
        }
        let result = if payload.len() <= SHORT {
            // One piece costs the system less than two.
            frame[head_len..len].copy_from_slice(payload);
            writer.write(&[IoSlice::new(&frame[..len])])
        } else {
            writer.write(&[IoSlice::new(&frame[..head_len]), IoSlice::new(payload)])
        };
        let written = match result {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => {
                self.fail();
                return;
            }
        };
        self.advance(written);
        if written < len {
            self.tail
                .extend_from_slice(&frame[written.min(head_len)..head_len]);
            self.tail
                .extend_from_slice(&payload[written.saturating_sub(head_len)..]);
        }
    }

    /// Appends a frame whose payload is neither copied nor changed.
    pub(crate) fn append_segment(&mut self, flags: Flags, payload: Segment) {
        let len = payload.bytes().len();
        let (Some(What::Message(kind)), Some(encoder)) = (flags.what(), &mut self.encoder) else {
            return;
        };
        if self.failed {
            return;
        }
        let options = MessageOptions {
            fin: flags.fin(),
            compress: false,
            mask: None,
        };
        let before = self.tail.len();
        encoder
            .plain_head(kind, len, options)
            .append(&mut self.tail);
        self.appended += len as u64;
        self.traffic.accept(len);
        self.count(before, flags);
        self.seal();
        self.segments.push_back(payload);
    }

    /// Takes back what was compressed elsewhere, and appends what waited for it, up to
    /// the next that has to be compressed elsewhere, which comes back.
    pub(crate) fn end_compression(&mut self, done: Compression) -> Option<Compression> {
        self.encoder = Some(done.encoder);
        if self.failed {
            return None;
        }
        self.traffic.discount(done.len);
        let before = self.tail.len();
        self.tail.extend_from_slice(&done.frame);
        self.count(before, done.held.flags);
        while let Some(held) = self.held.pop_front() {
            self.traffic.discount(held.payload.len());
            if let Some(next) = self.hold(held) {
                return Some(next);
            }
        }
        None
    }

    /// Counts no more what was on its way, now that it is appended.
    pub(crate) fn settle(&self, bytes: usize) {
        self.traffic.settle(bytes);
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
        self.traffic.accept(added);
        if flags.ack() {
            self.acks.push_back(self.appended);
        }
    }

    /// Makes a segment of the tail.
    fn seal(&mut self) {
        if !self.tail.is_empty() {
            let tail = std::mem::take(&mut self.tail);
            self.segments.push_back(Segment::Own(tail));
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
    pub(crate) fn flush(&mut self, writer: &WriteHalf) {
        // What is empty is written already.
        self.advance(0);
        match self.write(writer) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.blocked = true;
            }
            // The task that receives finds the reason.
            Err(_) => self.fail(),
        }
    }

    /// Writes until all is written or the socket refuses.
    fn write(&mut self, writer: &WriteHalf) -> io::Result<()> {
        // The common case is one piece, whose memory is used again.
        if self.segments.is_empty() && !self.tail.is_empty() {
            let written = writer.write(&[IoSlice::new(&self.tail)])?;
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
                *slice = IoSlice::new(&segment.bytes()[skipped..]);
                count += 1;
            }
            let mut written = writer.write(&slices[..count])?;
            self.advance(written);
            while let Some(first) = self.segments.front() {
                let left = first.bytes().len() - self.first_written;
                if written < left {
                    self.first_written += written;
                    break;
                }
                written -= left;
                self.first_written = 0;
                if let Some(Segment::Own(bytes)) = self.segments.pop_front() {
                    self.buffers.give(bytes);
                }
            }
        }
        Ok(())
    }

    /// Counts what is written.
    fn advance(&mut self, written: usize) {
        self.written += written as u64;
        self.traffic.write(written);
        while self.acks.front().is_some_and(|end| *end <= self.written) {
            self.acks.pop_front();
            self.acked += 1;
        }
        if self.appended == self.written {
            self.waiting_pongs = 0;
        }
    }

    /// Sends nothing more.
    pub(crate) fn fail(&mut self) {
        self.failed = true;
        self.held.clear();
        self.segments.clear();
        self.tail = Vec::new();
        self.acks.clear();
        self.latest_ping = None;
        self.traffic.clear();
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
