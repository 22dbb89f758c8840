//! Makes frames of what JavaScript sends.

use oxws_protocol::frame::{FrameHead, Opcode};
use oxws_protocol::{mask, Encoder, MessageOptions, PreparedMessage};

use super::mask_keys;
use super::outbox::{Flags, FrameKind};

/// Appends the frame of a message or control frame to `out`. Returns whether there is one:
/// a message needs the encoder.
pub(crate) fn append(
    encoder: Option<&mut Encoder>,
    flags: Flags,
    payload: &[u8],
    out: &mut Vec<u8>,
) -> bool {
    match (flags.kind(), encoder) {
        _ if flags.raw() => out.extend_from_slice(payload),
        (Some(FrameKind::Message(kind)), Some(encoder)) => {
            let options = MessageOptions {
                fin: flags.fin(),
                compress: flags.compress(),
                mask: key(flags.mask()),
            };
            encoder.message(kind, payload, options, out);
        }
        (Some(FrameKind::Control(opcode)), _) => {
            append_control(opcode, payload, key(flags.mask()), out);
        }
        _ => return false,
    }
    true
}

/// Appends the frame of a prepared message to `out`. Within a fragmented message, it is the
/// last fragment.
pub(crate) fn append_prepared(
    encoder: &mut Encoder,
    message: &PreparedMessage,
    mask: Option<[u8; 4]>,
    out: &mut Vec<u8>,
) {
    if encoder.is_within_message() {
        let options = MessageOptions {
            fin: true,
            compress: message.compress(),
            mask,
        };
        encoder.message(message.kind(), message.payload(), options, out);
        return;
    }
    let frame = encoder.prepared(message);
    match mask {
        None => out.extend_from_slice(frame.bytes()),
        Some(key) => {
            frame.head(mask).append(out);
            mask::extend(out, frame.payload(), key);
        }
    }
}

/// Appends a control frame to `out`.
pub(crate) fn append_control(
    opcode: Opcode,
    payload: &[u8],
    mask: Option<[u8; 4]>,
    out: &mut Vec<u8>,
) {
    let head = FrameHead {
        fin: true,
        rsv1: false,
        opcode,
        len: payload.len(),
        mask,
    };
    head.append(out);
    match mask {
        Some(key) => mask::extend(out, payload, key),
        None => out.extend_from_slice(payload),
    }
}

/// Returns the options of a message that is neither masked nor compressed.
pub(crate) fn plain(flags: Flags) -> MessageOptions {
    MessageOptions {
        fin: flags.fin(),
        compress: false,
        mask: None,
    }
}

/// Returns a new masking key if `masked` is true.
pub(crate) fn key(masked: bool) -> Option<[u8; 4]> {
    // A frame that has to be masked must not be sent without randomness. A system
    // always has randomness once it has started.
    masked.then(|| mask_keys::next().expect("the system has randomness"))
}
