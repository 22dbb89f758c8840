//! The WebSocket protocol without any I/O: bytes in, events out; messages in, bytes out.
//!
//! This crate uses no sockets, clock, runtime or source of randomness. The caller
//! passes in the bytes that it read from the network, and writes the bytes that it gets
//! back. Masking keys and nonces are arguments.
//!
//! | to                                  | use                                  |
//! |-------------------------------------|--------------------------------------|
//! | turn bytes into messages            | [`Decoder`]                          |
//! | turn messages into bytes            | [`Encoder`], or [`PreparedMessage`] for many connections |
//! | open a connection, at either end    | [`handshake`]                        |
//! | compress (permessage-deflate)       | [`deflate`], negotiated in [`handshake::permessage_deflate`] |
//!
//! The protocol is [RFC 6455], the compression [RFC 7692].
//!
//! [RFC 6455]: https://www.rfc-editor.org/rfc/rfc6455
//! [RFC 7692]: https://www.rfc-editor.org/rfc/rfc7692

#![forbid(unsafe_code)]

mod buffers;
pub mod close;
mod decoder;
pub mod deflate;
mod encoder;
mod error;
pub mod frame;
pub mod handshake;
mod heavy;
pub mod mask;
mod prepared;
pub mod utf8;

pub use buffers::BufferPool;
pub use decoder::{
    Decoded, Decoder, DecoderOptions, Event, EventKind, ExpectedFrame, Masking, Payload,
    PayloadBuffer,
};
pub use encoder::{Encoder, MessageKind, MessageOptions};
pub use error::ProtocolError;
pub use heavy::{decode_heavy, HeavyDone};
pub use prepared::{PreparedFrame, PreparedMessage};
