//! The opening handshake (RFC 6455, 4), at both ends.
//!
//! | room                     | holds                                                   |
//! |--------------------------|---------------------------------------------------------|
//! | [`http`]                 | HTTP/1.1 heads: read, limited, written                  |
//! | [`key`]                  | `Sec-WebSocket-Key` and `Sec-WebSocket-Accept`          |
//! | [`extension`]            | the `Sec-WebSocket-Extensions` header                   |
//! | [`subprotocol`]          | the `Sec-WebSocket-Protocol` header                     |
//! | [`token`]                | what both are made of, and where they break it          |
//! | [`permessage_deflate`]   | offers of, and agreement on, permessage-deflate         |
//! | [`server`], [`client`]   | what each end does with the other's head                |

pub mod client;
pub mod extension;
pub mod http;
pub mod key;
pub mod permessage_deflate;
pub mod server;
pub mod subprotocol;
pub mod token;

/// The versions of the protocol that are spoken: the final one and the draft
/// (hybi-08 to -12) that differs from it in the name of the `Origin` header alone.
pub const VERSIONS: [u8; 2] = [8, 13];
