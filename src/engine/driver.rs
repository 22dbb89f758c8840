//! The task of one connection: it reads, and writes when the socket becomes writable.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use oxws_protocol::frame::MAX_HEAD_LEN;
use oxws_protocol::{
    decode_heavy, Decoded, Decoder, Event, EventKind, ExpectedFrame, HeavyDone, Payload,
    ProtocolError,
};
use tokio::sync::oneshot::Receiver;

use super::blocking;
use super::connection::Connection;
use super::exchange::Exchange;
use super::inbox::{Inbox, Row, Share, READ};
use super::socket::{Middle, PeerState, Socket};
use crate::border::{ends_as_bytes, kind};

/// The maximum number of reads before other connections have their turn.
const MAX_READS: usize = 8;

/// The maximum number of bytes of earlier input that are decoded at a time.
const MAX_PIECE: usize = 4 * 1024;

/// The minimum length of a payload, in bytes, that JavaScript gets in its own buffer. A
/// shorter one is copied to the inbox, which costs less than the finalizer of a buffer.
/// If at least this many bytes of an uncompressed payload are expected, they are read
/// directly into that buffer.
const MIN_LARGE: usize = 32 * 1024;

/// The minimum length of a text, in bytes, that is checked for being ASCII. JavaScript
/// decodes ASCII in two thirds of the time.
const MIN_ASCII_CHECK: usize = 512;

/// The task of one connection.
pub(crate) struct Driver {
    exchange: Rc<Exchange>,
    connection: Rc<Connection>,
    socket: Rc<Socket>,
    state: State,
    rest: Rest,
    events: WaitingEvents,
    /// The number of bytes received since the last event.
    wire: u32,
    /// What this connection has used of the current batch.
    share: Share,
    peer: Peer,
}

/// What is known of the peer without reading.
#[derive(Default)]
struct Peer {
    /// Whether it has ended its sending direction. Its last data may still be unread.
    has_ended: bool,
    /// Waits for its end, or only for a failure once it has ended. `None` while the input
    /// is read.
    watch: Option<Pin<Box<dyn Future<Output = io::Result<()>>>>>,
}

/// What the task does with its input.
enum State {
    /// It decodes the input. The decoder is taken out during each read.
    Decoding(Box<Decoder>),
    /// Another thread decodes a heavy message.
    Offloaded(Receiver<HeavyDone>),
    /// It drops the input, because a violation has been reported.
    Dropping,
    /// It has to report why receiving ends.
    Ending(EndReason),
    /// It has reported that the peer has ended its sending direction. The connection
    /// may still fail.
    HalfClosed,
    Ended,
}

/// What ends the connection, or its receiving direction.
enum EndReason {
    /// The peer has ended its sending direction.
    Eof,
    Violation(ProtocolError),
    Failed(io::Error),
    /// Writing failed, with this error number of the system.
    WriteFailed(i32),
}

/// Input that has been read but not decoded. Node had read it, the inbox was full, or
/// it follows the beginning or end of a heavy message.
#[derive(Default)]
struct Rest {
    bytes: Vec<u8>,
    /// The bytes before this position have been decoded.
    start: usize,
}

impl Rest {
    fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, start: 0 }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Counts decoded bytes. When all are decoded, the buffer is freed, so that an idle
    /// connection keeps none.
    fn advance(&mut self, count: usize) {
        self.start += count;
        if self.start == self.bytes.len() {
            *self = Self::default();
        }
    }

    fn take(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.drain(..std::mem::take(&mut self.start));
        bytes
    }
}

/// Decoded events that wait for space in the inbox, each with the number of bytes that
/// were received since the event before. They have memory only while there are any.
#[derive(Default)]
#[expect(
    clippy::box_collection,
    reason = "most connections have none, and each pays for the size of this"
)]
struct WaitingEvents(Option<Box<VecDeque<(Event, u32)>>>);

impl WaitingEvents {
    fn new(events: VecDeque<(Event, u32)>) -> Self {
        Self((!events.is_empty()).then(|| Box::new(events)))
    }

    fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    fn push(&mut self, event: Event, wire: u32) {
        self.0.get_or_insert_default().push_back((event, wire));
    }

    fn put_back(&mut self, event: Event, wire: u32) {
        self.0.get_or_insert_default().push_front((event, wire));
    }

    fn take(&mut self) -> Option<(Event, u32)> {
        let events = self.0.as_mut()?;
        let first = events.pop_front();
        if events.is_empty() {
            self.0 = None;
        }
        first
    }
}

/// What the task does next.
enum Step {
    Again,
    /// It waits for space in the inbox.
    Full,
    /// It waits until something wakes it.
    Wait,
}

impl Driver {
    pub(crate) fn new(
        exchange: Rc<Exchange>,
        connection: Rc<Connection>,
        socket: Rc<Socket>,
        decoder: Decoder,
        head: Vec<u8>,
    ) -> Self {
        Self {
            exchange,
            connection,
            socket,
            state: State::Decoding(Box::new(decoder)),
            rest: Rest::new(head),
            events: WaitingEvents::default(),
            wire: 0,
            share: Share::default(),
            peer: Peer::default(),
        }
    }

    /// Returns the ID of the connection.
    pub(crate) fn id(&self) -> u32 {
        self.connection.id
    }

    fn advance(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let connection = self.connection.clone();
        connection.set_driver(context);
        let _ = connection.poll_flush(context);
        self.exchange.report_sent(&connection);
        if connection.is_destroyed() {
            return Poll::Ready(());
        }
        for _ in 0..MAX_READS {
            if connection.is_released() {
                return self.release(context);
            }
            self.report_end(context);
            match self.step(context) {
                Step::Again => {}
                Step::Full | Step::Wait => return Poll::Pending,
            }
        }
        // Other connections have their turn first.
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Reports the end of the sending direction, once.
    fn report_end(&mut self, context: &Context<'_>) {
        if !self.connection.has_end_to_report() {
            return;
        }
        let inbox = &mut *self.exchange.inbox.borrow_mut();
        if inbox.push(Row::bare(self.connection.id, kind::ENDED, 0)) {
            self.connection.note_end_reported();
        } else {
            inbox.wait(context, &self.share);
        }
    }

    /// Releases the connection when everything is written.
    fn release(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if !self.connection.is_idle() {
            return Poll::Pending;
        }
        let inbox = &mut *self.exchange.inbox.borrow_mut();
        if inbox.push(Row::bare(self.connection.id, kind::RELEASED, 0)) {
            self.connection.destroy();
            return Poll::Ready(());
        }
        inbox.wait(context, &self.share);
        Poll::Pending
    }

    fn step(&mut self, context: &mut Context<'_>) -> Step {
        if let State::Offloaded(receiver) = &mut self.state {
            if let Poll::Ready(result) = Pin::new(receiver).poll(context) {
                self.take_back(result.ok());
            }
        }
        if matches!(self.state, State::Ended) {
            return Step::Wait;
        }
        let exchange = self.exchange.clone();
        let inbox = &mut *exchange.inbox.borrow_mut();
        inbox.begin(&mut self.share);
        let is_paused = self.connection.is_paused() && !matches!(self.state, State::Dropping);
        if is_paused || matches!(self.state, State::HalfClosed) {
            return self.watch(inbox, context);
        }
        self.peer.watch = None;
        while let Some((event, wire)) = self.events.take() {
            if !inbox.has_row(&self.share) {
                self.events.put_back(event, wire);
                return self.wait_for_room(inbox, context);
            }
            let ends = match (&mut self.state, event.kind) {
                (State::Decoding(decoder), EventKind::Text | EventKind::Binary) => {
                    decoder.take_fragment_ends()
                }
                _ => Vec::new(),
            };
            self.deliver(inbox, event, ends, wire, 0);
        }
        let step = match &mut self.state {
            State::Decoding(_) => self.receive(inbox, context),
            State::Offloaded(_) => Step::Wait,
            State::Dropping => self.drop_input(context),
            State::Ending(_) => return self.end(inbox, context),
            State::HalfClosed | State::Ended => return Step::Wait,
        };
        match (step, self.connection.write_error()) {
            // Everything received has been reported, unless another thread still
            // has some of it.
            (Step::Wait, Some(error)) if !matches!(self.state, State::Offloaded(_)) => {
                self.finish(EndReason::WriteFailed(error))
            }
            (step, _) => step,
        }
    }

    fn wait_for_room(&mut self, inbox: &mut Inbox, context: &Context<'_>) -> Step {
        inbox.wait(context, &self.share);
        Step::Full
    }

    /// Checks for the end of the connection while nothing is read. A failure is
    /// reported at once. The end of the receiving direction is reported once no
    /// received data waits to be reported.
    fn watch(&mut self, inbox: &mut Inbox, context: &mut Context<'_>) -> Step {
        let holds = !self.rest.bytes().is_empty() || !self.events.is_empty();
        match &self.state {
            State::Ending(EndReason::Failed(_) | EndReason::WriteFailed(_)) => {
                return self.end(inbox, context)
            }
            State::Ending(EndReason::Eof) if !holds => return self.end(inbox, context),
            _ => {}
        }
        // Another thread still has data to report before the end, or the end has
        // been reported.
        let holds = holds || !matches!(self.state, State::Decoding(_));
        if let Some(error) = self.connection.write_error() {
            return self.finish(EndReason::WriteFailed(error));
        }
        if self.peer.has_ended && !holds && matches!(self.socket.peer_state(), PeerState::Ended) {
            return self.finish(EndReason::Eof);
        }
        let watch = self.peer.watch.get_or_insert_with(|| {
            let socket = self.socket.clone();
            Box::pin(socket.hung_up(self.peer.has_ended))
        });
        let Poll::Ready(result) = watch.as_mut().poll(context) else {
            return Step::Wait;
        };
        self.peer.watch = None;
        match result.map_or_else(PeerState::Failed, |()| self.socket.peer_state()) {
            PeerState::Failed(error) => self.finish(EndReason::Failed(error)),
            PeerState::Ended if !holds => self.finish(EndReason::Eof),
            // Data that is not yet read comes before the end. The connection may still fail.
            _ if !self.peer.has_ended => {
                self.peer.has_ended = true;
                Step::Again
            }
            _ => Step::Wait,
        }
    }

    /// Reads from the socket, or takes input that was read earlier, and decodes it.
    fn receive(&mut self, inbox: &mut Inbox, context: &mut Context<'_>) -> Step {
        let State::Decoding(decoder) = &mut self.state else {
            return Step::Wait;
        };
        if let Some(bytes) = self.connection.take_max_payload() {
            decoder.set_max_payload(bytes);
        }
        if let Some(validates) = self.connection.take_validates() {
            decoder.set_validates(validates);
        }
        if decoder.is_heavy() {
            return self.read_heavy(context);
        }
        if self.rest.bytes().is_empty() {
            if decoder.is_in_payload(MIN_LARGE) {
                return self.read_payload(inbox, context);
            }
            if let Some(expected) = decoder.expected_frame(MIN_LARGE) {
                return self.read_frame(expected, inbox, context);
            }
        }
        self.read(inbox, context)
    }

    /// Reads a payload directly into the buffer of its message.
    fn read_payload(&mut self, inbox: &mut Inbox, context: &mut Context<'_>) -> Step {
        // A buffer is taken only when there is something to read.
        if self.socket.poll_readable(context).is_pending() {
            return Step::Wait;
        }
        let State::Decoding(decoder) = &mut self.state else {
            return Step::Wait;
        };
        let Some(buffer) = decoder.payload_buffer(MIN_LARGE) else {
            return self.read(inbox, context);
        };
        let (from, most) = (buffer.data.len(), buffer.room);
        // There is space for the next head. That is usually not filled, which shows that
        // there is no more to read.
        let mut next = [0; MAX_HEAD_LEN];
        let next = &mut next[..if buffer.ends_frame { MAX_HEAD_LEN } else { 0 }];
        let payload = Middle {
            buffer: &mut *buffer.data,
            most,
        };
        let received = (self.socket).poll_scattered(context, &mut [], payload, next);
        let added = buffer.data.len() - from;
        let result = decoder.advance_payload(from);
        match received {
            Poll::Pending => return Step::Wait,
            Poll::Ready(Ok(0)) => return self.finish(EndReason::Eof),
            Poll::Ready(Err(error)) => return self.finish(EndReason::Failed(error)),
            Poll::Ready(Ok(count)) => self.rest = Rest::new(next[..count - added].to_vec()),
        }
        self.deliver_read(inbox, added, result)
    }

    /// Reads a frame that is expected to be like the last one: its head into a few bytes, and
    /// its payload directly into the buffer of its message.
    fn read_frame(
        &mut self,
        expected: ExpectedFrame,
        inbox: &mut Inbox,
        context: &mut Context<'_>,
    ) -> Step {
        if !inbox.has_row(&self.share) {
            return self.wait_for_room(inbox, context);
        }
        // As above.
        if self.socket.poll_readable(context).is_pending() {
            return Step::Wait;
        }
        let buffers = &self.exchange.buffers;
        let mut payload = Vec::new();
        if buffers.try_grow(&mut payload, expected.payload).is_err() {
            return self.read(inbox, context);
        }
        let (mut head, mut next) = ([0; MAX_HEAD_LEN], [0; MAX_HEAD_LEN]);
        let head = &mut head[..expected.head];
        let middle = Middle {
            buffer: &mut payload,
            most: expected.payload,
        };
        let count = match (self.socket).poll_scattered(context, head, middle, &mut next) {
            Poll::Pending => {
                buffers.give(payload);
                return Step::Wait;
            }
            Poll::Ready(Ok(0)) => return self.finish(EndReason::Eof),
            Poll::Ready(Err(error)) => return self.finish(EndReason::Failed(error)),
            Poll::Ready(Ok(count)) => count,
        };
        let State::Decoding(decoder) = &mut self.state else {
            return Step::Wait;
        };
        let head = &head[..count.min(expected.head)];
        let next = &next[..count - head.len() - payload.len()];
        if !decoder.start_payload(head, &mut payload, MIN_LARGE) {
            self.rest = Rest::new([head, &payload, next].concat());
            buffers.give(payload);
            return Step::Again;
        }
        let result = decoder.advance_payload(0);
        payload.extend_from_slice(next);
        let decoded = count - payload.len();
        self.rest = Rest::new(payload);
        self.deliver_read(inbox, decoded, result)
    }

    /// Delivers the event of `count` bytes that were not read into the inbox, if there is one.
    fn deliver_read(
        &mut self,
        inbox: &mut Inbox,
        count: usize,
        result: Result<Option<Event>, ProtocolError>,
    ) -> Step {
        self.wire = self.wire.saturating_add(count as u32);
        match (result, &mut self.state) {
            (Err(error), _) => {
                // Input after a violation is discarded.
                self.rest = Rest::default();
                return self.finish(EndReason::Violation(error));
            }
            (Ok(Some(event)), State::Decoding(decoder)) => {
                let wire = std::mem::take(&mut self.wire);
                if inbox.has_row(&self.share) {
                    let ends = decoder.take_fragment_ends();
                    self.deliver(inbox, event, ends, wire, 0);
                } else {
                    self.events.push(event, wire);
                }
            }
            _ => {}
        }
        Step::Again
    }

    /// Reads into the inbox, and decodes the input there.
    fn read(&mut self, inbox: &mut Inbox, context: &mut Context<'_>) -> Step {
        let rest = self.rest.bytes();
        let is_read = !rest.is_empty();
        let len = if is_read {
            rest.len().min(MAX_PIECE)
        } else {
            READ
        };
        let has_row = inbox.has_row(&self.share);
        let Some((room, start)) = inbox.room(len).filter(|_| has_row) else {
            return self.wait_for_room(inbox, context);
        };
        let count = if is_read {
            room.copy_from_slice(&rest[..len]);
            len
        } else {
            match self.socket.poll_read(context, room) {
                Poll::Pending => return Step::Wait,
                Poll::Ready(Ok(0)) => return self.finish(EndReason::Eof),
                Poll::Ready(Err(error)) => return self.finish(EndReason::Failed(error)),
                Poll::Ready(Ok(count)) => count,
            }
        };
        self.decode(inbox, start, count, is_read)
    }

    /// Decodes `count` bytes of the inbox from position `start` on. They were read just
    /// now, or if `is_rest` is true, they are the beginning of the earlier input.
    fn decode(&mut self, inbox: &mut Inbox, start: usize, count: usize, is_rest: bool) -> Step {
        let State::Decoding(mut decoder) = std::mem::replace(&mut self.state, State::Dropping)
        else {
            return Step::Wait;
        };
        inbox.keep(start + count);
        let mut at = 0;
        let mut is_used = false;
        let mut is_heavy = false;
        let mut violation = None;
        while inbox.has_row(&self.share) {
            let before = at;
            let result = decoder.next(inbox.slice(start, count), &mut at);
            self.wire = self.wire.saturating_add((at - before) as u32);
            match result {
                Ok(Decoded::NeedsInput) => break,
                Ok(Decoded::Heavy) => {
                    is_heavy = true;
                    break;
                }
                Ok(Decoded::Event(event)) => {
                    is_used |= matches!(event.payload, Payload::Input(_));
                    let wire = std::mem::take(&mut self.wire);
                    let ends = match event.payload {
                        Payload::Owned(_) => decoder.take_fragment_ends(),
                        // A payload that is in the input was not fragmented.
                        Payload::Input(_) => Vec::new(),
                    };
                    self.deliver(inbox, event, ends, wire, start);
                }
                Err(error) => {
                    violation = Some(error);
                    break;
                }
            }
        }
        if violation.is_some() {
            // Input after a violation is discarded.
            self.rest = Rest::default();
        } else if is_rest {
            self.rest.advance(at);
        } else if at < count {
            self.rest = Rest::new(inbox.slice(start, count)[at..].to_vec());
        }
        if is_used {
            self.share.add_bytes(count);
        } else {
            inbox.give_back(start, start + count);
        }
        match violation {
            Some(error) => self.finish(EndReason::Violation(error)),
            None if is_heavy => self.offload(decoder),
            None => {
                self.state = State::Decoding(decoder);
                Step::Again
            }
        }
    }

    /// Adds an event to the inbox, which has a row for it. `ends` is where its fragments
    /// end, if that is reported. `chunk` is the position of the input in the inbox.
    fn deliver(
        &mut self,
        inbox: &mut Inbox,
        event: Event,
        ends: Vec<usize>,
        wire: u32,
        chunk: usize,
    ) {
        let mut kind = match event.kind {
            EventKind::Text => kind::TEXT,
            EventKind::Binary => kind::BINARY,
            EventKind::Ping => kind::PING,
            EventKind::Pong => kind::PONG,
            EventKind::Close(_) => kind::CLOSE,
        };
        let extra = match event.kind {
            EventKind::Close(code) => u32::from(code.unwrap_or_default()),
            // 1 more than the number of the payload that lists the ends.
            _ if !ends.is_empty() => 1 + inbox.push_large(ends_as_bytes(&ends)),
            _ => 0,
        };
        if event.masked {
            kind |= kind::MASKED;
        }
        if event.kind == EventKind::Ping && self.connection.options.answers {
            let payload = match &event.payload {
                Payload::Input(range) => &*inbox.slice(chunk + range.start, range.len()),
                Payload::Owned(bytes) => bytes,
            };
            self.connection.answer(payload);
            self.exchange.mark_dirty(&self.connection);
        }
        let (start, end) = match event.payload {
            Payload::Input(range) => (chunk + range.start, chunk + range.end),
            Payload::Owned(bytes) => match inbox.copy(&bytes, MIN_LARGE) {
                Some(start) => {
                    let end = start + bytes.len();
                    self.exchange.buffers.give(bytes);
                    (start, end)
                }
                None => {
                    kind |= kind::LARGE;
                    self.share.add_bytes(bytes.len());
                    (inbox.push_large(bytes) as usize, 0)
                }
            },
        };
        let is_here = kind & kind::LARGE == 0;
        let is_string = event.kind == EventKind::Text && self.connection.options.texts_are_strings;
        if is_string {
            let is_checked = is_here && end - start >= MIN_ASCII_CHECK;
            let is_ascii =
                event.ascii || (is_checked && inbox.slice(start, end - start).is_ascii());
            kind |= if is_ascii { kind::ASCII } else { 0 };
        }
        self.share.rows += 1;
        inbox.push(Row {
            id: self.connection.id,
            kind,
            start: start as u32,
            end: end as u32,
            wire,
            extra,
        });
    }

    /// Reads a piece of a heavy message, and decodes it on another thread.
    fn read_heavy(&mut self, context: &mut Context<'_>) -> Step {
        if self.rest.bytes().is_empty() {
            let mut input = Vec::with_capacity(READ);
            match self.socket.poll_append(context, &mut input, READ) {
                Poll::Pending => return Step::Wait,
                Poll::Ready(Ok(0)) => return self.finish(EndReason::Eof),
                Poll::Ready(Err(error)) => return self.finish(EndReason::Failed(error)),
                Poll::Ready(Ok(_)) => self.rest = Rest::new(input),
            }
        }
        match std::mem::replace(&mut self.state, State::Dropping) {
            State::Decoding(decoder) => self.offload(decoder),
            _ => Step::Wait,
        }
    }

    /// Decodes the earlier input on another thread. There may be none: a heavy message
    /// may end without needing more bytes.
    fn offload(&mut self, decoder: Box<Decoder>) -> Step {
        let input = self.rest.take();
        let wire = std::mem::take(&mut self.wire);
        let receiver = blocking::run(move || decode_heavy(*decoder, input, wire));
        self.state = State::Offloaded(receiver);
        Step::Again
    }

    /// Takes the decoder back. `result` is `None` if the other thread panicked.
    fn take_back(&mut self, result: Option<HeavyDone>) {
        let Some(result) = result else {
            self.finish(EndReason::Failed(io::ErrorKind::Other.into()));
            return;
        };
        self.rest = Rest::new(result.rest);
        self.events = WaitingEvents::new(result.events);
        self.wire = result.wire;
        self.state = match result.error {
            Some(error) => State::Ending(EndReason::Violation(error)),
            None => State::Decoding(Box::new(result.decoder)),
        };
    }

    fn finish(&mut self, reason: EndReason) -> Step {
        self.peer.has_ended |= matches!(reason, EndReason::Eof);
        // The system reports a failure only once. If a write gets it, a later read
        // finds only the end of the stream.
        let reason = match (reason, self.connection.write_error()) {
            (EndReason::Eof, Some(error)) => EndReason::WriteFailed(error),
            (reason, _) => reason,
        };
        self.state = State::Ending(reason);
        Step::Again
    }

    /// Reports what ends the connection.
    fn end(&mut self, inbox: &mut Inbox, context: &mut Context<'_>) -> Step {
        let State::Ending(reason) = &self.state else {
            return Step::Wait;
        };
        if !inbox.has_reserved_row() {
            return self.wait_for_room(inbox, context);
        }
        let id = self.connection.id;
        let number = |error: &io::Error| error.raw_os_error().unwrap_or_default() as u32;
        let (row, next) = match reason {
            EndReason::Eof => (Row::bare(id, kind::END, 0), State::HalfClosed),
            EndReason::Failed(error) => (Row::bare(id, kind::ERROR, number(error)), State::Ended),
            EndReason::WriteFailed(error) => {
                let kind = kind::ERROR | kind::WRITE;
                (Row::bare(id, kind, *error as u32), State::Ended)
            }
            EndReason::Violation(error) => {
                let row = Row {
                    start: error.number() as u32,
                    end: error.detail().into(),
                    wire: std::mem::take(&mut self.wire),
                    ..Row::bare(id, kind::VIOLATION, error.close_code().into())
                };
                (row, State::Dropping)
            }
        };
        self.state = next;
        inbox.push(row);
        Step::Again
    }

    /// Reads and drops the input after a violation, until the peer ends its
    /// sending direction.
    fn drop_input(&mut self, context: &mut Context<'_>) -> Step {
        let mut waste = [0; 4096];
        match self.socket.poll_read(context, &mut waste) {
            Poll::Pending => Step::Wait,
            Poll::Ready(Ok(0)) => self.finish(EndReason::Eof),
            Poll::Ready(Ok(_)) => Step::Again,
            Poll::Ready(Err(error)) => self.finish(EndReason::Failed(error)),
        }
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let result = catch_unwind(AssertUnwindSafe(|| this.advance(context)));
        this.exchange.wake_watcher();
        result.unwrap_or_else(|_| {
            // Only the connection at fault ends.
            this.exchange.lose(&this.connection);
            Poll::Ready(())
        })
    }
}
