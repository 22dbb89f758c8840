//! The parts of the opening handshake that JavaScript asks for.

use napi::bindgen_prelude::Result;
use napi::Error;
use napi_derive::napi;
use oxws_protocol::handshake::subprotocol::ListError;
use oxws_protocol::handshake::{client, extension, key, server, subprotocol};

/// An extension as a header names it.
#[napi(object)]
pub struct Extension {
    /// The extension's name.
    pub name: String,
    /// Each parameter's name, and its value where it has one.
    pub params: Vec<(String, Option<String>)>,
}

impl From<extension::Extension> for Extension {
    fn from(extension: extension::Extension) -> Self {
        Self {
            name: extension.name,
            params: extension.params,
        }
    }
}

/// Reads the value of a `Sec-WebSocket-Extensions` header.
#[napi]
pub fn parse_extensions(value: String) -> Vec<Extension> {
    extension::parse(&value)
        .into_iter()
        .map(Extension::from)
        .collect()
}

/// What a `Sec-WebSocket-Extensions` header names, or where it breaks the grammar.
#[napi(object, object_from_js = false)]
pub struct StrictExtensions {
    /// The extensions; empty on a fault.
    pub extensions: Vec<Extension>,
    /// The index of the first character that cannot stand there, or the value's length
    /// if it ends too early.
    pub fault: Option<u32>,
}

/// As `parseExtensions`, of a value that has to keep to the grammar.
#[napi]
pub fn parse_extensions_strictly(value: String) -> StrictExtensions {
    match extension::parse_strict(&value) {
        Ok(extensions) => StrictExtensions {
            extensions: extensions.into_iter().map(Extension::from).collect(),
            fault: None,
        },
        Err(fault) => StrictExtensions {
            extensions: Vec::new(),
            fault: Some(fault.0 as u32),
        },
    }
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

/// The names in a `Sec-WebSocket-Protocol` header, or what is wrong with it.
#[napi(object, object_from_js = false)]
#[derive(Default)]
pub struct StrictSubprotocols {
    /// The names; empty if something is wrong.
    pub names: Vec<String>,
    /// As in `StrictExtensions`.
    pub fault: Option<u32>,
    /// The name that is there twice.
    pub duplicate: Option<String>,
}

/// As `parseSubprotocols`, of a value that has to keep to the grammar.
#[napi]
pub fn parse_subprotocols_strictly(value: String) -> StrictSubprotocols {
    let mut parsed = StrictSubprotocols::default();
    match subprotocol::parse_strict(&value) {
        Ok(names) => parsed.names = names.into_iter().map(str::to_owned).collect(),
        Err(ListError::Malformed(fault)) => parsed.fault = Some(fault.0 as u32),
        Err(ListError::Duplicate(name)) => parsed.duplicate = Some(name.to_owned()),
    }
    parsed
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
#[napi(object, object_from_js = false)]
pub struct Verdict {
    /// The protocol's version, if it is one that is spoken.
    pub version: Option<u8>,
    /// The names of the fields that are not as an opening handshake has them.
    pub faults: Vec<&'static str>,
    /// The HTTP status to refuse it with, if there are any.
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
    Verdict {
        version: verdict.version,
        faults: verdict.faults.iter().map(|fault| fault.name()).collect(),
        status: verdict.accepted().err().map(|rejection| rejection as u16),
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
