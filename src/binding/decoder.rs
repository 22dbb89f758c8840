//! `Decoder`: what a connection receives, for transports whose bytes come through
//! JavaScript.

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

/// The table that `decode` fills with numbers of 32 bits, in the machine's byte order. Its
/// first row is the decoder's state; each of the others has an event.
struct Table<'a>(&'a mut [u8]);

/// The numbers in a row.
const WIDTH: usize = event::WIDTH as usize;

impl Table<'_> {
    /// How many events there is room for.
    fn capacity(&self) -> usize {
        (self.0.len() / (4 * WIDTH)).saturating_sub(1)
    }

    /// Sets a number of the first row.
    fn set_state(&mut self, column: u32, value: u32) {
        self.set(0, column, value);
    }

    /// Sets a number of the event with this number.
    fn set(&mut self, row: usize, column: u32, value: u32) {
        let at = 4 * (row * WIDTH + column as usize);
        self.0[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }

    /// Writes the event with this number.
    fn write(&mut self, number: usize, event: Described) {
        let row = 1 + number;
        self.set(row, event::KIND, event.kind);
        self.set(row, event::START, event.start);
        self.set(row, event::END, event.end);
        self.set(row, event::WIRE, event.wire);
        self.set(row, event::EXTRA, event.extra);
    }
}

/// An event as JavaScript reads it.
struct Described {
    kind: u32,
    start: u32,
    end: u32,
    wire: u32,
    extra: u32,
}

impl Described {
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

/// The most bytes of payloads that are not in the chunk, beyond which no further event
/// is decoded at once: a chunk may be much longer when it is decompressed.
const MAX_OWNED: usize = 1024 * 1024;

/// Limits of a `Decoder`.
#[napi(object)]
pub struct Limits {
    /// The longest message, in bytes; 0 for no limit.
    pub max_payload: f64,
    /// The longest string that there can be, in UTF-16 code units.
    pub max_text: f64,
    /// The longest Buffer that there can be, in bytes.
    pub max_binary: f64,
    /// The most fragments of a message; 0 for the default.
    pub max_fragments: u32,
    /// Whether frames have to be masked, must not be, or either.
    pub masked: Option<bool>,
    /// Whether texts have to be UTF-8.
    pub validates: bool,
    /// Whether it is told where the fragments of a message end.
    pub keeps_ends: bool,
}

/// A compressed message is decoded on another thread from a frame on that is at least
/// this long, in bytes...
const HEAVY_FRAME: u64 = 64 * 1024;

/// ...or once it is this long, in bytes, when decompressed.
const HEAVY_MESSAGE: usize = 1024 * 1024;

impl Limits {
    /// A decoder that keeps to these limits.
    pub(super) fn decoder(&self, deflate: Option<&PerMessageDeflate>) -> Inner {
        Inner::new(self.options(), deflate.map(PerMessageDeflate::inflater))
    }

    /// The limits as the protocol has them.
    fn options(&self) -> DecoderOptions {
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
            keeps_ends: self.keeps_ends,
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

/// Turns chunks of bytes into messages.
#[napi]
pub struct Decoder {
    /// `None` while it decodes on another thread, and once closed.
    inner: Option<Inner>,
    owned: Vec<Vec<u8>>,
    /// Bytes read since the last event.
    wire: u32,
}

#[napi]
impl Decoder {
    /// A decoder at the beginning of a connection.
    #[napi(constructor)]
    pub fn new(limits: Limits, deflate: Option<&PerMessageDeflate>) -> Result<Self> {
        Ok(Self {
            inner: Some(limits.decoder(deflate)),
            owned: Vec::new(),
            wire: 0,
        })
    }

    /// Reads `chunk` from `from` on: to its end, the first error, a message that is to be
    /// decoded by `decodeHeavy`, or as far as there is room for events. It tells how many
    /// of these there are; `table` takes them, and what was reached.
    ///
    /// The chunk's payloads are unmasked in place. Payloads that are not in the chunk
    /// are here until the next call.
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
        let mut inner = self.inner.take().ok_or_else(not_here)?;
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
                        self.describe(event, inner.take_ends())
                    }
                    Err(error) => Described::violation(error, std::mem::take(&mut self.wire)),
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
            Ok(count as u32)
        })?;
        self.inner = Some(inner);
        Ok(count)
    }

    /// Decodes a heavy message, of which `chunk` is the next piece, on another thread,
    /// which has this decoder until `restore`: until then nothing else may be called.
    #[napi]
    pub fn decode_heavy(&mut self, chunk: &[u8]) -> Result<AsyncTask<HeavyTask>> {
        let inner = self.inner.take().ok_or_else(not_here)?;
        let wire = std::mem::take(&mut self.wire);
        Ok(AsyncTask::new(HeavyTask(Some((
            inner,
            chunk.to_vec(),
            wire,
        )))))
    }

    /// Takes the decoder back from the task that `decodeHeavy` started, and tells how many
    /// of its events there are, as `decode` does: as far as `table` has room for them.
    #[napi]
    pub fn restore(&mut self, decoded: &mut HeavyDecoded, mut table: BufferSlice<'_>) -> u32 {
        let mut table = Table(&mut table);
        self.owned.clear();
        let mut count = 0;
        while count < table.capacity() {
            let next = decoded.0.as_mut().and_then(|done| {
                let (event, wire) = done.events.pop_front()?;
                let ends = match event.kind {
                    EventKind::Text | EventKind::Binary => done.decoder.take_ends(),
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
                    table.write(count, Described::violation(error, wire));
                    count += 1;
                }
                self.inner = Some(done.decoder);
                break;
            };
            self.wire = wire;
            let event = self.describe(event, ends);
            table.write(count, event);
            count += 1;
        }
        count as u32
    }

    /// An event as JavaScript reads it, and where its fragments end, if that is wanted.
    fn describe(&mut self, event: Event, ends: Vec<usize>) -> Described {
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
        Described {
            kind,
            start,
            end,
            wire: std::mem::take(&mut self.wire),
            extra,
        }
    }

    /// Keeps a payload that is not in the chunk; its number.
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

    /// The payload with this number, which is UTF-8, as a string.
    #[napi]
    pub fn take_text<'env>(&mut self, env: &'env Env, number: u32) -> Result<JsString<'env>> {
        // A pool of its own: there may be too many connections for each to keep one.
        let buffers = BufferPool::default();
        text::decode(env, self.take(number), &buffers)
    }

    /// The payload with this number.
    #[napi]
    pub fn take_buffer<'env>(&mut self, env: &'env Env, number: u32) -> Result<BufferSlice<'env>> {
        bytes::buffer(env, self.take(number))
    }

    /// The length, in bytes on the wire, of the message under way, as far as its
    /// frames have announced it.
    #[napi(getter)]
    pub fn announced_length(&self) -> f64 {
        self.inner.as_ref().map_or(0, Inner::announced_len) as f64
    }

    /// How much of the payload of the frame under way has been read, in bytes; 0 between
    /// frames.
    #[napi(getter)]
    pub fn partial_length(&self) -> f64 {
        self.inner.as_ref().map_or(0, Inner::partial_len) as f64
    }

    /// Sets the longest message from now on, in bytes; 0 for no limit.
    #[napi]
    pub fn set_max_payload(&mut self, bytes: f64) {
        if let Some(inner) = &mut self.inner {
            inner.set_max_payload(payload_limit(bytes));
        }
    }

    /// Sets whether texts have to be UTF-8, from the next message on, and reasons of close
    /// frames.
    #[napi]
    pub fn set_validates(&mut self, validates: bool) {
        if let Some(inner) = &mut self.inner {
            inner.set_validates(validates);
        }
    }

    /// Discards all that is still to come, and frees what is held.
    #[napi]
    pub fn close(&mut self) {
        self.inner = None;
        self.owned = Vec::new();
    }
}

fn not_here() -> Error {
    Error::from_reason("the decoder is closed, or in use by decodeHeavy")
}

/// Decodes on a thread of libuv's pool.
pub struct HeavyTask(Option<(Inner, Vec<u8>, u32)>);

/// What `decodeHeavy` resolves to.
#[napi]
pub struct HeavyDecoded(Option<HeavyDone>);

#[napi]
impl HeavyDecoded {
    /// The bytes behind the message, which are not decoded; before `restore` only.
    #[napi]
    pub fn take_rest<'env>(&mut self, env: &'env Env) -> Result<BufferSlice<'env>> {
        let rest = self.0.as_mut().map(|done| std::mem::take(&mut done.rest));
        BufferSlice::from_data(env, rest.unwrap_or_default())
    }

    /// Frees what nobody wants any more.
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
            let (inner, chunk, wire) = self.0.take().ok_or_else(not_here)?;
            Ok(HeavyDecoded(Some(decode_heavy(inner, chunk, wire))))
        })
    }

    fn resolve(&mut self, _env: Env, output: HeavyDecoded) -> Result<HeavyDecoded> {
        Ok(output)
    }
}

/// A limit as the protocol has it; JavaScript has 0 for none.
pub(super) fn payload_limit(bytes: f64) -> u64 {
    if bytes > 0.0 {
        bytes as u64
    } else {
        u64::MAX
    }
}
