//! Decodes bytes into events.

use std::ops::Range;
use std::sync::Arc;

use crate::buffers::BufferPool;
use crate::deflate::Inflater;
use crate::frame::{FrameHead, Opcode, Start, MAX_CONTROL_LEN, MAX_HEAD_LEN};
use crate::utf8::{self, Utf8Validator};
use crate::{close, mask, ProtocolError};

/// The largest integer that JavaScript represents exactly. No payload may be longer.
const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// The minimum number of bytes that are reserved ahead for a message that arrives in pieces.
const MIN_RESERVE: usize = 4 * 1024;

/// How much is reserved ahead for a message, as a multiple of what has arrived. A peer
/// that announces much but sends little occupies little memory, and a long message
/// moves to a larger buffer only once or twice.
const RESERVE_FACTOR: usize = 15;

/// The maximum number of bytes for which there is space during a read because the last
/// message was as long.
const MAX_EXPECTED: u64 = 1 << 20;

/// The number of bytes that are unmasked and then validated, so that both passes find them
/// in the first-level cache. It is a multiple of the length of a masking key.
const PIECE: usize = 8 * 1024;

/// Whether the peer has to mask its frames (RFC 6455, 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Masking {
    /// Frames may be masked or unmasked.
    #[default]
    Any,
    /// Every frame has to be masked: a server reads from a client.
    Required,
    /// No frame may be masked: a client reads from a server.
    Forbidden,
}

/// The limits and checks of a [`Decoder`].
#[derive(Debug, Clone, Copy)]
pub struct DecoderOptions {
    /// The maximum length of a message, in bytes, before and after decompression.
    pub max_payload: u64,
    /// The maximum length of a text that the reader can hold, in UTF-16 code units, in
    /// which JavaScript measures strings.
    pub max_text: u64,
    /// The maximum length of a binary message that the reader can hold, in bytes.
    pub max_binary: u64,
    /// The maximum number of fragments of a message.
    pub max_fragments: u32,
    /// Whether frames have to be masked.
    pub masking: Masking,
    /// Whether texts and close reasons have to be UTF-8. If not, they may be any bytes,
    /// and `max_binary` limits texts instead of `max_text`.
    pub validates: bool,
    /// Whether [`Decoder::take_fragment_ends`] returns where the fragments of a binary
    /// message end.
    pub report_fragment_ends: bool,
    /// A compressed message is [heavy](Decoder::is_heavy) if the payload of one of its
    /// frames has at least this length, in bytes.
    pub heavy_frame: u64,
    /// A compressed message is heavy once its decompressed part has this length, in bytes.
    pub heavy_message: usize,
}

/// The maximum number of UTF-8 bytes for one UTF-16 code unit.
const MAX_BYTES_PER_UNIT: u64 = 3;

impl DecoderOptions {
    /// Returns the maximum length of a message, in bytes.
    fn limit(&self, is_utf8: bool) -> u64 {
        let most = if is_utf8 {
            self.max_text.saturating_mul(MAX_BYTES_PER_UNIT)
        } else {
            self.max_binary
        };
        self.max_payload.min(most).min(MAX_SAFE_INTEGER)
    }
}

impl Default for DecoderOptions {
    fn default() -> Self {
        Self {
            max_payload: u64::MAX,
            max_text: u64::MAX,
            max_binary: u64::MAX,
            max_fragments: 1 << 20,
            masking: Masking::Any,
            validates: true,
            report_fragment_ends: false,
            heavy_frame: u64::MAX,
            heavy_message: usize::MAX,
        }
    }
}

/// The result of [`Decoder::next`].
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded {
    /// The peer sent an event. There may be more in the input.
    Event(Event),
    /// The current message is [heavy](Decoder::is_heavy). Call [`next`](Decoder::next)
    /// again, possibly on another thread, even if the whole input has been read.
    Heavy,
    /// The whole input has been read. The decoder needs more input to go on.
    NeedsInput,
}

/// A message or control frame that the peer sent.
#[derive(Debug, PartialEq, Eq)]
pub struct Event {
    /// The kind of the event.
    pub kind: EventKind,
    /// The data of a message, ping or pong, or the reason of a close frame.
    pub payload: Payload,
    /// Whether the frame was masked. For a fragmented message, this is its last frame.
    pub masked: bool,
    /// Whether the payload is known to be ASCII. This is known of valid texts that are in
    /// their own buffer.
    pub ascii: bool,
}

/// The kind of an [`Event`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// A text message. Its payload is UTF-8 if
    /// [`validates`](DecoderOptions::validates) is set.
    Text,
    /// A binary message.
    Binary,
    /// A ping. The peer expects a pong with the same payload.
    Ping,
    /// A pong.
    Pong,
    /// A close frame, with its code if it has one. The payload is the reason, which is
    /// UTF-8 if [`validates`](DecoderOptions::validates) is set. It is the last event.
    Close(Option<u16>),
}

/// Where the payload of an event is.
#[derive(Debug, PartialEq, Eq)]
pub enum Payload {
    /// In this range of the input, unmasked in place.
    Input(Range<usize>),
    /// In its own buffer. The payload was compressed, or arrived in pieces.
    Owned(Vec<u8>),
}

impl Payload {
    /// Returns the payload. `input` is the input that was passed to [`Decoder::next`].
    pub fn bytes<'a>(&'a self, input: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Input(range) => &input[range.clone()],
            Self::Owned(bytes) => bytes,
        }
    }
}

/// Space for the next bytes of a payload: see [`Decoder::payload_buffer`].
#[derive(Debug)]
pub struct PayloadBuffer<'a> {
    /// The payload so far. It has the capacity for `room` more bytes.
    pub data: &'a mut Vec<u8>,
    /// How many bytes may be appended.
    pub room: usize,
    /// Whether these are all remaining bytes of the frame.
    pub ends_frame: bool,
}

/// The lengths of a frame that is expected: see [`Decoder::expected_frame`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpectedFrame {
    /// The length of its head, in bytes.
    pub head: usize,
    /// The length of its payload, in bytes, or of the part for which there should be space.
    pub payload: usize,
}

/// Decodes the bytes of one direction of a connection into [`Event`]s.
///
/// The input may be cut into pieces of any size. A violation of the protocol is
/// reported at the first byte that shows it.
#[derive(Debug)]
pub struct Decoder {
    options: Arc<DecoderOptions>,
    inflater: Option<Box<Inflater>>,
    buffers: BufferPool,
    state: State,
    frame: Frame,
    message: Option<Message>,
    /// The payload of a control frame that arrives in pieces.
    control: Vec<u8>,
    utf8: Utf8Validator,
    /// Where the fragments of the last message end, if it had several.
    ends: Vec<usize>,
    /// The length of the last message, in bytes. 0 if it was compressed or fragmented.
    last_len: u64,
}

#[derive(Debug)]
enum State {
    /// Between frames, or within a head whose first `len` bytes have arrived.
    Head { bytes: [u8; MAX_HEAD_LEN], len: u8 },
    /// Within the payload of `frame`.
    Payload,
    /// A close frame or an error has ended the stream. Further input is discarded.
    Closed,
}

const BEFORE_HEAD: State = State::Head {
    bytes: [0; MAX_HEAD_LEN],
    len: 0,
};

/// The frame that is being read.
#[derive(Debug, Clone, Copy)]
struct Frame {
    fin: bool,
    opcode: Opcode,
    mask: Option<[u8; 4]>,
    len: u64,
    remaining: u64,
}

impl Frame {
    /// Takes the part of the payload that starts at `input[*at]`, unmasks it in place,
    /// and advances `*at`. Returns its range.
    fn take(&mut self, input: &mut [u8], at: &mut usize) -> Range<usize> {
        let here = (input.len() - *at) as u64;
        let taken = here.min(self.remaining) as usize;
        let range = *at..*at + taken;
        if let Some(key) = self.mask {
            let phase = (self.len - self.remaining) % 4;
            mask::apply(&mut input[range.clone()], key, phase as usize);
        }
        self.remaining -= taken as u64;
        *at += taken;
        range
    }

    /// Puts back the last `count` bytes that were taken, and masks them again.
    fn put_back(&mut self, input: &mut [u8], at: &mut usize, count: usize) {
        *at -= count;
        self.remaining += count as u64;
        if let Some(key) = self.mask {
            let phase = (self.len - self.remaining) % 4;
            mask::apply(&mut input[*at..*at + count], key, phase as usize);
        }
    }
}

/// The message that is being read, with all its fragments.
#[derive(Debug)]
struct Message {
    text: bool,
    /// Whether the message has to be UTF-8.
    utf8: bool,
    /// Whether `data` is valid, and only has characters of ASCII.
    ascii: bool,
    compressed: bool,
    /// Whether decompressing it takes long: see [`Decoder::is_heavy`].
    heavy: bool,
    fragments: u32,
    /// The sum of the payload lengths in the heads of its frames.
    announced: u64,
    data: Vec<u8>,
    /// Where its fragments end, if the options ask for that.
    ends: Vec<usize>,
}

impl Decoder {
    /// Creates a decoder for a new connection. Decoders may share their options.
    /// `inflater` is `None` if permessage-deflate was not negotiated.
    pub fn new(options: impl Into<Arc<DecoderOptions>>, inflater: Option<Inflater>) -> Self {
        Self {
            options: options.into(),
            inflater: inflater.map(Box::new),
            buffers: BufferPool::default(),
            state: BEFORE_HEAD,
            frame: Frame {
                fin: true,
                opcode: Opcode::Binary,
                mask: None,
                len: 0,
                remaining: 0,
            },
            message: None,
            control: Vec::new(),
            utf8: Utf8Validator::default(),
            ends: Vec::new(),
            last_len: 0,
        }
    }

    /// Sets the pool that the buffers of long messages come from.
    #[must_use]
    pub fn with_buffers(mut self, buffers: BufferPool) -> Self {
        self.buffers = buffers;
        self
    }

    /// Decodes the next event in `input` from `*at` on, and advances `*at` past the
    /// bytes that it read.
    ///
    /// Call it again with the same input until it returns [`Decoded::NeedsInput`].
    /// Payloads are unmasked in place.
    ///
    /// # Errors
    ///
    /// A violation of the protocol or of a limit. An error ends the stream, as a close
    /// frame does: further input is discarded.
    pub fn next(&mut self, input: &mut [u8], at: &mut usize) -> Result<Decoded, ProtocolError> {
        let result = self.advance(input, at);
        if let Err(_)
        | Ok(Decoded::Event(Event {
            kind: EventKind::Close(_),
            ..
        })) = result
        {
            self.close();
        }
        result
    }

    /// Sets the maximum length of a message from now on, in bytes.
    pub fn set_max_payload(&mut self, max_payload: u64) {
        Arc::make_mut(&mut self.options).max_payload = max_payload;
    }

    /// Sets whether texts, from the next message on, and close reasons have to be UTF-8.
    pub fn set_validates(&mut self, validates: bool) {
        Arc::make_mut(&mut self.options).validates = validates;
    }

    /// Returns the lengths of the next frame if it is like the last message: uncompressed, in
    /// one frame, and with a payload of at least `least` bytes. `None` unless the last message
    /// was like that, and the decoder is between messages.
    ///
    /// The caller can then read such a frame from the network into two buffers, one for the
    /// head and one for the payload, and call [`start_payload`](Self::start_payload). This
    /// saves a copy of the payload.
    pub fn expected_frame(&self, least: usize) -> Option<ExpectedFrame> {
        let is_between = matches!(self.state, State::Head { len: 0, .. }) && self.message.is_none();
        if !is_between || self.last_len < least as u64 {
            return None;
        }
        let head = FrameHead {
            fin: true,
            rsv1: false,
            opcode: Opcode::Binary,
            len: usize::try_from(self.last_len).ok()?,
            mask: self.frame.mask,
        };
        Some(ExpectedFrame {
            head: head.write(&mut [0; MAX_HEAD_LEN]),
            payload: self.last_len.min(MAX_EXPECTED) as usize,
        })
    }

    /// Starts a message whose first frame begins with `head` and then `payload`, if that is the
    /// frame of an uncompressed message with a payload of at least `least` bytes. `payload`
    /// becomes the buffer of the message, without a copy, and what follows the frame is left
    /// in `payload`. Returns true then, and [`advance_payload`](Self::advance_payload) has to
    /// be called from 0 on.
    ///
    /// Otherwise, also if the frame is a violation, nothing is decoded, and the method returns
    /// false.
    ///
    /// # Panics
    ///
    /// If `head` is longer than a head can be.
    pub fn start_payload(&mut self, head: &[u8], payload: &mut Vec<u8>, least: usize) -> bool {
        let mut bytes = [0; MAX_HEAD_LEN];
        let (first, second) = bytes.split_at_mut(head.len());
        first.copy_from_slice(head);
        let more = second.len().min(payload.len());
        second[..more].copy_from_slice(&payload[..more]);
        let bytes = &bytes[..head.len() + more];

        let is_between = matches!(self.state, State::Head { len: 0, .. }) && self.message.is_none();
        let [first, second, ..] = *bytes else {
            return false;
        };
        let start = Start([first, second]);
        let head_len = start.head_len();
        if !is_between || start.rsv1() || bytes.len() < head_len {
            return false;
        }
        let (len, _) = start.length_and_key(bytes);
        let Ok(opcode @ (Opcode::Text | Opcode::Binary)) = self.check(start) else {
            return false;
        };
        if len < least as u64 || self.begin(start, opcode, bytes).is_err() {
            self.message = None;
            return false;
        }
        // At most the length of a head is moved into or out of the payload.
        if head_len < head.len() {
            payload.splice(..0, head[head_len..].iter().copied());
        } else {
            payload.drain(..head_len - head.len());
        }
        let end = usize::try_from(len).map_or(payload.len(), |len| len.min(payload.len()));
        let rest = if end < payload.len() {
            payload.split_off(end)
        } else {
            Vec::new()
        };
        if let Some(message) = &mut self.message {
            message.data = std::mem::replace(payload, rest);
        }
        true
    }

    /// Returns whether the next bytes of the stream are uncompressed payload of a message, in
    /// a frame with a payload of at least `least` bytes.
    pub fn is_in_payload(&self, least: usize) -> bool {
        let is_data = matches!(
            self.frame.opcode,
            Opcode::Text | Opcode::Binary | Opcode::Continuation
        );
        let is_long = self.frame.len >= least as u64 && self.frame.remaining > 0;
        let is_plain = (self.message.as_ref()).is_some_and(|message| !message.compressed);
        matches!(self.state, State::Payload) && is_data && is_long && is_plain
    }

    /// Returns the buffer of the current message, if the decoder
    /// [is in its payload](Self::is_in_payload).
    ///
    /// The caller can then read from the network directly into this buffer, instead of
    /// passing the bytes to [`next`](Self::next), which saves a copy. After the read, even if
    /// it has failed, call [`advance_payload`](Self::advance_payload).
    ///
    /// Also returns `None` if the buffer cannot grow. [`next`](Self::next) then
    /// reports the error.
    pub fn payload_buffer(&mut self, least: usize) -> Option<PayloadBuffer<'_>> {
        if !self.is_in_payload(least) {
            return None;
        }
        let data = &mut self.message.as_mut()?.data;
        let remaining = usize::try_from(self.frame.remaining).unwrap_or(usize::MAX);
        let free = data.capacity() - data.len();
        if free == 0 || free < least.min(remaining) {
            let expected = match data.is_empty() {
                true => self.last_len.min(MAX_EXPECTED) as usize,
                false => RESERVE_FACTOR * data.len(),
            };
            let more = expected.max(least).min(remaining);
            self.buffers.try_grow(data, data.len() + more).ok()?;
        }
        let room = (data.capacity() - data.len()).min(remaining);
        Some(PayloadBuffer {
            data,
            room,
            ends_frame: room == remaining,
        })
    }

    /// Processes the bytes that were appended to the
    /// [`payload_buffer`](Self::payload_buffer), and unmasks them in place. `from` is the
    /// length that the buffer had before. Returns the message if it is complete.
    ///
    /// # Errors
    ///
    /// As for [`next`](Self::next).
    ///
    /// # Panics
    ///
    /// If there is no current message, or more bytes were appended than allowed.
    pub fn advance_payload(&mut self, from: usize) -> Result<Option<Event>, ProtocolError> {
        let result = self.take_payload(from).and_then(|()| {
            if self.frame.remaining > 0 {
                return Ok(None);
            }
            self.state = BEFORE_HEAD;
            self.end_fragment()
        });
        if result.is_err() {
            self.close();
        }
        result
    }

    fn take_payload(&mut self, from: usize) -> Result<(), ProtocolError> {
        let message = self.message.as_mut().expect("a message is under way");
        let phase = (self.frame.len - self.frame.remaining) % 4;
        let end = message.data.len();
        self.frame.remaining = (self.frame.remaining)
            .checked_sub((end - from) as u64)
            .expect("no more than there was room for");
        for start in (from..end).step_by(PIECE) {
            let range = start..end.min(start + PIECE);
            let message = self.message.as_mut().expect("as above");
            if let Some(key) = self.frame.mask {
                mask::apply(&mut message.data[range.clone()], key, phase as usize);
            }
            self.validate(range)?;
        }
        if self.frame.remaining > 0 {
            self.shrink();
        }
        Ok(())
    }

    /// Frees what the buffer of the current message has reserved beyond its due.
    fn shrink(&mut self) {
        let Some(Message { data, .. }) = &mut self.message else {
            return;
        };
        let most = (data.len() + RESERVE_FACTOR * data.len()).max(MIN_RESERVE);
        if data.capacity() <= most {
            return;
        }
        let mut smaller = Vec::new();
        if !data.is_empty() {
            smaller.reserve_exact(most);
            smaller.extend_from_slice(data);
        }
        self.buffers.give(std::mem::replace(data, smaller));
    }

    /// Returns whether the current message is heavy: it takes so long to decompress
    /// that it is better decoded on another thread. [`DecoderOptions::heavy_frame`] and
    /// [`DecoderOptions::heavy_message`] are the limits.
    pub fn is_heavy(&self) -> bool {
        self.message.as_ref().is_some_and(|message| message.heavy)
    }

    /// Returns where the fragments of the last message end, as offsets in its payload.
    /// The list is empty unless the message was binary and fragmented, and the options
    /// ask for it. Each list is returned only once.
    pub fn take_fragment_ends(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.ends)
    }

    /// Discards all further input, and frees the memory of the decoder.
    pub fn close(&mut self) {
        self.state = State::Closed;
        self.message = None;
        self.inflater = None;
        self.control = Vec::new();
    }

    /// Returns the length of the current message on the wire, in bytes: the sum of the
    /// payload lengths in the frame heads that have arrived. 0 between messages.
    pub fn announced_len(&self) -> u64 {
        self.message.as_ref().map_or(0, |message| message.announced)
    }

    /// Returns how many bytes of the current frame's payload have been read. 0
    /// between frames.
    pub fn partial_len(&self) -> u64 {
        match self.state {
            State::Payload => self.frame.len - self.frame.remaining,
            State::Head { .. } | State::Closed => 0,
        }
    }

    /// Returns whether the decoder is between two messages: the next byte is the first of a
    /// frame, and no message is under way.
    pub fn is_between(&self) -> bool {
        matches!(self.state, State::Head { len: 0, .. }) && self.message.is_none()
    }

    fn advance(&mut self, input: &mut [u8], at: &mut usize) -> Result<Decoded, ProtocolError> {
        loop {
            match self.state {
                State::Head { .. } => {
                    if !self.read_head(input, at)? {
                        return Ok(Decoded::NeedsInput);
                    }
                    if self.is_heavy() {
                        return Ok(Decoded::Heavy);
                    }
                }
                State::Payload => {
                    let event = match self.frame.opcode {
                        Opcode::Close | Opcode::Ping | Opcode::Pong => {
                            self.read_control(input, at)?
                        }
                        _ => self.read_data(input, at)?,
                    };
                    if self.frame.remaining > 0 {
                        // The next call reads the rest of the input of a heavy message.
                        return Ok(if *at < input.len() {
                            Decoded::Heavy
                        } else {
                            Decoded::NeedsInput
                        });
                    }
                    self.state = BEFORE_HEAD;
                    if let Some(event) = event {
                        return Ok(Decoded::Event(event));
                    }
                }
                State::Closed => {
                    *at = input.len();
                    return Ok(Decoded::NeedsInput);
                }
            }
        }
    }

    /// Reads a head, or as much of it as has arrived. Returns whether it is complete.
    #[inline]
    fn read_head(&mut self, input: &[u8], at: &mut usize) -> Result<bool, ProtocolError> {
        let State::Head { mut bytes, len } = self.state else {
            unreachable!("read_head is called between frames");
        };
        let rest = &input[*at..];
        if len == 0 && rest.len() >= 2 {
            let start = Start([rest[0], rest[1]]);
            let opcode = self.check(start)?;
            if rest.len() >= start.head_len() {
                *at += start.head_len();
                return self.begin(start, opcode, rest).map(|()| true);
            }
        }
        // The head arrives in pieces.
        let mut len = usize::from(len);
        for &byte in rest {
            bytes[len] = byte;
            len += 1;
            *at += 1;
            if len < 2 {
                continue;
            }
            let start = Start([bytes[0], bytes[1]]);
            let opcode = self.check(start)?;
            if len == start.head_len() {
                return self.begin(start, opcode, &bytes).map(|()| true);
            }
        }
        self.state = State::Head {
            bytes,
            len: len as u8,
        };
        Ok(false)
    }

    /// Checks the first two bytes of a frame.
    #[inline]
    fn check(&self, start: Start) -> Result<Opcode, ProtocolError> {
        if start.rsv23() {
            return Err(ProtocolError::ReservedBits);
        }
        if start.rsv1() && self.inflater.is_none() {
            return Err(ProtocolError::UnexpectedRsv1);
        }
        let opcode = match (start.opcode(), &self.message) {
            (0x0, _) if start.rsv1() => return Err(ProtocolError::UnexpectedRsv1),
            (0x0, Some(_)) => Opcode::Continuation,
            (0x1, None) => Opcode::Text,
            (0x2, None) => Opcode::Binary,
            (0x8, _) => Opcode::Close,
            (0x9, _) => Opcode::Ping,
            (0xa, _) => Opcode::Pong,
            (opcode, _) => return Err(ProtocolError::InvalidOpcode(opcode)),
        };
        if matches!(opcode, Opcode::Close | Opcode::Ping | Opcode::Pong) {
            if !start.fin() {
                return Err(ProtocolError::FragmentedControl);
            }
            if start.rsv1() {
                return Err(ProtocolError::UnexpectedRsv1);
            }
            let len = start.len7();
            if usize::from(len) > MAX_CONTROL_LEN || (opcode == Opcode::Close && len == 1) {
                return Err(ProtocolError::InvalidPayloadLength(len));
            }
        }
        match (self.options.masking, start.masked()) {
            (Masking::Required, false) => Err(ProtocolError::MaskRequired),
            (Masking::Forbidden, true) => Err(ProtocolError::MaskForbidden),
            _ => Ok(opcode),
        }
    }

    /// Checks the length in a complete head, and starts the frame's payload.
    #[inline]
    fn begin(&mut self, start: Start, opcode: Opcode, head: &[u8]) -> Result<(), ProtocolError> {
        let (len, mask) = start.length_and_key(head);
        if len > MAX_SAFE_INTEGER {
            return Err(ProtocolError::FrameTooLong);
        }
        if matches!(opcode, Opcode::Text | Opcode::Binary | Opcode::Continuation) {
            let message = self.message.get_or_insert(Message {
                text: opcode == Opcode::Text,
                utf8: opcode == Opcode::Text && self.options.validates,
                ascii: opcode == Opcode::Text && self.options.validates,
                compressed: start.rsv1(),
                heavy: false,
                fragments: 0,
                announced: 0,
                data: Vec::new(),
                ends: Vec::new(),
            });
            // Both are below 2^53, and so is the limit for the sum: it cannot overflow.
            let announced = message.announced + len;
            if announced > self.options.limit(message.utf8) {
                return Err(ProtocolError::PayloadTooLong);
            }
            message.announced = announced;
            message.heavy |= message.compressed && len >= self.options.heavy_frame;
            message.fragments += 1;
            if message.fragments > self.options.max_fragments {
                return Err(ProtocolError::TooManyFragments);
            }
        }
        self.frame = Frame {
            fin: start.fin(),
            opcode,
            mask,
            len,
            remaining: len,
        };
        self.state = State::Payload;
        Ok(())
    }

    fn read_control(
        &mut self,
        input: &mut [u8],
        at: &mut usize,
    ) -> Result<Option<Event>, ProtocolError> {
        let range = self.frame.take(input, at);
        let payload = if range.len() as u64 == self.frame.len {
            Payload::Input(range)
        } else {
            self.control.extend_from_slice(&input[range]);
            if self.frame.remaining > 0 {
                return Ok(None);
            }
            Payload::Owned(std::mem::take(&mut self.control))
        };
        let (kind, payload) = match self.frame.opcode {
            Opcode::Ping => (EventKind::Ping, payload),
            Opcode::Pong => (EventKind::Pong, payload),
            _ => {
                let code = close::parse(payload.bytes(input), self.options.validates)?;
                (EventKind::Close(code), without_code(payload))
            }
        };
        Ok(Some(Event {
            kind,
            payload,
            masked: self.frame.mask.is_some(),
            ascii: false,
        }))
    }

    fn read_data(
        &mut self,
        input: &mut [u8],
        at: &mut usize,
    ) -> Result<Option<Event>, ProtocolError> {
        let range = self.frame.take(input, at);
        let mut ends = self.frame.fin && self.frame.remaining == 0;
        let message = self.message.as_mut().expect("a data frame is in a message");

        if ends && !message.compressed && range.len() as u64 == message.announced {
            // The whole message is in the input, so it need not be copied.
            let text = message.text;
            if message.utf8 {
                let bytes = &input[range.clone()];
                if !utf8::is_valid(bytes) {
                    return Err(ProtocolError::InvalidUtf8);
                }
                check_text_len(bytes, &self.options)?;
            }
            self.message = None;
            self.last_len = self.frame.len;
            return Ok(Some(self.data_event(text, Payload::Input(range), false)));
        }

        let decoded_before = message.data.len();
        let mut decoded = Ok(());
        if message.compressed {
            let inflater = self.inflater.as_mut().expect("checked with the head");
            let limit = usize::try_from(self.options.limit(message.utf8)).unwrap_or(usize::MAX);
            let most = if message.heavy {
                usize::MAX
            } else {
                self.options.heavy_message - message.data.len()
            };
            let data = &input[range.clone()];
            decoded = inflater
                .decompress_some(data, &mut message.data, limit, most)
                .map(|len| self.frame.put_back(input, at, range.len() - len));
            message.heavy |= message.data.len() >= self.options.heavy_message;
            ends &= self.frame.remaining == 0;
            if ends {
                decoded = decoded.and_then(|()| inflater.finish(&mut message.data, limit));
            }
        } else {
            let to_come = self.frame.remaining;
            // Double the capacity, so that many small fragments do not each move the message.
            let least = match message.fragments {
                1 => 0,
                _ => 2 * message.data.capacity(),
            };
            reserve(
                &mut message.data,
                range.len(),
                to_come,
                least,
                &self.buffers,
            )?;
            message.data.extend_from_slice(&input[range]);
        }
        self.validate(decoded_before..usize::MAX)?;
        decoded?;
        if self.frame.remaining > 0 {
            return Ok(None);
        }
        self.end_fragment()
    }

    /// Ends a fragment. Returns the message if this was its last fragment.
    fn end_fragment(&mut self) -> Result<Option<Event>, ProtocolError> {
        let Some(message) = &mut self.message else {
            return Ok(None);
        };
        let is_split = message.fragments > 1 || !self.frame.fin;
        if self.options.report_fragment_ends && is_split && !message.text {
            message.ends.push(message.data.len());
        }
        if self.frame.fin {
            self.finish_message().map(Some)
        } else {
            Ok(None)
        }
    }

    /// Validates a range of the current message, as far as it exists, if the message has to
    /// be UTF-8. What is before it is valid.
    ///
    /// This is done before an error of the inflater is returned, because that error is
    /// later in the stream. Bytes beyond the length limit are not validated. The error
    /// that is returned is therefore always the first one in the stream, however the
    /// stream is cut.
    fn validate(&mut self, range: Range<usize>) -> Result<(), ProtocolError> {
        let Some(message) = self.message.as_mut().filter(|message| message.utf8) else {
            return Ok(());
        };
        let limit = usize::try_from(self.options.limit(true)).unwrap_or(usize::MAX);
        let end = range.end.min(message.data.len());
        let bytes = &message.data[range.start.min(limit)..end.min(limit)];
        message.ascii = message.ascii && end <= limit && bytes.is_ascii();
        if message.ascii {
            return Ok(());
        }
        (self.utf8.feed(bytes)).map_err(|_| ProtocolError::InvalidUtf8)
    }

    /// Ends the current message, which is complete.
    fn finish_message(&mut self) -> Result<Event, ProtocolError> {
        let message = self.message.take().expect("a message is under way");
        self.ends = message.ends;
        let is_plain = message.fragments == 1 && !message.compressed;
        self.last_len = if is_plain { message.announced } else { 0 };
        if message.utf8 {
            if self.utf8.finish().is_err() {
                return Err(ProtocolError::InvalidUtf8);
            }
            check_text_len(&message.data, &self.options)?;
        }
        let payload = Payload::Owned(message.data);
        Ok(self.data_event(message.text, payload, message.ascii))
    }

    fn data_event(&self, text: bool, payload: Payload, ascii: bool) -> Event {
        Event {
            kind: if text {
                EventKind::Text
            } else {
                EventKind::Binary
            },
            payload,
            masked: self.frame.mask.is_some(),
            ascii,
        }
    }
}

/// Checks that a UTF-8 text is not longer than `max_text`.
fn check_text_len(text: &[u8], options: &DecoderOptions) -> Result<(), ProtocolError> {
    let is_short = text.len() as u64 <= options.max_text;
    if is_short || utf8::utf16_len(text) as u64 <= options.max_text {
        Ok(())
    } else {
        Err(ProtocolError::PayloadTooLong)
    }
}

/// Reserves space for `here` bytes, and ahead of time for some of the `to_come` bytes.
/// If `data` has to grow, its new capacity is at least `least`.
fn reserve(
    data: &mut Vec<u8>,
    here: usize,
    to_come: u64,
    least: usize,
    buffers: &BufferPool,
) -> Result<(), ProtocolError> {
    if data.capacity() - data.len() >= here {
        return Ok(());
    }
    let to_come = usize::try_from(to_come).unwrap_or(usize::MAX);
    let len = data.len() + here;
    let ahead = (RESERVE_FACTOR * len).max(MIN_RESERVE).min(to_come);
    buffers.try_grow(data, len.saturating_add(ahead).max(least))
}

/// Removes the code from the payload of a close frame. The reason remains.
fn without_code(payload: Payload) -> Payload {
    match payload {
        Payload::Input(range) => Payload::Input((range.start + 2).min(range.end)..range.end),
        Payload::Owned(mut bytes) => {
            bytes.drain(..bytes.len().min(2));
            Payload::Owned(bytes)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reserved(decoder: &Decoder) -> usize {
        let message = decoder.message.as_ref();
        message.map_or(0, |message| message.data.capacity())
    }

    #[test]
    fn memory_follows_what_has_arrived_after_a_long_message() {
        const LEN: usize = 1 << 20;
        let mut stream = b"\x82\x7f\0\0\0\0\0\x10\0\0".to_vec();
        let head = stream.clone();
        stream.resize(head.len() + LEN, 1);
        let mut decoder = Decoder::new(DecoderOptions::default(), None);
        let decoded = decoder.next(&mut stream, &mut 0);
        assert!(matches!(decoded, Ok(Decoded::Event(_))));
        let expected = decoder.expected_frame(LEN).unwrap();
        assert_eq!((expected.head, expected.payload), (head.len(), LEN));
        assert_eq!(decoder.expected_frame(LEN + 1), None);

        for arrived in [0, 1, 100, 10_000] {
            let mut payload = Vec::with_capacity(LEN);
            payload.resize(arrived, 1);
            assert!(decoder.start_payload(&head, &mut payload, LEN));
            assert_eq!(decoder.advance_payload(0), Ok(None));
            let most = (16 * arrived).max(MIN_RESERVE);
            assert!(reserved(&decoder) <= most);
            // A read has space for more, but nothing arrives.
            let room = decoder.payload_buffer(LEN).unwrap().room;
            assert!(room >= 15 * arrived.max(4096));
            assert_eq!(decoder.advance_payload(arrived), Ok(None));
            assert!(reserved(&decoder) <= most);

            let data = decoder.payload_buffer(LEN).unwrap().data;
            data.resize(LEN, 1);
            let event = decoder.advance_payload(arrived).unwrap().unwrap();
            assert_eq!(event.payload, Payload::Owned(vec![1; LEN]));
        }
    }
}
