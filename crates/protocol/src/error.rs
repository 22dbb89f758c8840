//! The violations that a peer can commit on an open connection, in one table.

use std::fmt;

/// A violation of the protocol or of a limit by the peer.
///
/// Every violation ends the connection: nothing after it is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtocolError {
    /// RSV2 or RSV3 is set. No extension that is supported uses them (RFC 6455, 5.2).
    ReservedBits,
    /// RSV1 is set where permessage-deflate does not allow it (RFC 7692, 6).
    UnexpectedRsv1,
    /// The opcode is unknown, or not allowed at this point (RFC 6455, 5.2 and 5.4).
    InvalidOpcode(u8),
    /// A control frame is fragmented (RFC 6455, 5.5).
    FragmentedControl,
    /// A control frame is longer than 125 bytes, or a close frame is one byte long (RFC
    /// 6455, 5.5). The value is the 7-bit length in its head, in which 126 and 127
    /// announce a longer length field.
    InvalidPayloadLength(u8),
    /// A frame is not masked, but the decoder has [`Masking::Required`](crate::Masking)
    /// (RFC 6455, 5.1).
    MaskRequired,
    /// A frame is masked, but the decoder has [`Masking::Forbidden`](crate::Masking)
    /// (RFC 6455, 5.1).
    MaskForbidden,
    /// A message is longer than `max_payload`, `max_text` or `max_binary`, or there is
    /// not enough memory for it.
    PayloadTooLong,
    /// A frame is longer than 2^53 - 1 bytes, the largest integer that JavaScript
    /// represents exactly.
    FrameTooLong,
    /// A message has more fragments than `max_fragments`.
    TooManyFragments,
    /// A text, or the reason of a close frame, is not UTF-8 (RFC 6455, 8.1).
    InvalidUtf8,
    /// A close frame has a code that is not allowed (RFC 6455, 7.4).
    InvalidCloseCode(u16),
    /// The payload of a compressed message is not valid DEFLATE data (RFC 7692, 7.2.2).
    InvalidDeflate,
}

impl ProtocolError {
    /// The names of all violations. A name stays the same when the text of its error changes.
    pub const NAMES: [&'static str; 13] = [
        "WS_ERR_UNEXPECTED_RSV_2_3",
        "WS_ERR_UNEXPECTED_RSV_1",
        "WS_ERR_INVALID_OPCODE",
        "WS_ERR_EXPECTED_FIN",
        "WS_ERR_INVALID_CONTROL_PAYLOAD_LENGTH",
        "WS_ERR_EXPECTED_MASK",
        "WS_ERR_UNEXPECTED_MASK",
        "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH",
        "WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH",
        "WS_ERR_TOO_MANY_BUFFERED_PARTS",
        "WS_ERR_INVALID_UTF8",
        "WS_ERR_INVALID_CLOSE_CODE",
        "Z_DATA_ERROR",
    ];

    /// Returns the index of the violation's name in [`NAMES`](Self::NAMES).
    pub const fn number(self) -> usize {
        match self {
            Self::ReservedBits => 0,
            Self::UnexpectedRsv1 => 1,
            Self::InvalidOpcode(_) => 2,
            Self::FragmentedControl => 3,
            Self::InvalidPayloadLength(_) => 4,
            Self::MaskRequired => 5,
            Self::MaskForbidden => 6,
            Self::PayloadTooLong => 7,
            Self::FrameTooLong => 8,
            Self::TooManyFragments => 9,
            Self::InvalidUtf8 => 10,
            Self::InvalidCloseCode(_) => 11,
            Self::InvalidDeflate => 12,
        }
    }

    /// Returns the violation's name.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self.number()]
    }

    /// Returns the number that is at fault, for example the opcode. 0 if there is none.
    pub const fn detail(self) -> u16 {
        match self {
            Self::InvalidOpcode(number) | Self::InvalidPayloadLength(number) => number as u16,
            Self::InvalidCloseCode(code) => code,
            _ => 0,
        }
    }

    /// Returns the status code to close the connection with (RFC 6455, 7.4.1).
    pub const fn close_code(self) -> u16 {
        match self {
            Self::InvalidUtf8 | Self::InvalidDeflate => 1007,
            Self::TooManyFragments => 1008,
            Self::PayloadTooLong | Self::FrameTooLong => 1009,
            _ => 1002,
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReservedBits => f.write_str("RSV2 and RSV3 must be clear"),
            Self::UnexpectedRsv1 => f.write_str("RSV1 must be clear"),
            Self::InvalidOpcode(opcode) => write!(f, "invalid opcode: {opcode}"),
            Self::FragmentedControl => f.write_str("FIN must be set"),
            Self::InvalidPayloadLength(len) => write!(f, "invalid payload length: {len}"),
            Self::MaskRequired => f.write_str("MASK must be set"),
            Self::MaskForbidden => f.write_str("MASK must be clear"),
            Self::PayloadTooLong => f.write_str("max payload size exceeded"),
            Self::FrameTooLong => f.write_str("payload length beyond 2^53 - 1"),
            Self::TooManyFragments => f.write_str("too many message fragments"),
            Self::InvalidUtf8 => f.write_str("invalid UTF-8 sequence"),
            Self::InvalidCloseCode(code) => write!(f, "invalid status code: {code}"),
            Self::InvalidDeflate => f.write_str("invalid compressed data"),
        }
    }
}

impl std::error::Error for ProtocolError {}
