//! The opening handshake: functions that JavaScript calls.

use napi::bindgen_prelude::Result;
use napi::Error;
use napi_derive::napi;
use oxws_protocol::handshake::subprotocol::ListError;
use oxws_protocol::handshake::{client, extension, key, server, subprotocol};

/// An extension in a header.
#[napi(object)]
pub struct Extension {
    /// The extension's name.
    pub name: String,
    /// The parameters: the name of each, and its value if it has one.
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

/// Parses the value of a `Sec-WebSocket-Extensions` header leniently.
#[napi]
pub fn parse_extensions(value: String) -> Vec<Extension> {
    extension::parse(&value)
        .into_iter()
        .map(Extension::from)
        .collect()
}

/// The result of `parseExtensionsStrictly`.
#[napi(object, object_from_js = false)]
pub struct StrictExtensions {
    /// The extensions. Empty if there is a fault.
    pub extensions: Vec<Extension>,
    /// The index of the first character that is not allowed there, or the value's
    /// length if it ends too early.
    pub fault: Option<u32>,
}

/// Parses the value of a `Sec-WebSocket-Extensions` header strictly.
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

/// Formats the value of a `Sec-WebSocket-Extensions` header.
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

/// Returns the names in a `Sec-WebSocket-Protocol` header. For an empty value,
/// one empty name.
#[napi]
pub fn parse_subprotocols(value: String) -> Vec<String> {
    subprotocol::parse(&value).map(str::to_owned).collect()
}

/// The result of `parseSubprotocolsStrictly`.
#[napi(object, object_from_js = false)]
#[derive(Default)]
pub struct StrictSubprotocols {
    /// The names. Empty if there is a fault or a duplicate.
    pub names: Vec<String>,
    /// The position of the fault, as in `StrictExtensions`.
    pub fault: Option<u32>,
    /// The name that occurs twice.
    pub duplicate: Option<String>,
}

/// Parses the value of a `Sec-WebSocket-Protocol` header strictly.
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

/// Checks the header fields of a request: its method, `Upgrade`, `Connection`,
/// `Sec-WebSocket-Key` and `Sec-WebSocket-Version`, each if it is known. Returns a number
/// with the parts of `verdict`, because objects take longer than the check.
#[napi]
pub fn verify_request(
    method: Option<String>,
    upgrade: Option<String>,
    connection: Option<String>,
    key: Option<String>,
    version: Option<String>,
) -> u32 {
    let checked = server::verify(&server::Fields {
        method: method.as_deref(),
        upgrade: upgrade.as_deref(),
        connection: connection.as_deref(),
        key: key.as_deref(),
        version: version.as_deref(),
    });
    let faults = (checked.faults.iter()).fold(0, |bits, fault| bits | verdict::bit(*fault));
    let status = checked.accepted().err().map_or(0, |status| status as u32);
    u32::from(checked.version.unwrap_or_default()) | faults | status << verdict::STATUS_SHIFT
}

/// The parts of the number that `verifyRequest` returns.
#[napi]
pub mod verdict {
    use oxws_protocol::handshake::server::Fault;

    /// The bits of the protocol's version; 0 if it is not supported.
    #[napi]
    pub const VERSION: u32 = 0xff;
    /// The method is not `GET`.
    #[napi]
    pub const METHOD: u32 = 0x100;
    /// `Upgrade` is not `websocket`.
    #[napi]
    pub const UPGRADE: u32 = 0x200;
    /// `Connection` does not name `Upgrade`.
    #[napi]
    pub const CONNECTION: u32 = 0x400;
    /// `Sec-WebSocket-Key` is invalid.
    #[napi]
    pub const KEY: u32 = 0x800;
    /// The version is not supported.
    #[napi]
    pub const UNSUPPORTED: u32 = 0x1000;
    /// The number of bits below the HTTP status to refuse the request with; 0 if there are
    /// no faults.
    #[napi]
    pub const STATUS_SHIFT: u32 = 16;

    /// Returns the bit of a fault.
    pub(super) fn bit(fault: Fault) -> u32 {
        match fault {
            Fault::Method => METHOD,
            Fault::Upgrade => UPGRADE,
            Fault::Connection => CONNECTION,
            Fault::Key => KEY,
            Fault::Version => UNSUPPORTED,
        }
    }
}

/// Returns the `Sec-WebSocket-Accept` for a `Sec-WebSocket-Key`.
#[napi]
pub fn accept_key(key: String) -> String {
    key::accept(&key)
}

/// Returns a new `Sec-WebSocket-Key`.
#[napi]
pub fn generate_key() -> Result<String> {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce)
        .map_err(|error| Error::from_reason(format!("no randomness: {error}")))?;
    Ok(key::encode(nonce))
}

/// The header fields that decide whether a `101` response opens a connection.
#[napi(object)]
pub struct ResponseFields {
    /// The `Upgrade` header.
    pub upgrade: Option<String>,
    /// The `Sec-WebSocket-Accept` header.
    pub accept: Option<String>,
    /// The `Sec-WebSocket-Protocol` header.
    pub protocol: Option<String>,
}

/// Checks a `101` response. `key` is the `Sec-WebSocket-Key` of the request, and
/// `protocols` its `Sec-WebSocket-Protocol`, empty if it had none. Returns what is
/// wrong, if anything is.
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
