//! The addon's N-API surface: nothing else touches napi.

mod bytes;
mod decoder;
mod encoder;
#[cfg(unix)]
mod engine;
mod handshake;
mod panic;
mod permessage_deflate;
mod text;
mod validation;
