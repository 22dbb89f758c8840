//! Messages that are framed and compressed once, and sent to many connections.

use std::fmt;
use std::sync::OnceLock;

use bytes::Bytes;

use crate::deflate::{ContextPool, DeflateOptions, Deflater, WINDOW_BITS};
use crate::encoder::MessageKind;
use crate::frame::{FrameHead, Opcode, MAX_HEAD_LEN};

/// The number of possible window sizes.
const WINDOWS: usize = (*WINDOW_BITS.end() - *WINDOW_BITS.start()) as usize + 1;

/// A message that is framed once, and compressed once for each window size that
/// connections have agreed on. Its bytes are shared by all connections that send it.
///
/// The compressed message refers to no other message, so that each receiver can
/// decompress it. [`Encoder::prepared`](crate::Encoder::prepared) returns the frame for a
/// connection.
pub struct PreparedMessage {
    kind: MessageKind,
    compress: bool,
    plain: PreparedFrame,
    compressed: [OnceLock<PreparedFrame>; WINDOWS],
}

/// A frame of a [`PreparedMessage`], not masked.
#[derive(Clone)]
pub struct PreparedFrame {
    bytes: Bytes,
    head: FrameHead,
}

impl PreparedFrame {
    fn new(head: FrameHead, payload: &[u8]) -> Self {
        let mut frame = Vec::with_capacity(MAX_HEAD_LEN + payload.len());
        head.append(&mut frame);
        frame.extend_from_slice(payload);
        frame.shrink_to_fit();
        Self {
            bytes: frame.into(),
            head,
        }
    }

    /// Returns the whole frame. Clones share its memory.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Returns the payload.
    pub fn payload(&self) -> &[u8] {
        &self.bytes[self.bytes.len() - self.head.len..]
    }

    /// Returns the head of the frame with this masking key.
    pub fn head(&self, mask: Option<[u8; 4]>) -> FrameHead {
        FrameHead { mask, ..self.head }
    }
}

impl PreparedMessage {
    /// Creates a message. `compress` tells whether it is compressed for connections that
    /// have agreed on permessage-deflate.
    pub fn new(kind: MessageKind, payload: &[u8], compress: bool) -> Self {
        let head = head(kind, payload.len(), false);
        Self {
            kind,
            compress,
            plain: PreparedFrame::new(head, payload),
            compressed: Default::default(),
        }
    }

    /// Returns the type of the message.
    pub fn kind(&self) -> MessageKind {
        self.kind
    }

    /// Returns whether the message is compressed for connections that have agreed on
    /// permessage-deflate.
    pub fn compress(&self) -> bool {
        self.compress
    }

    /// Returns the message, as it was given.
    pub fn payload(&self) -> &[u8] {
        self.plain.payload()
    }

    /// Returns the frame of the uncompressed message.
    pub fn plain(&self) -> &PreparedFrame {
        &self.plain
    }

    /// Returns the frame of the compressed message for a window of this size, as the base-2
    /// logarithm of bytes. The first call for each size compresses the message.
    ///
    /// # Panics
    ///
    /// If the window bits are not 8 to 15.
    pub fn compressed(&self, window_bits: u8) -> &PreparedFrame {
        self.slot(window_bits).get_or_init(|| {
            let options = DeflateOptions {
                window_bits,
                no_context_takeover: true,
                ..DeflateOptions::default()
            };
            let mut payload = Vec::new();
            Deflater::new(options, ContextPool::default()).compress(
                self.payload(),
                true,
                &mut payload,
            );
            PreparedFrame::new(head(self.kind, payload.len(), true), &payload)
        })
    }

    /// Returns whether the message has been compressed for a window of this size.
    ///
    /// # Panics
    ///
    /// If the window bits are not 8 to 15.
    pub fn is_compressed(&self, window_bits: u8) -> bool {
        self.slot(window_bits).get().is_some()
    }

    fn slot(&self, window_bits: u8) -> &OnceLock<PreparedFrame> {
        &self.compressed[usize::from(window_bits - WINDOW_BITS.start())]
    }
}

fn head(kind: MessageKind, len: usize, rsv1: bool) -> FrameHead {
    FrameHead {
        fin: true,
        rsv1,
        opcode: match kind {
            MessageKind::Text => Opcode::Text,
            MessageKind::Binary => Opcode::Binary,
        },
        len,
        mask: None,
    }
}

impl fmt::Debug for PreparedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedMessage")
            .field("kind", &self.kind)
            .field("compress", &self.compress)
            .field("len", &self.payload().len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deflate::{InflateOptions, Inflater};
    use crate::{Decoded, Decoder, Encoder, Event, MessageOptions};

    fn text() -> Vec<u8> {
        b"a text that repeats itself, ".repeat(40)
    }

    fn encoder(no_context_takeover: bool, window_bits: u8) -> Encoder {
        let options = DeflateOptions {
            window_bits,
            no_context_takeover,
            ..DeflateOptions::default()
        };
        Encoder::new(Some(Deflater::new(options, ContextPool::default())), 100)
    }

    /// Decodes messages, as the peer of the encoder does.
    fn decode(decoder: &mut Decoder, mut bytes: Vec<u8>) -> Vec<Vec<u8>> {
        let mut at = 0;
        let mut messages = Vec::new();
        while let Decoded::Event(Event { payload, .. }) = decoder.next(&mut bytes, &mut at).unwrap()
        {
            messages.push(payload.bytes(&bytes).to_vec());
        }
        messages
    }

    fn decoder(window_bits: u8) -> Decoder {
        let options = InflateOptions {
            window_bits,
            no_context_takeover: false,
        };
        let inflater = Inflater::new(options, ContextPool::default());
        Decoder::new(crate::DecoderOptions::default(), Some(inflater))
    }

    #[test]
    fn a_message_is_framed_once() {
        let message = PreparedMessage::new(MessageKind::Text, b"Hello", true);
        assert_eq!(&message.plain().bytes()[..], b"\x81\x05Hello");
        let mut plain = Encoder::new(None, 0);
        let mut compressing = encoder(false, 15);
        let first = plain.prepared(&message).bytes().as_ptr();
        // It is below the threshold of this encoder.
        let second = compressing.prepared(&message).bytes().as_ptr();
        assert_eq!(first, second, "the bytes are shared");
    }

    #[test]
    fn a_message_is_compressed_once_for_each_window() {
        let message = PreparedMessage::new(MessageKind::Text, &text(), true);
        assert!(!message.is_compressed(15));
        let first = encoder(false, 15).prepared(&message).bytes().as_ptr();
        let second = encoder(true, 15).prepared(&message).bytes().as_ptr();
        assert_eq!(first, second);
        assert!(message.is_compressed(15) && !message.is_compressed(9));
        let frame = encoder(false, 9).prepared(&message).clone();
        assert_ne!(frame.bytes().as_ptr(), first);
        assert_eq!(frame.bytes()[0], 0xc1);
        assert_eq!(decode(&mut decoder(9), frame.bytes().to_vec()), [text()]);
    }

    #[test]
    fn compression_may_be_off() {
        let message = PreparedMessage::new(MessageKind::Binary, &text(), false);
        let frame = encoder(false, 15).prepared(&message).clone();
        assert_eq!(frame.bytes()[0], 0x82);
        assert_eq!(frame.payload(), text());
    }

    #[test]
    fn the_encoders_own_messages_do_not_refer_to_a_prepared_one() {
        // The receiver keeps one window for all of them.
        let message = PreparedMessage::new(MessageKind::Text, &text(), true);
        let own = |number: u32| {
            let mut own = text();
            own.extend_from_slice(&number.to_be_bytes());
            own
        };
        let mut encoder = encoder(false, 15);
        let mut stream = Vec::new();
        let mut sent = Vec::new();
        for number in 0..20 {
            if number % 3 == 1 {
                stream.extend_from_slice(encoder.prepared(&message).bytes());
                sent.push(text());
            } else {
                let options = MessageOptions {
                    fin: true,
                    compress: true,
                    mask: None,
                };
                encoder.message(MessageKind::Text, &own(number), options, &mut stream);
                sent.push(own(number));
            }
        }
        let options = crate::DecoderOptions {
            validates: false,
            ..crate::DecoderOptions::default()
        };
        let inflater = Inflater::new(InflateOptions::default(), ContextPool::default());
        assert_eq!(
            decode(&mut Decoder::new(options, Some(inflater)), stream),
            sent
        );
    }
}
