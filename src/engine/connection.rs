//! What one connection sends.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use oxws_protocol::frame::{FrameHead, Opcode};
use oxws_protocol::{mask, Encoder, MessageOptions};

use super::core::place;
use super::mask_keys;
use super::outbox::{Flags, What};
use super::socket::WriteHalf;

/// Payloads at least this long, in bytes, are compressed on another thread.
pub(crate) const HEAVY: usize = 64 * 1024;

/// Bytes of automatic pongs that wait for the socket; beyond them only the latest
/// ping is answered (RFC 6455, 5.5.3).
const MAX_WAITING_PONGS: usize = 16 * 1024;

/// The most pieces that one system call writes.
const MAX_SLICES: usize = 64;

/// Bytes that somebody else keeps until they are sent.
pub(crate) type Shared = Box<dyn AsRef<[u8]> + Send>;

/// A piece of what is to be written.
enum Segment {
    Own(Vec<u8>),
    Shared(Shared),
}

impl Segment {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) => (**bytes).as_ref(),
        }
    }
}

/// Something to be sent that has to wait for a message that is being compressed.
struct Held {
    flags: Flags,
    payload: Vec<u8>,
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

/// The bytes that a connection was given and the system has not taken. The thread of
/// the engine writes it, that of JavaScript reads it.
#[derive(Clone, Default)]
pub(crate) struct Queued(Arc<AtomicUsize>);

impl Queued {
    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    /// It may be cleared at any time by the engine, and stays at 0 then.
    pub(crate) fn subtract(&self, bytes: usize) {
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |queued| {
                Some(queued.saturating_sub(bytes))
            });
    }

    fn clear(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// For each place of the table, whose bytes are counted there. JavaScript's thread has
/// it.
#[derive(Clone, Default)]
pub(crate) struct Counters(Rc<RefCell<Vec<(u32, Queued)>>>);

impl Counters {
    /// A counter for a new connection.
    pub(crate) fn open(&self, id: u32) -> Queued {
        let mut table = self.0.borrow_mut();
        let place = place(id);
        if table.len() <= place {
            table.resize_with(place + 1, || (u32::MAX, Queued::default()));
        }
        let queued = Queued::default();
        table[place] = (id, queued.clone());
        queued
    }

    /// The bytes of a connection.
    pub(crate) fn bytes(&self, id: u32) -> usize {
        self.with(id, Queued::bytes).unwrap_or(0)
    }

    /// Counts bytes that are on their way to the engine.
    pub(crate) fn add(&self, id: u32, bytes: usize) {
        self.with(id, |queued| queued.add(bytes));
    }

    fn with<T>(&self, id: u32, body: impl FnOnce(&Queued) -> T) -> Option<T> {
        let table = self.0.borrow();
        let (owner, queued) = table.get(place(id))?;
        (*owner == id).then(|| body(queued))
    }
}

/// What is written, and what waits.
struct Out {
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
    queued: Queued,
    /// Where in the stream messages end whose sending is to be told.
    acks: VecDeque<u64>,
    /// Messages that are sent, and not yet told.
    acked: u32,
    waiting_pongs: usize,
    latest_ping: Option<Vec<u8>>,
    /// Whether the socket takes no more for now.
    blocked: bool,
    /// Whether it did since all was written last.
    congested: bool,
    /// Whether all is written after that, and that was not told yet.
    drained: bool,
    /// Whether a close frame was sent: no automatic pong may follow it.
    closing: bool,
    /// Whether the socket takes no more for ever.
    failed: bool,
}

/// One connection.
pub(crate) struct Connection {
    pub(crate) id: u32,
    /// Whether this end masks what it sends by itself.
    masks: bool,
    writer: RefCell<Option<WriteHalf>>,
    out: RefCell<Out>,
    /// The task that receives, and waits for the socket to take more.
    driver: RefCell<Option<Waker>>,
    /// Whether it stands in the list of those to be flushed.
    pub(crate) dirty: Cell<bool>,
    /// Whether this direction of the socket ends when all is written.
    ending: Cell<bool>,
    /// Whether the connection is let go of when all is written.
    released: Cell<bool>,
    paused: Cell<bool>,
}

impl Connection {
    pub(crate) fn new(
        id: u32,
        writer: WriteHalf,
        encoder: Encoder,
        masks: bool,
        queued: Queued,
    ) -> Self {
        Self {
            id,
            masks,
            writer: RefCell::new(Some(writer)),
            out: RefCell::new(Out {
                encoder: Some(encoder),
                held: VecDeque::new(),
                segments: VecDeque::new(),
                first_written: 0,
                tail: Vec::new(),
                appended: 0,
                written: 0,
                queued,
                acks: VecDeque::new(),
                acked: 0,
                waiting_pongs: 0,
                latest_ping: None,
                blocked: false,
                congested: false,
                drained: false,
                closing: false,
                failed: false,
            }),
            driver: RefCell::new(None),
            dirty: Cell::new(false),
            ending: Cell::new(false),
            released: Cell::new(false),
            paused: Cell::new(false),
        }
    }

    /// Appends a message or a control frame. A message that is to be compressed on
    /// another thread comes back.
    pub(crate) fn send(&self, flags: Flags, payload: &[u8]) -> Option<Compression> {
        let out = &mut *self.out.borrow_mut();
        if out.must_copy(flags, payload.len()) {
            let payload = payload.to_vec();
            return out.hold(Held { flags, payload });
        }
        out.append(flags, payload);
        None
    }

    /// Appends a long message, which is not copied if it need not be. It comes back
    /// as with [`send`](Self::send).
    pub(crate) fn send_shared(&self, flags: Flags, payload: Shared) -> Option<Compression> {
        let out = &mut *self.out.borrow_mut();
        let bytes = (*payload).as_ref();
        let must_change = flags.raw() || flags.mask() || out.compresses(flags, bytes.len());
        if must_change || out.must_copy(flags, bytes.len()) {
            let payload = bytes.to_vec();
            return out.hold(Held { flags, payload });
        }
        out.append_shared(flags, payload);
        None
    }

    /// Takes back what was compressed elsewhere, and appends what waited for it, up
    /// to the next that has to be compressed elsewhere, which comes back.
    pub(crate) fn end_compression(&self, done: Compression) -> Option<Compression> {
        let out = &mut *self.out.borrow_mut();
        out.encoder = Some(done.encoder);
        if out.failed {
            return None;
        }
        out.queued.subtract(done.len);
        let before = out.tail.len();
        out.tail.extend_from_slice(&done.frame);
        out.count(before, done.held.flags);
        while let Some(held) = out.held.pop_front() {
            out.queued.subtract(held.payload.len());
            if let Some(next) = out.hold(held) {
                return Some(next);
            }
        }
        None
    }

    /// Counts no more what was on its way, now that it is appended.
    pub(crate) fn discount(&self, bytes: usize) {
        self.out.borrow().queued.subtract(bytes);
    }

    /// Answers a ping.
    pub(crate) fn answer(&self, payload: &[u8]) {
        let out = &mut *self.out.borrow_mut();
        if out.closing || out.failed || self.ending.get() {
            return;
        }
        if out.blocked && out.waiting_pongs >= MAX_WAITING_PONGS {
            out.latest_ping = Some(payload.to_vec());
        } else {
            out.waiting_pongs += out.pong(payload, self.masks);
        }
    }

    /// Writes as much as the socket takes.
    pub(crate) fn flush(&self) {
        let out = &mut *self.out.borrow_mut();
        let writer = self.writer.borrow();
        let Some(writer) = writer.as_ref() else {
            return;
        };
        if out.blocked {
            return;
        }
        match out.write(writer) {
            Ok(()) => {
                if self.ending.get() && out.is_idle() {
                    writer.shutdown();
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                out.blocked = true;
                out.congested = true;
                self.wake();
            }
            // The task that receives finds the reason.
            Err(_) => out.fail(),
        }
    }

    /// Writes on when the socket takes more; pending while something waits for that.
    pub(crate) fn poll_flush(&self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if !self.out.borrow().blocked {
                return Poll::Ready(());
            }
            match self.writer.borrow().as_ref() {
                None => return Poll::Ready(()),
                Some(writer) => {
                    if writer.poll_ready(context).is_pending() {
                        return Poll::Pending;
                    }
                }
            }
            {
                let out = &mut *self.out.borrow_mut();
                out.blocked = false;
                if let Some(payload) = out.latest_ping.take() {
                    out.waiting_pongs += out.pong(&payload, self.masks);
                }
            }
            self.flush();
        }
    }

    /// Ends this direction of the socket when all is written.
    pub(crate) fn end(&self) {
        if !self.ending.replace(true) {
            self.flush();
        }
    }

    /// Lets go of the connection when all is written.
    pub(crate) fn release(&self) {
        self.released.set(true);
        self.end();
        self.wake();
    }

    /// Lets go of the connection now.
    pub(crate) fn destroy(&self) {
        self.released.set(true);
        self.out.borrow_mut().fail();
        if let Some(writer) = self.writer.borrow_mut().take() {
            writer.forget();
        }
        self.wake();
    }

    /// Whether it is let go of, so that no event but the last is of interest.
    pub(crate) fn is_released(&self) -> bool {
        self.released.get()
    }

    /// Whether the socket is not even written to any more.
    pub(crate) fn is_destroyed(&self) -> bool {
        self.writer.borrow().is_none()
    }

    /// Whether all that was to be sent is written.
    pub(crate) fn is_idle(&self) -> bool {
        self.out.borrow().is_idle()
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused.get()
    }

    /// Stops receiving, or goes on.
    pub(crate) fn set_paused(&self, paused: bool) {
        self.paused.set(paused);
        if !paused {
            self.wake();
        }
    }

    /// Remembers the task to wake.
    pub(crate) fn set_driver(&self, context: &Context<'_>) {
        let mut driver = self.driver.borrow_mut();
        match driver.as_mut() {
            Some(waker) => waker.clone_from(context.waker()),
            None => *driver = Some(context.waker().clone()),
        }
    }

    fn wake(&self) {
        if let Some(waker) = self.driver.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }

    /// The number of messages that are sent, and that was not told yet.
    pub(crate) fn take_acked(&self) -> u32 {
        std::mem::take(&mut self.out.borrow_mut().acked)
    }

    pub(crate) fn has_acked(&self) -> bool {
        let out = self.out.borrow();
        out.acked > 0 || out.drained
    }

    /// Whether the socket took no more for a while, and has taken all since.
    pub(crate) fn take_drained(&self) -> bool {
        std::mem::take(&mut self.out.borrow_mut().drained)
    }
}

impl Out {
    fn is_idle(&self) -> bool {
        self.failed || (self.encoder.is_some() && self.appended == self.written)
    }

    fn compresses(&self, flags: Flags, len: usize) -> bool {
        let is_message = matches!(flags.what(), Some(What::Message(_)));
        is_message
            && (self.encoder.as_ref())
                .is_some_and(|encoder| encoder.compresses(len, flags.compress()))
    }

    /// Whether it cannot be appended right now.
    fn must_copy(&self, flags: Flags, len: usize) -> bool {
        self.encoder.is_none() || (len >= HEAVY && self.compresses(flags, len))
    }

    /// Appends what may have to wait, or to be compressed on another thread.
    fn hold(&mut self, held: Held) -> Option<Compression> {
        let len = held.payload.len();
        if self.failed {
            return None;
        }
        if !self.must_copy(held.flags, len) {
            self.append(held.flags, &held.payload);
            return None;
        }
        self.queued.add(len);
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
    fn append(&mut self, flags: Flags, payload: &[u8]) {
        if self.failed {
            return;
        }
        let mask = key(flags.mask());
        let before = self.tail.len();
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

    /// Appends a frame whose payload is neither copied nor changed.
    fn append_shared(&mut self, flags: Flags, payload: Shared) {
        let len = (*payload).as_ref().len();
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
        self.queued.add(len);
        self.count(before, flags);
        self.seal();
        self.segments.push_back(Segment::Shared(payload));
    }

    /// Appends a pong; its length.
    fn pong(&mut self, payload: &[u8], masked: bool) -> usize {
        let before = self.tail.len();
        control(Opcode::Pong, payload, key(masked), &mut self.tail);
        let added = self.tail.len() - before;
        self.appended += added as u64;
        self.queued.add(added);
        added
    }

    /// Counts what the tail has gained since it was `before` long.
    fn count(&mut self, before: usize, flags: Flags) {
        let added = self.tail.len() - before;
        self.appended += added as u64;
        self.queued.add(added);
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

    /// Writes until all is written or the socket refuses.
    fn write(&mut self, writer: &WriteHalf) -> io::Result<()> {
        // The common case is one piece, whose memory is used again.
        if self.segments.is_empty() && !self.tail.is_empty() {
            let written = writer.try_write(&[IoSlice::new(&self.tail)])?;
            self.advance(written);
            if written == self.tail.len() {
                self.tail.clear();
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
            let mut written = writer.try_write(&slices[..count])?;
            self.advance(written);
            while let Some(first) = self.segments.front() {
                let left = first.bytes().len() - self.first_written;
                if written < left {
                    self.first_written += written;
                    break;
                }
                written -= left;
                self.first_written = 0;
                self.segments.pop_front();
            }
        }
        Ok(())
    }

    /// Counts what is written.
    fn advance(&mut self, written: usize) {
        self.written += written as u64;
        self.queued.subtract(written);
        while self.acks.front().is_some_and(|end| *end <= self.written) {
            self.acks.pop_front();
            self.acked += 1;
        }
        if self.appended == self.written {
            self.waiting_pongs = 0;
            self.drained |= std::mem::take(&mut self.congested);
        }
    }

    /// Sends nothing more.
    fn fail(&mut self) {
        self.failed = true;
        self.held.clear();
        self.segments.clear();
        self.tail = Vec::new();
        self.acks.clear();
        self.latest_ping = None;
        self.queued.clear();
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
