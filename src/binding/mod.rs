//! The N-API surface of the addon. Apart from the constants in `border`, only it uses napi.

mod bytes;
#[cfg(unix)]
mod caller;
mod decoder;
mod encoder;
#[cfg(unix)]
mod engine;
mod handshake;
mod panic;
mod permessage_deflate;
mod prepared;
#[cfg(unix)]
mod settings;
mod text;
#[cfg(unix)]
mod upgrade;
mod validation;
