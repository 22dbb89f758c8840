//! The task of one connection: it receives, and writes on when the socket takes more.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::pin::{pin, Pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::BufMut;
use oxws_protocol::deflate::Inflater;
use oxws_protocol::{Decoder, DecoderOptions, Event, EventKind, JsClass, Payload, ProtocolError};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::task::JoinHandle;

use super::connection::Connection;
use super::core::Core;
use super::inbox::{kind, Inbox, Row, READ};
use super::socket::ReadHalf;

/// Reads of one connection before the others have their turn.
const MAX_READS: usize = 8;

/// Events of one connection before the others have their turn.
const MAX_EVENTS: usize = 1024;

/// Input that was read before is decoded in pieces of this many bytes.
const PIECE: usize = 4 * 1024;

/// A plain payload of which at least this much is still to come, in bytes, is read
/// right into the memory that JavaScript will own.
const DIRECT: usize = 64 * 1024;

/// A message at least this long, in bytes, is handed over in its own memory; a shorter
/// one is copied to the inbox, which costs less than that memory's finalizer.
const LARGE: usize = 32 * 1024;

/// In a text at least this long, in bytes, it is worth looking whether it is ASCII, which
/// JavaScript takes in two thirds of the time.
const LONG_TEXT: usize = 512;

/// A compressed message is decoded on another thread from a frame on that is at least
/// this long, in bytes...
const HEAVY_FRAME: u64 = 64 * 1024;

/// ...or once it is this long, in bytes, when decompressed.
const HEAVY_MESSAGE: usize = 1024 * 1024;

/// The task.
pub(crate) struct Driver {
    core: Rc<Core>,
    connection: Rc<Connection>,
    reader: ReadHalf,
    decoding: Decoding,
    /// Input that is read and not yet decoded: Node had read it, the inbox was full, or
    /// it is behind the beginning or end of what is decoded elsewhere.
    rest: Vec<u8>,
    /// Events that were decoded elsewhere.
    events: VecDeque<(Event, u32)>,
    /// Bytes received since the last event.
    wire: u32,
    /// What ends the connection, and is still to be told.
    last: Option<Last>,
    ended: bool,
}

/// A decoder that tells what is better decoded on another thread.
pub(crate) fn decoder(options: DecoderOptions, inflater: Option<Inflater>) -> Decoder {
    let options = DecoderOptions {
        heavy_frame: HEAVY_FRAME,
        heavy_message: HEAVY_MESSAGE,
        ..options
    };
    Decoder::new(options, inflater)
}

/// Where the decoder is.
enum Decoding {
    Here(Decoder),
    Elsewhere(JoinHandle<Elsewhere>),
    Over,
}

/// What comes back from another thread.
struct Elsewhere {
    decoder: Decoder,
    /// Input that is behind the message.
    rest: Vec<u8>,
    events: VecDeque<(Event, u32)>,
    error: Option<ProtocolError>,
    wire: u32,
}

/// What ends a connection.
enum Last {
    Eof,
    Failed(io::Error),
    Violation(ProtocolError),
}

/// Whether there is more to do at once.
enum Step {
    Again,
    /// There is, but the others have their turn first.
    Yield,
    /// Something wakes the task.
    Wait,
}

impl Driver {
    pub(crate) fn new(
        core: Rc<Core>,
        connection: Rc<Connection>,
        reader: ReadHalf,
        decoder: Decoder,
        head: Vec<u8>,
    ) -> Self {
        Self {
            core,
            connection,
            reader,
            decoding: Decoding::Here(decoder),
            rest: head,
            events: VecDeque::new(),
            wire: 0,
            last: None,
            ended: false,
        }
    }

    fn step(&mut self, context: &mut Context<'_>) -> Step {
        let core = self.core.clone();
        let inbox = &mut *core.inbox.borrow_mut();
        if let Decoding::Elsewhere(task) = &mut self.decoding {
            let Poll::Ready(result) = Pin::new(task).poll(context) else {
                return Step::Wait;
            };
            self.come_back(result.ok());
        }
        while !self.events.is_empty() {
            if !inbox.has_row() {
                inbox.wait(context);
                return Step::Wait;
            }
            if let Some((event, wire)) = self.events.pop_front() {
                self.deliver(inbox, event, wire, 0);
            }
        }
        if self.last.is_some() {
            return self.end(inbox, context);
        }
        let Decoding::Here(decoder) = &mut self.decoding else {
            return Step::Wait;
        };
        if let Some(bytes) = self.connection.take_max_payload() {
            decoder.set_max_payload(bytes);
        }
        if decoder.is_heavy() {
            return self.read_elsewhere(context);
        }
        if self.rest.is_empty() {
            if let Some((data, room)) = decoder.direct(DIRECT) {
                let from = data.len();
                let mut target = data.limit(room);
                let read = pin!(self.reader.read_buf(&mut target)).poll(context);
                return match read {
                    Poll::Pending => Step::Wait,
                    Poll::Ready(Ok(0)) => self.finish(Last::Eof),
                    Poll::Ready(Err(error)) => self.finish(Last::Failed(error)),
                    Poll::Ready(Ok(count)) => {
                        let result = decoder.filled(from);
                        self.wire = self.wire.saturating_add(count as u32);
                        match result {
                            Ok(None) => {}
                            Ok(Some(event)) => {
                                let wire = std::mem::take(&mut self.wire);
                                self.events.push_back((event, wire));
                            }
                            Err(error) => return self.finish(Last::Violation(error)),
                        }
                        Step::Again
                    }
                };
            }
        }
        self.read(inbox, context)
    }

    /// Reads from the socket to the inbox, and decodes it there.
    fn read(&mut self, inbox: &mut Inbox, context: &mut Context<'_>) -> Step {
        let len = match self.rest.len() {
            0 => READ,
            rest => rest.min(PIECE),
        };
        let has_row = inbox.has_row();
        let Some((room, start)) = inbox.room(len).filter(|_| has_row) else {
            inbox.wait(context);
            return Step::Wait;
        };
        let count = if self.rest.is_empty() {
            let mut buffer = ReadBuf::new(room);
            match Pin::new(&mut self.reader).poll_read(context, &mut buffer) {
                Poll::Pending => return Step::Wait,
                Poll::Ready(Err(error)) => return self.finish(Last::Failed(error)),
                Poll::Ready(Ok(())) => buffer.filled().len(),
            }
        } else {
            room.copy_from_slice(&self.rest[..len]);
            self.rest.drain(..len);
            len
        };
        if count == 0 {
            return self.finish(Last::Eof);
        }
        self.decode(inbox, start, count)
    }

    /// Decodes what stands in the inbox.
    fn decode(&mut self, inbox: &mut Inbox, start: usize, count: usize) -> Step {
        inbox.keep(start + count);
        let mut at = 0;
        let mut is_used = false;
        let mut left = MAX_EVENTS;
        loop {
            if !inbox.has_row() || left == 0 {
                break;
            }
            let Decoding::Here(decoder) = &mut self.decoding else {
                break;
            };
            let before = at;
            let result = decoder.next(inbox.slice(start, count), &mut at);
            self.wire = self.wire.saturating_add((at - before) as u32);
            match result {
                Ok(None) => break,
                Ok(Some(event)) => {
                    left -= 1;
                    is_used |= matches!(event.payload, Payload::Input(_));
                    let wire = std::mem::take(&mut self.wire);
                    self.deliver(inbox, event, wire, start);
                }
                Err(error) => {
                    // What follows is discarded.
                    at = count;
                    self.finish(Last::Violation(error));
                    break;
                }
            }
        }
        if at < count {
            let unread = inbox.slice(start, count)[at..].iter().copied();
            self.rest.splice(..0, unread);
        }
        if !is_used {
            inbox.give_back(start, start + count);
        }
        if left == 0 {
            Step::Yield
        } else {
            Step::Again
        }
    }

    /// Puts an event into the inbox, which has a row for it.
    fn deliver(&mut self, inbox: &mut Inbox, event: Event, wire: u32, chunk: usize) {
        let mut kind = match event.kind {
            EventKind::Text => kind::TEXT,
            EventKind::Binary => kind::BINARY,
            EventKind::Ping => kind::PING,
            EventKind::Pong => kind::PONG,
            EventKind::Close(_) => kind::CLOSE,
        };
        let extra = match event.kind {
            EventKind::Close(code) => u32::from(code.unwrap_or_default()),
            _ => 0,
        };
        if event.masked {
            kind |= kind::MASKED;
        }
        if event.kind == EventKind::Ping {
            let payload = match &event.payload {
                Payload::Input(range) => &*inbox.slice(chunk + range.start, range.len()),
                Payload::Owned(bytes) => bytes,
            };
            self.connection.answer(payload);
            self.core.mark_dirty(&self.connection);
        }
        let (start, end) = match event.payload {
            Payload::Input(range) => (chunk + range.start, chunk + range.end),
            Payload::Owned(bytes) => match inbox.copy(&bytes, LARGE) {
                Some(start) => {
                    let end = start + bytes.len();
                    self.core.buffers.give(bytes);
                    (start, end)
                }
                None => {
                    kind |= kind::LARGE;
                    (inbox.push_large(bytes) as usize, 0)
                }
            },
        };
        let is_here = kind & kind::LARGE == 0;
        if event.kind == EventKind::Text && is_here && end - start >= LONG_TEXT {
            let is_ascii = inbox.slice(start, end - start).is_ascii();
            kind |= if is_ascii { kind::ASCII } else { 0 };
        }
        inbox.push(Row {
            id: self.connection.id,
            kind,
            start: start as u32,
            end: end as u32,
            wire,
            extra,
        });
    }

    /// Reads a piece of a heavy message, and has it decoded elsewhere.
    fn read_elsewhere(&mut self, context: &mut Context<'_>) -> Step {
        let mut input = std::mem::take(&mut self.rest);
        if input.is_empty() {
            input.reserve_exact(READ);
            match pin!(self.reader.read_buf(&mut input)).poll(context) {
                Poll::Pending => return Step::Wait,
                Poll::Ready(Ok(0)) => return self.finish(Last::Eof),
                Poll::Ready(Err(error)) => return self.finish(Last::Failed(error)),
                Poll::Ready(Ok(_)) => {}
            }
        }
        let Decoding::Here(decoder) = std::mem::replace(&mut self.decoding, Decoding::Over) else {
            return Step::Wait;
        };
        let wire = self.wire;
        let task = tokio::task::spawn_blocking(move || decode_heavy(decoder, input, wire));
        self.decoding = Decoding::Elsewhere(task);
        Step::Again
    }

    /// Takes the decoder back; `None` if the other thread panicked.
    fn come_back(&mut self, result: Option<Elsewhere>) {
        let Some(result) = result else {
            self.decoding = Decoding::Over;
            self.last = Some(Last::Failed(io::ErrorKind::Other.into()));
            return;
        };
        self.decoding = Decoding::Here(result.decoder);
        self.rest = result.rest;
        self.events = result.events;
        self.wire = result.wire;
        if let Some(error) = result.error {
            self.finish(Last::Violation(error));
        }
    }

    fn finish(&mut self, last: Last) -> Step {
        self.decoding = Decoding::Over;
        self.last = Some(last);
        Step::Again
    }

    /// Tells what ends the connection.
    fn end(&mut self, inbox: &mut Inbox, context: &mut Context<'_>) -> Step {
        let text = match &self.last {
            Some(Last::Violation(error)) => format!("{}:{error}", error.name()),
            _ => String::new(),
        };
        // First the row: what is copied for none would fill the inbox in vain.
        let place = if inbox.has_row() {
            inbox.copy(text.as_bytes(), usize::MAX)
        } else {
            None
        };
        let Some(start) = place else {
            inbox.wait(context);
            return Step::Wait;
        };
        let id = self.connection.id;
        let row = match self.last.take() {
            None => return Step::Wait,
            Some(Last::Eof) => Row::bare(id, kind::END, 0),
            Some(Last::Failed(error)) => {
                let number = error.raw_os_error().unwrap_or_default();
                Row::bare(id, kind::ERROR, number as u32)
            }
            Some(Last::Violation(error)) => Row {
                start: start as u32,
                end: (start + text.len()) as u32,
                wire: std::mem::take(&mut self.wire),
                kind: match error.js_class() {
                    JsClass::Error => kind::VIOLATION,
                    JsClass::RangeError => kind::VIOLATION | kind::RANGE,
                },
                ..Row::bare(id, 0, error.close_code().into())
            },
        };
        self.ended = !matches!(row.kind & 0xff, kind::VIOLATION);
        inbox.push(row);
        Step::Again
    }

    /// Reads and drops what comes after a violation, until the other end has ended.
    fn discard(&mut self, context: &mut Context<'_>) -> Step {
        let mut waste = [0; 4096];
        let mut buffer = ReadBuf::new(&mut waste);
        match Pin::new(&mut self.reader).poll_read(context, &mut buffer) {
            Poll::Pending => Step::Wait,
            Poll::Ready(Err(error)) => self.finish(Last::Failed(error)),
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => self.finish(Last::Eof),
            Poll::Ready(Ok(())) => Step::Again,
        }
    }
}

/// Decodes a piece on another thread, as far as its heavy message goes.
fn decode_heavy(mut decoder: Decoder, mut input: Vec<u8>, mut wire: u32) -> Elsewhere {
    let mut events = VecDeque::new();
    let mut error = None;
    let mut at = 0;
    while at < input.len() && decoder.is_heavy() {
        let before = at;
        let result = decoder.next(&mut input, &mut at);
        wire = wire.saturating_add((at - before) as u32);
        match result {
            Ok(None) => {}
            Ok(Some(mut event)) => {
                if let Payload::Input(range) = event.payload {
                    event.payload = Payload::Owned(input[range].to_vec());
                }
                events.push_back((event, std::mem::take(&mut wire)));
            }
            Err(violation) => error = Some(violation),
        }
    }
    Elsewhere {
        decoder,
        rest: input.split_off(at),
        events,
        error,
        wire,
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let result = catch_unwind(AssertUnwindSafe(|| this.advance(context)));
        this.core.wake_watcher();
        result.unwrap_or_else(|_| {
            // The connection at fault ends; the others go on.
            this.connection.destroy();
            this.core
                .report(Row::bare(this.connection.id, kind::ERROR, 0));
            Poll::Ready(())
        })
    }
}

impl Driver {
    fn advance(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let this = self;
        let connection = this.connection.clone();
        connection.set_driver(context);
        let _ = connection.poll_flush(context);
        this.core.note_acked(&connection);
        if connection.is_destroyed() {
            return Poll::Ready(());
        }
        for _ in 0..MAX_READS {
            if connection.is_released() && connection.is_idle() {
                let inbox = &mut *this.core.inbox.borrow_mut();
                if inbox.push(Row::bare(connection.id, kind::RELEASED, 0)) {
                    connection.destroy();
                    return Poll::Ready(());
                }
                inbox.wait(context);
                return Poll::Pending;
            }
            let has_nothing_to_do =
                this.ended || connection.is_released() || connection.is_paused();
            if has_nothing_to_do {
                return Poll::Pending;
            }
            let is_over = matches!(this.decoding, Decoding::Over) && this.last.is_none();
            let step = if is_over && this.events.is_empty() {
                this.discard(context)
            } else {
                this.step(context)
            };
            match step {
                Step::Again => {}
                Step::Wait => return Poll::Pending,
                Step::Yield => break,
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
