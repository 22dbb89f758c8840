//! Encodes messages into bytes.

use crate::deflate::Deflater;
use crate::frame::{FrameHead, Opcode, MAX_CONTROL_LEN};
use crate::prepared::{PreparedFrame, PreparedMessage};
use crate::{close, mask};

/// The type of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    /// UTF-8 text.
    Text,
    /// Binary data.
    Binary,
}

/// How to send a message or a fragment of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageOptions {
    /// Whether this is the last frame of the message.
    pub fin: bool,
    /// Whether to compress the message, if permessage-deflate was negotiated. The value
    /// for the first fragment applies to the whole message.
    pub compress: bool,
    /// The masking key, or `None` to leave the frame unmasked. A client masks every
    /// frame with a new random key (RFC 6455, 5.3).
    pub mask: Option<[u8; 4]>,
}

/// Encodes the messages of one direction of a connection into bytes.
///
/// The encoder knows whether a fragmented message is open. The caller sends one fragment
/// after another, the last one with `fin`, and may send control frames in between.
#[derive(Debug)]
pub struct Encoder {
    deflater: Option<Box<Deflater>>,
    /// Messages whose first fragment is shorter than this, in bytes, are not compressed.
    threshold: usize,
    open: OpenMessage,
}

/// The fragmented message that is open, if any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OpenMessage {
    None,
    Plain,
    Compressed,
}

impl Encoder {
    /// Creates an encoder for a new connection. `deflater` is `None` if
    /// permessage-deflate was not negotiated. Messages whose first fragment is shorter
    /// than `threshold` bytes are not compressed.
    pub fn new(deflater: Option<Deflater>, threshold: usize) -> Self {
        Self {
            deflater: deflater.map(Box::new),
            threshold,
            open: OpenMessage::None,
        }
    }

    /// Returns whether a message or fragment of `len` bytes would be compressed.
    pub fn compresses(&self, len: usize, compress: bool) -> bool {
        match self.open {
            OpenMessage::None => compress && self.deflater.is_some() && len >= self.threshold,
            OpenMessage::Plain => false,
            OpenMessage::Compressed => true,
        }
    }

    /// Returns whether the first fragment of a message was sent, and its last was not.
    pub fn is_within_message(&self) -> bool {
        self.open != OpenMessage::None
    }

    /// Returns the window size for which a prepared message is compressed on this connection,
    /// or `None` if it is not compressed.
    pub fn prepared_window(&self, message: &PreparedMessage) -> Option<u8> {
        if self.compresses(message.payload().len(), message.compress()) {
            self.deflater
                .as_ref()
                .map(|deflater| deflater.window_bits())
        } else {
            None
        }
    }

    /// Returns the frame of a prepared message. If it is compressed, the encoder's own
    /// compression starts anew after it, because its context does not have the message.
    ///
    /// Do not call this [within a fragmented message](Self::is_within_message).
    pub fn prepared<'message>(
        &mut self,
        message: &'message PreparedMessage,
    ) -> &'message PreparedFrame {
        match self.prepared_window(message) {
            Some(window_bits) => {
                if let Some(deflater) = &mut self.deflater {
                    deflater.forget();
                }
                message.compressed(window_bits)
            }
            None => message.plain(),
        }
    }

    /// Appends a message, or its next fragment, to `out`.
    pub fn message(
        &mut self,
        kind: MessageKind,
        data: &[u8],
        options: MessageOptions,
        out: &mut Vec<u8>,
    ) {
        if !self.compresses(data.len(), options.compress) {
            let head = self.plain_head(kind, data.len(), options);
            append(head, data, out);
            return;
        }
        let mut compressed = Vec::new();
        let head = self.compress(kind, data, options, &mut compressed);
        append(head, &compressed, out);
    }

    /// Returns the head of an uncompressed message or fragment. The caller writes the
    /// payload, masked with the key in the head.
    #[inline]
    pub fn plain_head(
        &mut self,
        kind: MessageKind,
        len: usize,
        options: MessageOptions,
    ) -> FrameHead {
        self.head(kind, len, options, false)
    }

    /// Compresses `data`, appends it to `payload`, and returns the head of its frame.
    /// Call this only if [`compresses`](Self::compresses) returns true.
    ///
    /// # Panics
    ///
    /// If permessage-deflate was not negotiated.
    pub fn compress(
        &mut self,
        kind: MessageKind,
        data: &[u8],
        options: MessageOptions,
        payload: &mut Vec<u8>,
    ) -> FrameHead {
        let deflater = self.deflater.as_mut().expect("permessage-deflate is on");
        let before = payload.len();
        deflater.compress(data, options.fin, payload);
        self.head(kind, payload.len() - before, options, true)
    }

    #[inline]
    fn head(
        &mut self,
        kind: MessageKind,
        len: usize,
        options: MessageOptions,
        compressed: bool,
    ) -> FrameHead {
        let first = self.open == OpenMessage::None;
        self.open = match (options.fin, compressed) {
            (true, _) => OpenMessage::None,
            (false, true) => OpenMessage::Compressed,
            (false, false) => OpenMessage::Plain,
        };
        FrameHead {
            fin: options.fin,
            rsv1: first && compressed,
            opcode: match (first, kind) {
                (false, _) => Opcode::Continuation,
                (true, MessageKind::Text) => Opcode::Text,
                (true, MessageKind::Binary) => Opcode::Binary,
            },
            len,
            mask: options.mask,
        }
    }

    /// Appends a ping (RFC 6455, 5.5.2).
    ///
    /// # Panics
    ///
    /// If `data` is longer than 125 bytes.
    pub fn ping(&mut self, data: &[u8], mask: Option<[u8; 4]>, out: &mut Vec<u8>) {
        control(Opcode::Ping, data, mask, out);
    }

    /// Appends a pong (RFC 6455, 5.5.3).
    ///
    /// # Panics
    ///
    /// If `data` is longer than 125 bytes.
    pub fn pong(&mut self, data: &[u8], mask: Option<[u8; 4]>, out: &mut Vec<u8>) {
        control(Opcode::Pong, data, mask, out);
    }

    /// Appends a close frame (RFC 6455, 5.5.1). Without a code it has no payload.
    ///
    /// # Panics
    ///
    /// If the code is not allowed in a close frame, or the reason is longer than 123 bytes.
    pub fn close(
        &mut self,
        code: Option<u16>,
        reason: &str,
        mask: Option<[u8; 4]>,
        out: &mut Vec<u8>,
    ) {
        let Some(code) = code else {
            return control(Opcode::Close, &[], mask, out);
        };
        assert!(close::is_valid_code(code), "{code} must not be sent");
        let mut payload = Vec::with_capacity(2 + reason.len());
        payload.extend_from_slice(&code.to_be_bytes());
        payload.extend_from_slice(reason.as_bytes());
        control(Opcode::Close, &payload, mask, out);
    }
}

fn control(opcode: Opcode, data: &[u8], mask: Option<[u8; 4]>, out: &mut Vec<u8>) {
    assert!(data.len() <= MAX_CONTROL_LEN, "a control frame's payload");
    let head = FrameHead {
        fin: true,
        rsv1: false,
        opcode,
        len: data.len(),
        mask,
    };
    append(head, data, out);
}

#[inline]
fn append(head: FrameHead, payload: &[u8], out: &mut Vec<u8>) {
    head.append(out);
    match head.mask {
        Some(key) => mask::extend(out, payload, key),
        None => out.extend_from_slice(payload),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deflate::{ContextPool, DeflateOptions};

    const PLAIN: MessageOptions = MessageOptions {
        fin: true,
        compress: false,
        mask: None,
    };

    const FRAGMENT: MessageOptions = MessageOptions {
        fin: false,
        ..PLAIN
    };

    fn compressing(threshold: usize) -> Encoder {
        let deflater = Deflater::new(DeflateOptions::default(), ContextPool::default());
        Encoder::new(Some(deflater), threshold)
    }

    #[test]
    fn the_examples_of_rfc_6455() {
        // RFC 6455, 5.7.
        let mut out = Vec::new();
        let mut encoder = Encoder::new(None, 0);
        encoder.message(MessageKind::Text, b"Hello", PLAIN, &mut out);
        assert_eq!(out, b"\x81\x05Hello");

        out.clear();
        let masked = MessageOptions {
            mask: Some([0x37, 0xfa, 0x21, 0x3d]),
            ..PLAIN
        };
        encoder.message(MessageKind::Text, b"Hello", masked, &mut out);
        assert_eq!(out, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");

        out.clear();
        encoder.message(MessageKind::Text, b"Hel", FRAGMENT, &mut out);
        encoder.ping(b"Hello", None, &mut out);
        encoder.message(MessageKind::Text, b"lo", PLAIN, &mut out);
        assert_eq!(out, b"\x01\x03Hel\x89\x05Hello\x80\x02lo");

        out.clear();
        encoder.message(MessageKind::Binary, &[0; 256], PLAIN, &mut out);
        assert_eq!(out[..4], [0x82, 0x7e, 0x01, 0x00]);

        out.clear();
        encoder.message(MessageKind::Binary, &[0; 65_536], PLAIN, &mut out);
        assert_eq!(out[..10], [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn the_examples_of_rfc_7692() {
        // RFC 7692, 7.2.3.1 and 7.2.3.2.
        let options = MessageOptions {
            compress: true,
            ..PLAIN
        };
        let mut encoder = compressing(0);
        let mut out = Vec::new();
        encoder.message(MessageKind::Text, b"Hello", options, &mut out);
        assert_eq!(out, [0xc1, 0x07, 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
        out.clear();
        encoder.message(MessageKind::Text, b"Hello", options, &mut out);
        assert_eq!(out, [0xc1, 0x05, 0xf2, 0x00, 0x11, 0x00, 0x00]);
    }

    #[test]
    fn the_first_fragment_decides_about_compression() {
        for (first, rest, compressed) in [("123", "12", true), ("12", "123", false)] {
            let mut encoder = compressing(3);
            let options = |fin| MessageOptions {
                fin,
                compress: true,
                mask: None,
            };
            let mut out = Vec::new();
            encoder.message(
                MessageKind::Text,
                first.as_bytes(),
                options(false),
                &mut out,
            );
            assert_eq!(out[0], if compressed { 0x41 } else { 0x01 });
            assert_eq!(encoder.compresses(0, false), compressed);
            out.clear();
            encoder.message(MessageKind::Text, rest.as_bytes(), options(true), &mut out);
            assert_eq!(out[0], 0x80, "only the first frame has RSV1 set");
            assert!(!encoder.compresses(2, true), "the next message is new");
        }
    }

    #[test]
    fn control_frames() {
        let mut encoder = Encoder::new(None, 0);
        let mut out = Vec::new();
        encoder.close(None, "", None, &mut out);
        encoder.close(Some(1001), "bye", None, &mut out);
        encoder.pong(b"", Some([1, 2, 3, 4]), &mut out);
        assert_eq!(out, b"\x88\x00\x88\x05\x03\xe9bye\x8a\x80\x01\x02\x03\x04");
    }
}
