//! What a peer can do wrong on an open connection, in one table.

use std::fmt;

/// The JavaScript class that an error is reported with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsClass {
    /// `Error`
    Error,
    /// `RangeError`
    RangeError,
}

impl JsClass {
    /// The name of the class's constructor.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "Error",
            Self::RangeError => "RangeError",
        }
    }
}

/// A violation of the protocol, or of a limit, by the peer.
///
/// Each one ends the connection: nothing that follows it is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtocolError {
    /// RSV2 or RSV3 is set, and no extension gives them a meaning (RFC 6455, 5.2).
    ReservedBits,
    /// RSV1 is set where permessage-deflate does not allow it (RFC 7692, 6).
    UnexpectedRsv1,
    /// An opcode that is unknown, or not allowed at this place (RFC 6455, 5.2 and 5.4).
    InvalidOpcode(u8),
    /// A control frame is fragmented (RFC 6455, 5.5).
    FragmentedControl,
    /// A control frame is longer than 125 bytes, or a close frame is one byte long
    /// (RFC 6455, 5.5).
    InvalidPayloadLength,
    /// A frame is not masked although [`Masking::Required`](crate::Masking) holds
    /// (RFC 6455, 5.1).
    MaskRequired,
    /// A frame is masked although [`Masking::Forbidden`](crate::Masking) holds
    /// (RFC 6455, 5.1).
    MaskForbidden,
    /// A message is longer than `max_payload`, or a frame longer than 2^53 - 1 bytes.
    PayloadTooLong,
    /// A message has more fragments than `max_fragments`.
    TooManyFragments,
    /// Text, or the reason of a close frame, is not UTF-8 (RFC 6455, 8.1).
    InvalidUtf8,
    /// A close frame carries a code that must not be sent (RFC 6455, 7.4).
    InvalidCloseCode(u16),
    /// The payload of a compressed message is no DEFLATE data (RFC 7692, 7.2.2).
    InvalidDeflate,
}

/// What an error is to the peer and to JavaScript: close code, class, and `code` property.
struct Row(u16, JsClass, &'static str);

impl ProtocolError {
    const fn row(self) -> Row {
        use JsClass::{Error, RangeError};
        match self {
            Self::ReservedBits => Row(1002, Error, "WS_ERR_UNEXPECTED_RSV_2_3"),
            Self::UnexpectedRsv1 => Row(1002, Error, "WS_ERR_UNEXPECTED_RSV_1"),
            Self::InvalidOpcode(_) => Row(1002, Error, "WS_ERR_INVALID_OPCODE"),
            Self::FragmentedControl => Row(1002, Error, "WS_ERR_EXPECTED_FIN"),
            Self::InvalidPayloadLength => Row(1002, Error, "WS_ERR_INVALID_CONTROL_PAYLOAD_LENGTH"),
            Self::MaskRequired => Row(1002, Error, "WS_ERR_EXPECTED_MASK"),
            Self::MaskForbidden => Row(1002, Error, "WS_ERR_UNEXPECTED_MASK"),
            Self::PayloadTooLong => Row(1009, Error, "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH"),
            Self::TooManyFragments => Row(1008, RangeError, "WS_ERR_TOO_MANY_BUFFERED_PARTS"),
            Self::InvalidUtf8 => Row(1007, Error, "WS_ERR_INVALID_UTF8"),
            Self::InvalidCloseCode(_) => Row(1002, Error, "WS_ERR_INVALID_CLOSE_CODE"),
            Self::InvalidDeflate => Row(1007, Error, "Z_DATA_ERROR"),
        }
    }

    /// The status code to close the connection with (RFC 6455, 7.4.1).
    pub const fn close_code(self) -> u16 {
        self.row().0
    }

    /// The JavaScript class of the error.
    pub const fn js_class(self) -> JsClass {
        self.row().1
    }

    /// The error's `code` property: a name that outlives changes of its text.
    pub const fn name(self) -> &'static str {
        self.row().2
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReservedBits => f.write_str("RSV2 and RSV3 must be clear"),
            Self::UnexpectedRsv1 => f.write_str("RSV1 must be clear"),
            Self::InvalidOpcode(opcode) => write!(f, "invalid opcode: {opcode}"),
            Self::FragmentedControl => f.write_str("FIN must be set"),
            Self::InvalidPayloadLength => f.write_str("invalid payload length"),
            Self::MaskRequired => f.write_str("MASK must be set"),
            Self::MaskForbidden => f.write_str("MASK must be clear"),
            Self::PayloadTooLong => f.write_str("max payload size exceeded"),
            Self::TooManyFragments => f.write_str("too many message fragments"),
            Self::InvalidUtf8 => f.write_str("invalid utf8 sequence"),
            Self::InvalidCloseCode(code) => write!(f, "invalid status code: {code}"),
            Self::InvalidDeflate => f.write_str("invalid compressed data"),
        }
    }
}

impl std::error::Error for ProtocolError {}
