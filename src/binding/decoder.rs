//! `Decoder`: what a connection receives, for transports whose bytes come through
//! JavaScript.

use napi::bindgen_prelude::{BufferSlice, Result};
use napi::{Env, Error, JsString, Status};
use napi_derive::napi;
use oxws_protocol::{
    BufferPool, Decoder as Inner, DecoderOptions, Event, EventKind, Masking, Payload, ProtocolError,
};

use super::panic::guard;
use super::permessage_deflate::PerMessageDeflate;
use super::text;

/// What `next` found; the numbers of frames are their opcodes.
mod kind {
    pub(super) const NOTHING: u32 = 0;
    pub(super) const TEXT: u32 = 1;
    pub(super) const BINARY: u32 = 2;
    pub(super) const CLOSE: u32 = 8;
    pub(super) const PING: u32 = 9;
    pub(super) const PONG: u32 = 10;
    pub(super) const ERROR: u32 = 16;
}

/// Where in the row that `next` fills each value is; each is 32 bits wide, in the
/// machine's byte order.
mod column {
    /// The position in the chunk behind what was read.
    pub(super) const NEXT: usize = 0;
    /// Where the payload begins in the chunk.
    pub(super) const START: usize = 1;
    /// Where it ends.
    pub(super) const END: usize = 2;
    /// 1 if the payload is not in the chunk: `takeText` or `takeBuffer` gives it.
    pub(super) const OWNED: usize = 3;
    /// 1 if the frame was masked.
    pub(super) const MASKED: usize = 4;
    /// The code of a close frame, or 0.
    pub(super) const CODE: usize = 5;
    pub(super) const COUNT: usize = 6;
}

/// The row, to be written to.
struct Row<'a>(&'a mut [u8]);

impl Row<'_> {
    fn set(&mut self, column: usize, value: u32) {
        self.0[4 * column..4 * column + 4].copy_from_slice(&value.to_ne_bytes());
    }
}

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
    /// The most fragments of a message; 0 for the default.
    pub max_fragments: u32,
    /// Whether frames have to be masked, must not be, or either.
    pub masked: Option<bool>,
}

impl Limits {
    /// The limits as the protocol has them.
    pub(super) fn options(&self) -> DecoderOptions {
        let mut options = DecoderOptions {
            max_payload: payload_limit(self.max_payload),
            masking: match self.masked {
                None => Masking::Any,
                Some(true) => Masking::Required,
                Some(false) => Masking::Forbidden,
            },
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
    inner: Inner,
    owned: Vec<u8>,
    error: Option<ProtocolError>,
}

#[napi]
impl Decoder {
    /// A decoder at the beginning of a connection.
    #[napi(constructor)]
    pub fn new(limits: Limits, deflate: Option<&PerMessageDeflate>) -> Result<Self> {
        Ok(Self {
            inner: Inner::new(limits.options(), deflate.map(PerMessageDeflate::inflater)),
            owned: Vec::new(),
            error: None,
        })
    }

    /// Reads `chunk` from `from` on, up to the end of the next message, control
    /// frame or error, and tells its kind; 0 when all of the chunk is read. `row`
    /// takes the particulars.
    ///
    /// The chunk's payloads are unmasked in place.
    #[napi]
    pub fn next(
        &mut self,
        mut chunk: BufferSlice<'_>,
        from: u32,
        mut row: BufferSlice<'_>,
    ) -> Result<u32> {
        if row.len() < 4 * column::COUNT || from as usize > chunk.len() {
            return Err(Error::from_status(Status::InvalidArg));
        }
        guard(|| {
            let mut at = from as usize;
            let result = self.inner.next(&mut chunk, &mut at);
            let mut row = Row(&mut row);
            row.set(column::NEXT, at as u32);
            Ok(match result {
                Ok(None) => kind::NOTHING,
                Ok(Some(event)) => self.describe(event, &mut row),
                Err(error) => {
                    self.error = Some(error);
                    kind::ERROR
                }
            })
        })
    }

    fn describe(&mut self, event: Event, row: &mut Row<'_>) -> u32 {
        row.set(column::MASKED, event.masked.into());
        match event.payload {
            Payload::Input(range) => {
                row.set(column::START, range.start as u32);
                row.set(column::END, range.end as u32);
                row.set(column::OWNED, 0);
            }
            Payload::Owned(bytes) => {
                self.owned = bytes;
                row.set(column::OWNED, 1);
            }
        }
        match event.kind {
            EventKind::Text => kind::TEXT,
            EventKind::Binary => kind::BINARY,
            EventKind::Ping => kind::PING,
            EventKind::Pong => kind::PONG,
            EventKind::Close(code) => {
                row.set(column::CODE, code.unwrap_or_default().into());
                kind::CLOSE
            }
        }
    }

    /// The payload that the last `next` left here, which is UTF-8, as a string.
    #[napi]
    pub fn take_text<'env>(&mut self, env: &'env Env) -> Result<JsString<'env>> {
        // A pool of its own: there may be too many connections for each to keep one.
        let buffers = BufferPool::default();
        text::decode(env, std::mem::take(&mut self.owned), &buffers)
    }

    /// The payload that the last `next` left here.
    #[napi]
    pub fn take_buffer<'env>(&mut self, env: &'env Env) -> Result<BufferSlice<'env>> {
        let mut bytes = std::mem::take(&mut self.owned);
        if bytes.len() < HAND_OVER {
            return BufferSlice::copy_from(env, bytes);
        }
        bytes.shrink_to_fit();
        BufferSlice::from_data(env, bytes)
    }

    /// The violation that the last `next` found.
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
        self.inner.announced_len() as f64
    }

    /// Sets the longest message from now on, in bytes; 0 for no limit.
    #[napi]
    pub fn set_max_payload(&mut self, bytes: f64) {
        self.inner.set_max_payload(payload_limit(bytes));
    }

    /// Discards all that is still to come, and frees what is held.
    #[napi]
    pub fn close(&mut self) {
        self.inner.close();
        self.owned = Vec::new();
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
