//! What JavaScript and the engine agree on: the numbers that cross between them.
//!
//! It is said here once, and exported as it is. Everything else that JavaScript sees
//! is in `binding`.

use napi_derive::napi;
use oxws_protocol::frame::MAX_CONTROL_LEN;
use oxws_protocol::ProtocolError;

/// The version of this binary, which has to be that of the package that loads it.
#[napi]
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What an event is: in the low bits its number, which for a frame is its opcode, and
/// bits above that say more.
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
    /// A close frame. The row's last number is its code, or 0.
    #[napi]
    pub const CLOSE: u32 = 8;
    /// A ping.
    #[napi]
    pub const PING: u32 = 9;
    /// A pong.
    #[napi]
    pub const PONG: u32 = 10;
    /// A violation of the protocol: the row's start is which of `violations` it is, its
    /// end the number in question, and the last number the code to close with.
    #[napi]
    pub const VIOLATION: u32 = 16;
    /// The other end sends no more.
    #[napi]
    pub const END: u32 = 17;
    /// The connection failed. The row's last number is the system's error number, or 0
    /// if the engine did.
    #[napi]
    pub const ERROR: u32 = 18;
    /// The system has taken messages. The row's last number is how many.
    #[napi]
    pub const SENT: u32 = 19;
    /// All is sent that was to be, and this direction of the socket has ended.
    #[napi]
    pub const ENDED: u32 = 20;
    /// All is sent that was to be, and the connection is let go of.
    #[napi]
    pub const RELEASED: u32 = 21;

    /// The frame was masked.
    #[napi]
    pub const MASKED: u32 = 0x100;
    /// The payload is in memory of its own: the row's start is its number.
    #[napi]
    pub const LARGE: u32 = 0x200;
    /// The text is known to be ASCII.
    #[napi]
    pub const ASCII: u32 = 0x400;
    /// It was writing that failed.
    #[napi]
    pub const WRITE: u32 = 0x800;
}

/// Where in the row of an event each number is.
#[napi]
pub mod event {
    /// The connection.
    #[napi]
    pub const ID: u32 = 0;
    /// What it is: see `kind`.
    #[napi]
    pub const KIND: u32 = 1;
    /// Where the payload begins.
    #[napi]
    pub const START: u32 = 2;
    /// Where it ends.
    #[napi]
    pub const END: u32 = 3;
    /// The bytes on the wire since the event before.
    #[napi]
    pub const WIRE: u32 = 4;
    /// Depends on the kind. For a message of more than one fragment whose receiver wants
    /// to know where they end: 1 more than the number of the payload that tells.
    #[napi]
    pub const EXTRA: u32 = 5;
    /// The numbers in a row.
    #[napi]
    pub const WIDTH: u32 = 6;
}

/// What a frame is to be: the low eight bits are the first byte of its head (RFC 6455,
/// 5.2), where RSV1 asks for compression; the others are ours.
#[napi]
pub mod flag {
    /// The opcode.
    #[napi]
    pub const OPCODE: u32 = 0x0f;
    /// The message ends here.
    #[napi]
    pub const FIN: u32 = 0x80;
    /// The message is to be compressed, if it is long enough.
    #[napi]
    pub const RSV1: u32 = 0x40;
    /// The payload is to be masked.
    #[napi]
    pub const MASK: u32 = 0x100;
    /// The engine is to tell when the system has taken it.
    #[napi]
    pub const ACK: u32 = 0x200;
    /// It was taken back.
    #[napi]
    pub const SKIP: u32 = 0x400;
    /// It is written as it is, without a frame around it.
    #[napi]
    pub const RAW: u32 = 0x800;
}

/// Where in the row of a message each number is.
#[napi]
pub mod message {
    /// The connection.
    #[napi]
    pub const ID: u32 = 0;
    /// What its frame is to be: see `flag`.
    #[napi]
    pub const FLAGS: u32 = 1;
    /// Where the payload begins.
    #[napi]
    pub const START: u32 = 2;
    /// Where it ends.
    #[napi]
    pub const END: u32 = 3;
    /// The numbers in a row.
    #[napi]
    pub const WIDTH: u32 = 4;
}

/// Where in a decoder's first row each number is; the other rows are those of events.
#[napi]
pub mod state {
    /// Up to where the chunk is read.
    #[napi]
    pub const POSITION: u32 = 0;
    /// 1 if a heavy message is to be decoded elsewhere from there on.
    #[napi]
    pub const HEAVY: u32 = 1;
}

/// A connection's number is its place in the table in this many low bits, and in the
/// high bits how often that place was taken: a number is not used again soon.
#[napi]
pub const PLACE_BITS: u32 = 20;

/// The longest payload of a control frame, in bytes (RFC 6455, 5.5).
#[napi]
pub const MAX_CONTROL: u32 = MAX_CONTROL_LEN as u32;

/// The names of the violations of the protocol, by their numbers.
#[napi]
pub fn violations() -> Vec<&'static str> {
    ProtocolError::NAMES.to_vec()
}

/// Where the fragments of a message end, as JavaScript reads it: numbers of 64 bits, in the
/// machine's byte order.
pub(crate) fn ends_as_bytes(ends: &[usize]) -> Vec<u8> {
    ends.iter()
        .flat_map(|end| (*end as f64).to_ne_bytes())
        .collect()
}
