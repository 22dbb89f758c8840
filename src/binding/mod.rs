//! The N-API surface of the addon. Apart from the constants in `border`, only it uses napi.

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
