//! The class `Decoder`: decodes what a connection receives, for transports that read
//! through JavaScript.

use std::sync::LazyLock;

use napi::bindgen_prelude::{AsyncTask, BufferSlice, Result};
use napi::{Env, Error, JsString, Status, Task};
use napi_derive::napi;
use oxws_protocol::{
    decode_heavy, BufferPool, Decoded, Decoder as Inner, DecoderOptions, Event, EventKind,
    HeavyDone, Masking, Payload, ProtocolError,
};

use super::panic::guard;
use super::permessage_deflate::PerMessageDeflate;
use super::{bytes, text};
use crate::border::{ends_as_bytes, event, kind, state};

/// The table that `decode` fills with 32-bit numbers, in the machine's byte order. The
/// first row is the state of the decoder. Each of the others is an event.
struct Table<'a>(&'a mut [u8]);

/// The number of values in each row.
const WIDTH: usize = event::WIDTH as usize;

impl Table<'_> {
    /// Returns how many events there is space for.
    fn capacity(&self) -> usize {
        (self.0.len() / (4 * WIDTH)).saturating_sub(1)
    }

    /// Sets a value of the decoder's state.
    fn set_state(&mut self, column: u32, value: u32) {
        self.set(0, column, value);
    }

    /// Sets a value of a row.
    fn set(&mut self, row: usize, column: u32, value: u32) {
        let at = 4 * (row * WIDTH + column as usize);
        self.0[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }

    /// Writes the event with this number.
    fn write(&mut self, number: usize, event: EventRow) {
        let row = 1 + number;
        self.set(row, event::KIND, event.kind);
        self.set(row, event::START, event.start);
        self.set(row, event::END, event.end);
        self.set(row, event::WIRE, event.wire);
        self.set(row, event::EXTRA, event.extra);
    }
}

/// An event, as the values of its row.
struct EventRow {
    kind: u32,
    start: u32,
    end: u32,
    wire: u32,
    extra: u32,
}

impl EventRow {
    fn violation(error: ProtocolError, wire: u32) -> Self {
        Self {
            kind: kind::VIOLATION,
            start: error.number() as u32,
            end: error.detail().into(),
            wire,
            extra: error.close_code().into(),
        }
    }
}

/// `decode` returns once the payloads outside the chunk have this many bytes, because a
/// chunk may be much longer when it is decompressed.
const MAX_OWNED: usize = 1024 * 1024;

/// The limits and checks of a `Decoder`.
#[napi(object)]
pub struct Limits {
    /// The maximum length of a message, in bytes; 0 for no limit.
    pub max_payload: f64,
    /// The maximum length of a string, in UTF-16 code units; 0 for no limit.
    pub max_text: f64,
    /// The maximum length of a Buffer, in bytes; 0 for no limit.
    pub max_binary: f64,
    /// The maximum number of fragments of a message; 0 for the default, 2^20.
    pub max_fragments: u32,
    /// `true` if frames have to be masked, `false` if they must not be, and unset for either.
    pub masked: Option<bool>,
    /// Whether texts and close reasons have to be UTF-8.
    pub validates: bool,
    /// Whether events report where the fragments of a binary message end.
    pub keeps_ends: bool,
}

/// A compressed message is decoded on another thread if the payload of one of its
/// frames has at least this length, in bytes.
const HEAVY_FRAME: u64 = 64 * 1024;

/// A compressed message is decoded on another thread once its decompressed part has
/// this length, in bytes.
const HEAVY_MESSAGE: usize = 1024 * 1024;

/// The buffers of long messages, for the decoders of all connections.
static BUFFERS: LazyLock<BufferPool> = LazyLock::new(BufferPool::default);

impl Limits {
    /// Creates a decoder with these limits.
    pub(super) fn decoder(&self, deflate: Option<&PerMessageDeflate>) -> Inner {
        Inner::new(self.options(), deflate.map(PerMessageDeflate::inflater))
            .with_buffers(BUFFERS.clone())
    }

    /// Returns the limits as options of the protocol's decoder.
    pub(super) fn options(&self) -> DecoderOptions {
        let mut options = DecoderOptions {
            max_payload: payload_limit(self.max_payload),
            max_text: payload_limit(self.max_text),
            max_binary: payload_limit(self.max_binary),
            masking: match self.masked {
                None => Masking::Any,
                Some(true) => Masking::Required,
                Some(false) => Masking::Forbidden,
            },
            validates: self.validates,
            report_fragment_ends: self.keeps_ends,
            heavy_frame: HEAVY_FRAME,
            heavy_message: HEAVY_MESSAGE,
            ..DecoderOptions::default()
        };
        if self.max_fragments > 0 {
            options.max_fragments = self.max_fragments;
        }
        options
    }
}

/// Decodes chunks of bytes into messages.
#[napi]
pub struct Decoder {
    /// `None` while another thread has it, and after `close`.
    inner: Option<Inner>,
    owned: Vec<Vec<u8>>,
    /// The number of bytes read since the last event.
    wire: u32,
}

#[napi]
impl Decoder {
    /// Creates a decoder for a new connection.
    #[napi(constructor)]
    pub fn new(limits: Limits, deflate: Option<&PerMessageDeflate>) -> Result<Self> {
        Ok(Self {
            inner: Some(limits.decoder(deflate)),
            owned: Vec::new(),
            wire: 0,
        })
    }

    /// Decodes `chunk` from position `from` on. It stops at the end of the chunk, at the
    /// first error, at a message for `decodeHeavy`, or when there is no space for more
    /// events. Writes its state and the events to `table`, and returns the number of events.
    ///
    /// Payloads in the chunk are unmasked in place. Payloads outside the chunk can be
    /// taken until the next call.
    #[napi]
    pub fn decode(
        &mut self,
        mut chunk: BufferSlice<'_>,
        from: u32,
        mut table: BufferSlice<'_>,
    ) -> Result<u32> {
        let mut table = Table(&mut table);
        let mut at = from as usize;
        if table.capacity() == 0 || at > chunk.len() {
            return Err(Error::from_status(Status::InvalidArg));
        }
        let mut inner = self.inner.take().ok_or_else(in_use)?;
        let count = guard(|| {
            self.owned.clear();
            let mut owned_bytes = 0;
            let mut count = 0;
            let mut is_heavy = false;
            while count < table.capacity() && owned_bytes < MAX_OWNED {
                let before = at;
                let result = inner.next(&mut chunk, &mut at);
                self.wire = self.wire.saturating_add((at - before) as u32);
                let event = match result {
                    Ok(Decoded::NeedsInput) => break,
                    Ok(Decoded::Heavy) => {
                        is_heavy = true;
                        break;
                    }
                    Ok(Decoded::Event(event)) => {
                        if let Payload::Owned(bytes) = &event.payload {
                            owned_bytes += bytes.len();
                        }
                        let ends = inner.take_fragment_ends();
                        let is_ascii = is_ascii_text(&event, &chunk);
                        let mut row = self.event_row(event, ends);
                        row.kind |= if is_ascii { kind::ASCII } else { 0 };
                        row
                    }
                    Err(error) => EventRow::violation(error, std::mem::take(&mut self.wire)),
                };
                let is_last = event.kind == kind::VIOLATION;
                table.write(count, event);
                count += 1;
                if is_last {
                    break;
                }
            }
            table.set_state(state::POSITION, at as u32);
            table.set_state(state::HEAVY, is_heavy.into());
            table.set_state(state::BETWEEN, inner.is_between().into());
            Ok(count as u32)
        })?;
        self.inner = Some(inner);
        Ok(count)
    }

    /// Decodes a heavy message on another thread. `chunk` is its next piece.
    ///
    /// The other thread has the decoder until `restore` is called. Until then, do not
    /// call any other method.
    #[napi]
    pub fn decode_heavy(&mut self, chunk: &[u8]) -> Result<AsyncTask<HeavyTask>> {
        let inner = self.inner.take().ok_or_else(in_use)?;
        let wire = std::mem::take(&mut self.wire);
        Ok(AsyncTask::new(HeavyTask(Some((
            inner,
            chunk.to_vec(),
            wire,
        )))))
    }

    /// Takes the decoder back from the task that `decodeHeavy` started. Like `decode`,
    /// writes events to `table`, and returns their number. If the table is full, call this
    /// again for the others.
    #[napi]
    pub fn restore(&mut self, decoded: &mut HeavyDecoded, mut table: BufferSlice<'_>) -> u32 {
        let mut table = Table(&mut table);
        self.owned.clear();
        let mut count = 0;
        while count < table.capacity() {
            let next = decoded.0.as_mut().and_then(|done| {
                let (event, wire) = done.events.pop_front()?;
                let ends = match event.kind {
                    EventKind::Text | EventKind::Binary => done.decoder.take_fragment_ends(),
                    _ => Vec::new(),
                };
                Some((event, ends, wire))
            });
            let Some((event, ends, wire)) = next else {
                let Some(done) = decoded.0.take() else {
                    break;
                };
                self.wire = done.wire;
                if let Some(error) = done.error {
                    let wire = std::mem::take(&mut self.wire);
                    table.write(count, EventRow::violation(error, wire));
                    count += 1;
                }
                self.inner = Some(done.decoder);
                break;
            };
            self.wire = wire;
            let event = self.event_row(event, ends);
            table.write(count, event);
            count += 1;
        }
        count as u32
    }

    /// Returns the row of an event. `ends` is where its fragments end, if that is reported.
    fn event_row(&mut self, event: Event, ends: Vec<usize>) -> EventRow {
        let (mut kind, mut extra) = match event.kind {
            EventKind::Text => (kind::TEXT, 0),
            EventKind::Binary => (kind::BINARY, 0),
            EventKind::Ping => (kind::PING, 0),
            EventKind::Pong => (kind::PONG, 0),
            EventKind::Close(code) => (kind::CLOSE, code.unwrap_or_default().into()),
        };
        if event.masked {
            kind |= kind::MASKED;
        }
        let (start, end) = match event.payload {
            Payload::Input(range) => (range.start as u32, range.end as u32),
            Payload::Owned(bytes) => {
                kind |= kind::LARGE;
                (self.push(bytes), 0)
            }
        };
        if !ends.is_empty() {
            extra = 1 + self.push(ends_as_bytes(&ends));
        }
        EventRow {
            kind,
            start,
            end,
            wire: std::mem::take(&mut self.wire),
            extra,
        }
    }

    /// Stores a payload that is not in the chunk, and returns its number.
    fn push(&mut self, payload: Vec<u8>) -> u32 {
        self.owned.push(payload);
        (self.owned.len() - 1) as u32
    }

    fn take(&mut self, number: u32) -> Vec<u8> {
        self.owned
            .get_mut(number as usize)
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// Takes the payload with this number, which is UTF-8, as a string.
    #[napi]
    pub fn take_text<'env>(&mut self, env: &'env Env, number: u32) -> Result<JsString<'env>> {
        let bytes = self.take(number);
        let is_ascii = bytes.is_ascii();
        Ok(text::decode(env, bytes, is_ascii, &BUFFERS)?.0)
    }

    /// Takes the payload with this number.
    #[napi]
    pub fn take_buffer<'env>(&mut self, env: &'env Env, number: u32) -> Result<BufferSlice<'env>> {
        bytes::buffer(env, self.take(number))
    }

    /// The length of the current message on the wire, in bytes: the sum of the payload
    /// lengths in the frame heads that have arrived. 0 between messages.
    #[napi(getter)]
    pub fn announced_length(&self) -> f64 {
        self.inner.as_ref().map_or(0, Inner::announced_len) as f64
    }

    /// The number of bytes of the current frame's payload that have been read. 0
    /// between frames.
    #[napi(getter)]
    pub fn partial_length(&self) -> f64 {
        self.inner.as_ref().map_or(0, Inner::partial_len) as f64
    }

    /// Sets the maximum length of a message from now on, in bytes; 0 for no limit.
    #[napi]
    pub fn set_max_payload(&mut self, bytes: f64) {
        if let Some(inner) = &mut self.inner {
            inner.set_max_payload(payload_limit(bytes));
        }
    }

    /// Sets whether texts, from the next message on, and close reasons have to be UTF-8.
    #[napi]
    pub fn set_validates(&mut self, validates: bool) {
        if let Some(inner) = &mut self.inner {
            inner.set_validates(validates);
        }
    }

    /// Discards all further input, and frees the memory of the decoder.
    #[napi]
    pub fn close(&mut self) {
        self.inner = None;
        self.owned = Vec::new();
    }
}

/// Whether an event is a text in the chunk that is ASCII. JavaScript decodes it faster.
fn is_ascii_text(event: &Event, chunk: &[u8]) -> bool {
    match &event.payload {
        Payload::Input(range) => event.kind == EventKind::Text && chunk[range.clone()].is_ascii(),
        Payload::Owned(_) => false,
    }
}

fn in_use() -> Error {
    Error::from_reason("the decoder is closed, or in use by decodeHeavy")
}

/// Decodes on a thread of libuv's pool.
pub struct HeavyTask(Option<(Inner, Vec<u8>, u32)>);

/// The result of `decodeHeavy`.
#[napi]
pub struct HeavyDecoded(Option<HeavyDone>);

#[napi]
impl HeavyDecoded {
    /// Takes the bytes after the message, which are not decoded. Call it before `restore`.
    #[napi]
    pub fn take_rest<'env>(&mut self, env: &'env Env) -> Result<BufferSlice<'env>> {
        let rest = self.0.as_mut().map(|done| std::mem::take(&mut done.rest));
        BufferSlice::from_data(env, rest.unwrap_or_default())
    }

    /// Frees the memory of a result that is not used.
    #[napi]
    pub fn close(&mut self) {
        self.0 = None;
    }
}

impl Task for HeavyTask {
    type Output = HeavyDecoded;
    type JsValue = HeavyDecoded;

    fn compute(&mut self) -> Result<HeavyDecoded> {
        guard(|| {
            let (inner, chunk, wire) = self.0.take().ok_or_else(in_use)?;
            Ok(HeavyDecoded(Some(decode_heavy(inner, chunk, wire))))
        })
    }

    fn resolve(&mut self, _env: Env, output: HeavyDecoded) -> Result<HeavyDecoded> {
        Ok(output)
    }
}

/// Converts a limit of JavaScript, in which 0 means no limit.
pub(super) fn payload_limit(bytes: f64) -> u64 {
    if bytes > 0.0 {
        bytes as u64
    } else {
        u64::MAX
    }
}
