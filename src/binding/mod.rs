//! The addon's N-API surface: nothing else touches napi.

mod decoder;
mod encoder;
mod handshake;
mod panic;
mod permessage_deflate;
mod validation;
