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
use super::text;

/// What an event is; the numbers of frames are their opcodes.
mod kind {
    pub(super) const TEXT: u32 = 1;
    pub(super) const BINARY: u32 = 2;
    pub(super) const CLOSE: u32 = 8;
    pub(super) const PING: u32 = 9;
    pub(super) const PONG: u32 = 10;
    pub(super) const ERROR: u32 = 16;
}

/// Where in the row of an event each value is; each is 32 bits wide, in the machine's
/// byte order.
mod column {
    pub(super) const KIND: usize = 0;
    /// The position in the chunk behind the event.
    pub(super) const NEXT: usize = 1;
    /// Where the payload begins in the chunk; the number of one that is not there.
    pub(super) const START: usize = 2;
    /// Where it ends.
    pub(super) const END: usize = 3;
    /// 1 if the payload is not in the chunk: `takeText` or `takeBuffer` gives it.
    pub(super) const OWNED: usize = 4;
    /// 1 if the frame was masked.
    pub(super) const MASKED: usize = 5;
    /// The code of a close frame, or 0.
    pub(super) const CODE: usize = 6;
    pub(super) const COUNT: usize = 7;
}

/// The table that `decode` fills: its first row has the position up to which the chunk is
/// read, and whether a heavy message is to be decoded elsewhere from there on; each of the
/// others has an event.
struct Table<'a>(&'a mut [u8]);

/// The columns of the table's first row.
mod state {
    pub(super) const POSITION: usize = 0;
    pub(super) const HEAVY: usize = 1;
}

/// The bytes of a row.
const ROW: usize = 4 * column::COUNT;

impl Table<'_> {
    /// How many events there is room for.
    fn capacity(&self) -> usize {
        (self.0.len() / ROW).saturating_sub(1)
    }

    fn set_state(&mut self, position: usize, is_heavy: bool) {
        self.set(0, state::POSITION, position as u32);
        self.set(0, state::HEAVY, is_heavy.into());
    }

    /// Sets a value of the event with this number.
    fn set_event(&mut self, number: usize, column: usize, value: u32) {
        self.set(1 + number, column, value);
    }

    fn set(&mut self, row: usize, column: usize, value: u32) {
        let at = row * ROW + 4 * column;
        self.0[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }
}

/// The most bytes of payloads that are not in the chunk, beyond which no further event
/// is decoded at once: a chunk may be much longer when it is decompressed.
const MAX_OWNED: usize = 1024 * 1024;

/// A payload at least this long is handed over as it is; a shorter one is copied,
/// which costs less than the memory's own finalizer.
const HAND_OVER: usize = 16 * 1024;

/// A violation of the protocol by the peer.
#[napi(object, object_from_js = false)]
pub struct Violation {
    /// The error's message.
    pub message: String,
    /// The code to close the connection with.
    pub close_code: u16,
    /// The error's class: `Error` or `RangeError`.
    pub class: &'static str,
    /// The error's `code` property.
    pub name: &'static str,
}

/// Limits of a `Decoder`.
#[napi(object)]
pub struct Limits {
    /// The longest message, in bytes; 0 for no limit.
    pub max_payload: f64,
    /// The longest string, in UTF-16 code units, and the longest Buffer, in bytes, that
    /// there can be.
    pub max_text: f64,
    /// See `max_text`.
    pub max_binary: f64,
    /// The most fragments of a message; 0 for the default.
    pub max_fragments: u32,
    /// Whether frames have to be masked, must not be, or either.
    pub masked: Option<bool>,
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
    error: Option<ProtocolError>,
}

#[napi]
impl Decoder {
    /// A decoder at the beginning of a connection.
    #[napi(constructor)]
    pub fn new(limits: Limits, deflate: Option<&PerMessageDeflate>) -> Result<Self> {
        Ok(Self {
            inner: Some(limits.decoder(deflate)),
            owned: Vec::new(),
            error: None,
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
                match inner.next(&mut chunk, &mut at) {
                    Ok(Decoded::NeedsInput) => break,
                    Ok(Decoded::Heavy) => {
                        is_heavy = true;
                        break;
                    }
                    Ok(Decoded::Event(event)) => {
                        if let Payload::Owned(bytes) = &event.payload {
                            owned_bytes += bytes.len();
                        }
                        self.describe(event, |column, value| {
                            table.set_event(count, column, value);
                        });
                        table.set_event(count, column::NEXT, at as u32);
                        count += 1;
                    }
                    Err(error) => {
                        self.tell(error, |column, value| table.set_event(count, column, value));
                        table.set_event(count, column::NEXT, at as u32);
                        count += 1;
                        break;
                    }
                }
            }
            table.set_state(at, is_heavy);
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
        Ok(AsyncTask::new(HeavyTask(Some((inner, chunk.to_vec())))))
    }

    /// Takes the decoder back from the task that `decodeHeavy` started, and tells how many
    /// of its events there are, as `decode` does: as far as `table` has room for them. In
    /// the column of the position is how many bytes were read for each.
    #[napi]
    pub fn restore(&mut self, decoded: &mut HeavyDecoded, mut table: BufferSlice<'_>) -> u32 {
        let mut table = Table(&mut table);
        self.owned.clear();
        let mut count = 0;
        while count < table.capacity() {
            let Some((event, wire)) = decoded.0.as_mut().and_then(|done| done.events.pop_front())
            else {
                break;
            };
            self.describe(event, |column, value| table.set_event(count, column, value));
            table.set_event(count, column::NEXT, wire);
            count += 1;
        }
        if count == table.capacity() {
            // There may be more of them.
            return count as u32;
        }
        let Some(done) = decoded.0.take() else {
            return count as u32;
        };
        if let Some(error) = done.error {
            self.tell(error, |column, value| table.set_event(count, column, value));
            table.set_event(count, column::NEXT, done.wire);
            count += 1;
        }
        self.inner = Some(done.decoder);
        count as u32
    }

    fn tell(&mut self, error: ProtocolError, mut set: impl FnMut(usize, u32)) {
        self.error = Some(error);
        set(column::KIND, kind::ERROR);
    }

    fn describe(&mut self, event: Event, mut set: impl FnMut(usize, u32)) {
        let (kind, code) = match event.kind {
            EventKind::Text => (kind::TEXT, 0),
            EventKind::Binary => (kind::BINARY, 0),
            EventKind::Ping => (kind::PING, 0),
            EventKind::Pong => (kind::PONG, 0),
            EventKind::Close(code) => (kind::CLOSE, code.unwrap_or_default()),
        };
        set(column::KIND, kind);
        set(column::CODE, code.into());
        set(column::MASKED, event.masked.into());
        match event.payload {
            Payload::Input(range) => {
                set(column::OWNED, 0);
                set(column::START, range.start as u32);
                set(column::END, range.end as u32);
            }
            Payload::Owned(bytes) => {
                set(column::OWNED, 1);
                set(column::START, self.owned.len() as u32);
                self.owned.push(bytes);
            }
        }
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
        let mut bytes = self.take(number);
        if bytes.len() < HAND_OVER {
            return BufferSlice::copy_from(env, bytes);
        }
        bytes.shrink_to_fit();
        BufferSlice::from_data(env, bytes)
    }

    /// The violation that the last `decode` found.
    #[napi]
    pub fn violation(&mut self) -> Option<Violation> {
        self.error.take().map(|error| Violation {
            message: error.to_string(),
            close_code: error.close_code(),
            class: error.js_class().name(),
            name: error.name(),
        })
    }

    /// The length, in bytes on the wire, of the message under way, as far as its
    /// frames have announced it.
    #[napi(getter)]
    pub fn announced_length(&self) -> f64 {
        self.inner.as_ref().map_or(0, Inner::announced_len) as f64
    }

    /// Sets the longest message from now on, in bytes; 0 for no limit.
    #[napi]
    pub fn set_max_payload(&mut self, bytes: f64) {
        if let Some(inner) = &mut self.inner {
            inner.set_max_payload(payload_limit(bytes));
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
pub struct HeavyTask(Option<(Inner, Vec<u8>)>);

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
            let (inner, chunk) = self.0.take().ok_or_else(not_here)?;
            Ok(HeavyDecoded(Some(decode_heavy(inner, chunk, 0))))
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
