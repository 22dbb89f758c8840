//! The client's part of the handshake (RFC 6455, 4.1).

use std::fmt;

use super::http::{Headers, Request, Response};
use super::subprotocol::{self, SubprotocolError};
use super::{extension, key, permessage_deflate};

/// The header fields of a `101` response that decide whether it opens a connection.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fields<'a> {
    /// The `Upgrade` header.
    pub upgrade: Option<&'a str>,
    /// The `Sec-WebSocket-Accept` header.
    pub accept: Option<&'a str>,
    /// The `Sec-WebSocket-Protocol` header.
    pub subprotocol: Option<&'a str>,
}

/// Why a response does not open a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandshakeError {
    /// The status is not 101.
    Status(u16),
    /// `Upgrade` is not `websocket`.
    Upgrade,
    /// `Sec-WebSocket-Accept` does not match the key.
    Accept,
    /// The subprotocol does not match those requested.
    Subprotocol(SubprotocolError),
    /// The extensions do not match those offered.
    Extensions,
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "unexpected server response ({status})"),
            Self::Upgrade => f.write_str("invalid upgrade header"),
            Self::Accept => f.write_str("invalid server key"),
            Self::Subprotocol(error) => error.fmt(f),
            Self::Extensions => f.write_str("invalid extension parameter"),
        }
    }
}

impl std::error::Error for HandshakeError {}

/// Checks a `101` response. `key` is the `Sec-WebSocket-Key` of the request, and
/// `subprotocols` its `Sec-WebSocket-Protocol`, empty if it had none.
///
/// # Errors
///
/// A [`HandshakeError`]. The client then fails the connection.
pub fn verify(key: &str, subprotocols: &str, fields: &Fields<'_>) -> Result<(), HandshakeError> {
    let is_upgrade = fields
        .upgrade
        .is_some_and(|value| value.eq_ignore_ascii_case("websocket"));
    if !is_upgrade {
        return Err(HandshakeError::Upgrade);
    }
    if fields.accept != Some(key::accept(key).as_str()) {
        return Err(HandshakeError::Accept);
    }
    subprotocol::check_choice(subprotocols, fields.subprotocol.unwrap_or_default())
        .map_err(HandshakeError::Subprotocol)
}

/// An opening handshake that a client sends.
#[derive(Debug, Clone, Default)]
pub struct Opening {
    /// The `Host` header.
    pub host: String,
    /// The request target: path and query.
    pub target: String,
    /// The subprotocols, in order of preference.
    pub subprotocols: Vec<String>,
    /// The permessage-deflate options to offer. `None` offers nothing.
    pub deflate: Option<permessage_deflate::Options>,
    key: String,
}

/// What both ends have agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    /// The subprotocol, if the server chose one.
    pub subprotocol: Option<String>,
    /// The parameters of permessage-deflate, if it is used.
    pub deflate: Option<permessage_deflate::Params>,
}

impl Opening {
    /// Creates an opening handshake for `target` at `host`. `nonce` is random.
    pub fn new(host: &str, target: &str, nonce: [u8; 16]) -> Self {
        Self {
            host: host.to_owned(),
            target: target.to_owned(),
            key: key::encode(nonce),
            ..Self::default()
        }
    }

    /// Returns the request to send.
    ///
    /// # Panics
    ///
    /// If the host or a subprotocol contains a line break or NUL.
    pub fn request(&self) -> Request {
        let mut headers = Headers::default();
        headers.push("Host", &self.host);
        headers.push("Upgrade", "websocket");
        headers.push("Connection", "Upgrade");
        headers.push("Sec-WebSocket-Key", &self.key);
        headers.push("Sec-WebSocket-Version", "13");
        if !self.subprotocols.is_empty() {
            headers.push("Sec-WebSocket-Protocol", &self.subprotocols.join(", "));
        }
        if let Some(options) = &self.deflate {
            let value = options.offer().to_extension().to_string();
            headers.push("Sec-WebSocket-Extensions", &value);
        }
        Request {
            method: "GET".to_owned(),
            target: self.target.clone(),
            headers,
        }
    }

    /// Checks the server's response, and returns the agreement.
    ///
    /// # Errors
    ///
    /// A [`HandshakeError`]. The client then fails the connection.
    pub fn finish(&self, response: &Response) -> Result<Agreement, HandshakeError> {
        if response.status != 101 {
            return Err(HandshakeError::Status(response.status));
        }
        let headers = &response.headers;
        let fields = Fields {
            upgrade: headers.get("upgrade"),
            accept: headers.get("sec-websocket-accept"),
            subprotocol: headers.get("sec-websocket-protocol"),
        };
        verify(&self.key, &self.subprotocols.join(", "), &fields)?;
        Ok(Agreement {
            subprotocol: fields.subprotocol.map(str::to_owned),
            deflate: self.agreed_deflate(headers)?,
        })
    }

    fn agreed_deflate(
        &self,
        headers: &Headers,
    ) -> Result<Option<permessage_deflate::Params>, HandshakeError> {
        let value = headers.list("sec-websocket-extensions").unwrap_or_default();
        let answers = extension::parse(&value);
        match (answers.as_slice(), &self.deflate) {
            ([], _) => Ok(None),
            ([answer], Some(options)) if answer.name == permessage_deflate::NAME => {
                let reader = permessage_deflate::Role::Client;
                permessage_deflate::Params::read(&answer.params, reader)
                    .and_then(|params| options.accept_answer(params))
                    .map(Some)
                    .map_err(|_| HandshakeError::Extensions)
            }
            _ => Err(HandshakeError::Extensions),
        }
    }
}
