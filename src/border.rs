//! The constants that JavaScript and the engine share.
//!
//! They are defined only here, and exported to JavaScript. Everything else that
//! JavaScript uses is in `binding`.

use napi_derive::napi;
use oxws_protocol::frame::MAX_CONTROL_LEN;
use oxws_protocol::ProtocolError;

/// The version of this binary. It has to be the version of the package that loads it.
#[napi]
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The kind of an event. The low bits are its number, which for a frame is its opcode.
/// The higher bits are flags.
#[napi]
pub mod kind {
    /// The bits of the number.
    #[napi]
    pub const NUMBER: u32 = 0xff;

    /// A text message.
    #[napi]
    pub const TEXT: u32 = 1;
    /// A binary message.
    #[napi]
    pub const BINARY: u32 = 2;
    /// A close frame. The row's last value is its code, or 0 if it has none.
    #[napi]
    pub const CLOSE: u32 = 8;
    /// A ping.
    #[napi]
    pub const PING: u32 = 9;
    /// A pong.
    #[napi]
    pub const PONG: u32 = 10;
    /// A violation of the protocol. The row's start is the index of its name in `violations`,
    /// its end is the number at fault, and its last value is the code to close with.
    #[napi]
    pub const VIOLATION: u32 = 16;
    /// The peer has ended its sending direction.
    #[napi]
    pub const END: u32 = 17;
    /// The connection failed. The row's last value is the system's error number, or 0
    /// if the engine failed.
    #[napi]
    pub const ERROR: u32 = 18;
    /// The system has taken messages sent with `flag.ACK`. The row's last value
    /// is their number.
    #[napi]
    pub const SENT: u32 = 19;
    /// Everything has been written, and the sending direction of the socket has ended.
    #[napi]
    pub const ENDED: u32 = 20;
    /// Everything has been written, and the engine has released the connection.
    #[napi]
    pub const RELEASED: u32 = 21;

    /// A listener has read an upgrade request. The row's ID is the listener's, its payload
    /// is the head of the request, and its last value is the number of the accepted
    /// connection. `wire` is the version of the WebSocket protocol.
    #[napi]
    pub const UPGRADE: u32 = 22;
    /// A listener has accepted a connection that Node has to serve. The row's payload is
    /// what has been read, and its last value is the number of the accepted connection.
    #[napi]
    pub const OTHER: u32 = 23;
    /// A listener needs a sweep in a second: it waits for requests, or it could not accept
    /// connections because no descriptors or memory were left.
    #[napi]
    pub const SWEEP: u32 = 24;

    /// The frame was masked.
    #[napi]
    pub const MASKED: u32 = 0x100;
    /// The payload is outside the inbox or chunk. The row's start is its number.
    #[napi]
    pub const LARGE: u32 = 0x200;
    /// The text is known to be ASCII.
    #[napi]
    pub const ASCII: u32 = 0x400;
    /// The error occurred while writing.
    #[napi]
    pub const WRITE: u32 = 0x800;
    /// The upgrade request offers subprotocols or extensions.
    #[napi]
    pub const OFFERS: u32 = 0x1000;
}

/// The column of each value in the row of an event.
#[napi]
pub mod event {
    /// The ID of the connection.
    #[napi]
    pub const ID: u32 = 0;
    /// The kind of the event: see `kind`.
    #[napi]
    pub const KIND: u32 = 1;
    /// Where the payload begins.
    #[napi]
    pub const START: u32 = 2;
    /// Where the payload ends.
    #[napi]
    pub const END: u32 = 3;
    /// The number of bytes received since the event before.
    #[napi]
    pub const WIRE: u32 = 4;
    /// Depends on the kind. For a fragmented message whose receiver wants to know where the
    /// fragments end, it is 1 more than the number of the payload that lists the ends.
    #[napi]
    pub const EXTRA: u32 = 5;
    /// The number of values in each row.
    #[napi]
    pub const WIDTH: u32 = 6;
}

/// The flags of a frame to send. The low eight bits are the first byte of its head (RFC
/// 6455, 5.2), in which RSV1 requests compression. The others are specific to oxws.
#[napi]
pub mod flag {
    /// The opcode.
    #[napi]
    pub const OPCODE: u32 = 0x0f;
    /// The message ends with this frame.
    #[napi]
    pub const FIN: u32 = 0x80;
    /// The message is compressed, if it is long enough.
    #[napi]
    pub const RSV1: u32 = 0x40;
    /// The payload is masked.
    #[napi]
    pub const MASK: u32 = 0x100;
    /// The engine reports when the system has taken the message.
    #[napi]
    pub const ACK: u32 = 0x200;
    /// The message was withdrawn, and is not sent.
    #[napi]
    pub const SKIP: u32 = 0x400;
    /// The payload is written as it is, without a frame around it.
    #[napi]
    pub const RAW: u32 = 0x800;
    /// The row is for a prepared message. Its start is the number of the message, and its
    /// end is greater by the length of the payload.
    #[napi]
    pub const PREPARED: u32 = 0x1000;
}

/// The column of each value in the row of a message.
#[napi]
pub mod message {
    /// The ID of the connection.
    #[napi]
    pub const ID: u32 = 0;
    /// The flags of the frame: see `flag`.
    #[napi]
    pub const FLAGS: u32 = 1;
    /// Where the payload begins.
    #[napi]
    pub const START: u32 = 2;
    /// Where the payload ends.
    #[napi]
    pub const END: u32 = 3;
    /// The number of values in each row.
    #[napi]
    pub const WIDTH: u32 = 4;
}

/// The column of each value in a decoder's first row. The other rows are events.
#[napi]
pub mod state {
    /// The position in the chunk up to which it has been decoded.
    #[napi]
    pub const POSITION: u32 = 0;
    /// 1 if the rest of the chunk belongs to a heavy message, for `decodeHeavy`. Otherwise 0.
    #[napi]
    pub const HEAVY: u32 = 1;
    /// 1 if the decoder is between two messages: the next byte is the first of a frame, and
    /// no message is under way. Otherwise 0.
    #[napi]
    pub const BETWEEN: u32 = 2;
}

/// The number of low bits of a connection's ID that are its index in the table. The high
/// bits count how often that index has been used, so that an ID is not used again soon.
#[napi]
pub const PLACE_BITS: u32 = 20;

/// Returns the index of a connection in the table.
pub(crate) fn place(id: u32) -> usize {
    (id & ((1 << PLACE_BITS) - 1)) as usize
}

/// The maximum length of a control frame's payload, in bytes (RFC 6455, 5.5).
#[napi]
pub const MAX_CONTROL: u32 = MAX_CONTROL_LEN as u32;

/// The names of the violations of the protocol. The index of a name is its number.
#[napi]
pub fn violations() -> Vec<&'static str> {
    ProtocolError::NAMES.to_vec()
}

/// Encodes where the fragments of a message end for JavaScript: as 64-bit floats in the
/// machine's byte order.
pub(crate) fn ends_as_bytes(ends: &[usize]) -> Vec<u8> {
    ends.iter()
        .flat_map(|end| (*end as f64).to_ne_bytes())
        .collect()
}
