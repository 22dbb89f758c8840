//! The parts of the opening handshake that JavaScript asks for.

use napi::bindgen_prelude::Result;
use napi::Error;
use napi_derive::napi;
use oxws_protocol::handshake::{client, extension, key, server, subprotocol};

/// An extension as a header names it.
#[napi(object)]
pub struct Extension {
    /// The extension's name.
    pub name: String,
    /// Each parameter's name, and its value where it has one.
    pub params: Vec<(String, Option<String>)>,
}

/// Reads the value of a `Sec-WebSocket-Extensions` header.
#[napi]
pub fn parse_extensions(value: String) -> Vec<Extension> {
    extension::parse(&value)
        .into_iter()
        .map(|extension| Extension {
            name: extension.name,
            params: extension.params,
        })
        .collect()
}

/// Writes the value of a `Sec-WebSocket-Extensions` header.
#[napi]
pub fn format_extensions(extensions: Vec<Extension>) -> String {
    let extensions: Vec<_> = extensions
        .into_iter()
        .map(|extension| extension::Extension {
            name: extension.name,
            params: extension.params,
        })
        .collect();
    extension::format(&extensions)
}

/// The names in a `Sec-WebSocket-Protocol` header; one empty name if there is none.
#[napi]
pub fn parse_subprotocols(value: String) -> Vec<String> {
    subprotocol::parse(&value).map(str::to_owned).collect()
}

/// The header fields that decide whether a request is an opening handshake.
#[napi(object)]
pub struct RequestFields {
    /// The method, where it is known.
    pub method: Option<String>,
    /// `Upgrade`
    pub upgrade: Option<String>,
    /// `Connection`
    pub connection: Option<String>,
    /// `Sec-WebSocket-Key`
    pub key: Option<String>,
    /// `Sec-WebSocket-Version`
    pub version: Option<String>,
}

/// What a request is.
#[napi(object)]
pub struct Verdict {
    /// The protocol's version, if it is an opening handshake.
    pub version: Option<u8>,
    /// The HTTP status to refuse it with, if it is not.
    pub status: Option<u16>,
}

/// Judges a request.
#[napi]
pub fn verify_request(fields: RequestFields) -> Verdict {
    let verdict = server::verify(&server::Fields {
        method: fields.method.as_deref(),
        upgrade: fields.upgrade.as_deref(),
        connection: fields.connection.as_deref(),
        key: fields.key.as_deref(),
        version: fields.version.as_deref(),
    });
    match verdict {
        Ok(version) => Verdict {
            version: Some(version),
            status: None,
        },
        Err(rejection) => Verdict {
            version: None,
            status: Some(rejection as u16),
        },
    }
}

/// The `Sec-WebSocket-Accept` that answers a `Sec-WebSocket-Key`.
#[napi]
pub fn accept_key(key: String) -> String {
    key::accept(&key)
}

/// A new `Sec-WebSocket-Key`.
#[napi]
pub fn generate_key() -> Result<String> {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce)
        .map_err(|error| Error::from_reason(format!("no randomness: {error}")))?;
    Ok(key::encode(nonce))
}

/// The header fields that decide whether a `101` answer opens a connection.
#[napi(object)]
pub struct ResponseFields {
    /// `Upgrade`
    pub upgrade: Option<String>,
    /// `Sec-WebSocket-Accept`
    pub accept: Option<String>,
    /// `Sec-WebSocket-Protocol`
    pub protocol: Option<String>,
}

/// Judges a `101` answer to a request with this `Sec-WebSocket-Key` and this
/// `Sec-WebSocket-Protocol` (empty if none): what is wrong with it, if anything is.
#[napi]
pub fn verify_response(key: String, protocols: String, fields: ResponseFields) -> Option<String> {
    let verdict = client::verify(
        &key,
        &protocols,
        &client::Fields {
            upgrade: fields.upgrade.as_deref(),
            accept: fields.accept.as_deref(),
            subprotocol: fields.protocol.as_deref(),
        },
    );
    verdict.err().map(|error| error.to_string())
}
