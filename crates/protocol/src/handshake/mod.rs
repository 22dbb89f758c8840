//! The opening handshake (RFC 6455, 4), at both ends.
//!
//! | module                   | content                                                 |
//! |--------------------------|---------------------------------------------------------|
//! | [`http`]                 | HTTP/1.1 heads: parsing, limits, writing                |
//! | [`key`]                  | `Sec-WebSocket-Key` and `Sec-WebSocket-Accept`          |
//! | [`extension`]            | the `Sec-WebSocket-Extensions` header                   |
//! | [`subprotocol`]          | the `Sec-WebSocket-Protocol` header                     |
//! | [`token`]                | the grammar that both headers share                     |
//! | [`permessage_deflate`]   | negotiation of permessage-deflate                       |
//! | [`server`], [`client`]   | each end's part of the handshake                        |

pub mod client;
pub mod extension;
pub mod http;
pub mod key;
pub mod permessage_deflate;
pub mod server;
pub mod subprotocol;
pub mod token;

/// The supported versions of the protocol: 13, the final one, and 8, the drafts hybi-08
/// to hybi-12, in which only the name of the `Origin` header differs.
pub const VERSIONS: [u8; 2] = [8, 13];
