//! Decodes bytes into events.

use std::ops::Range;
use std::sync::Arc;

use crate::buffers::BufferPool;
use crate::deflate::Inflater;
use crate::frame::{Opcode, Start, MAX_CONTROL_LEN, MAX_HEAD_LEN};
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

    /// Returns the buffer of the current message, and how many bytes may be
    /// appended to it, if at least the next `least` bytes of the stream are
    /// uncompressed payload of this message.
    ///
    /// The caller can then read from the network directly into this buffer, instead of
    /// passing the bytes to [`next`](Self::next), which saves a copy. The buffer has
    /// the capacity for the returned number of bytes. After appending, call
    /// [`advance_payload`](Self::advance_payload).
    ///
    /// Also returns `None` if the buffer cannot grow. [`next`](Self::next) then
    /// reports the error.
    pub fn payload_buffer(&mut self, least: usize) -> Option<(&mut Vec<u8>, usize)> {
        let message = self.message.as_mut()?;
        let is_data = matches!(
            self.frame.opcode,
            Opcode::Text | Opcode::Binary | Opcode::Continuation
        );
        let remaining = usize::try_from(self.frame.remaining).unwrap_or(usize::MAX);
        let in_payload = matches!(self.state, State::Payload);
        if !in_payload || !is_data || message.compressed || remaining < least {
            return None;
        }
        let data = &mut message.data;
        if data.capacity() == data.len() {
            let more = (RESERVE_FACTOR * data.len()).max(least).min(remaining);
            self.buffers.try_grow(data, data.len() + more).ok()?;
        }
        let room = (data.capacity() - data.len()).min(remaining);
        Some((data, room))
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
        let message = self.message.as_mut().expect("a message is under way");
        let added = &mut message.data[from..];
        let phase = (self.frame.len - self.frame.remaining) % 4;
        if let Some(key) = self.frame.mask {
            mask::apply(added, key, phase as usize);
        }
        let added = added.len() as u64;
        self.frame.remaining = (self.frame.remaining)
            .checked_sub(added)
            .expect("no more than there was room for");
        let result = self.validate(from).and_then(|()| {
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
            return Ok(Some(self.data_event(text, Payload::Input(range))));
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
        self.validate(decoded_before)?;
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

    /// Validates what was added to the current message from offset `from` on, if it
    /// has to be UTF-8.
    ///
    /// This is done before an error of the inflater is returned, because that error is
    /// later in the stream. Bytes beyond the length limit are not validated. The error
    /// that is returned is therefore always the first one in the stream, however the
    /// stream is cut.
    fn validate(&mut self, from: usize) -> Result<(), ProtocolError> {
        match &self.message {
            Some(message) if message.utf8 => {
                let limit = usize::try_from(self.options.limit(true)).unwrap_or(usize::MAX);
                let end = message.data.len().min(limit);
                self.utf8
                    .feed(&message.data[from.min(end)..end])
                    .map_err(|_| ProtocolError::InvalidUtf8)
            }
            _ => Ok(()),
        }
    }

    /// Ends the current message, which is complete.
    fn finish_message(&mut self) -> Result<Event, ProtocolError> {
        let message = self.message.take().expect("a message is under way");
        self.ends = message.ends;
        if message.utf8 {
            if self.utf8.finish().is_err() {
                return Err(ProtocolError::InvalidUtf8);
            }
            check_text_len(&message.data, &self.options)?;
        }
        Ok(self.data_event(message.text, Payload::Owned(message.data)))
    }

    fn data_event(&self, text: bool, payload: Payload) -> Event {
        Event {
            kind: if text {
                EventKind::Text
            } else {
                EventKind::Binary
            },
            payload,
            masked: self.frame.mask.is_some(),
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
