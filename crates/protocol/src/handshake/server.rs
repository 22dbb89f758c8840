//! The server's side (RFC 6455, 4.2).

use super::http::{Headers, Request, Response};
use super::{extension, key, permessage_deflate, subprotocol, VERSIONS};

/// The header fields of a request that decide whether it is an opening handshake.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fields<'a> {
    /// The method; `None` where it is not known.
    pub method: Option<&'a str>,
    /// `Upgrade`
    pub upgrade: Option<&'a str>,
    /// `Connection`, whose values are one list.
    pub connection: Option<&'a str>,
    /// `Sec-WebSocket-Key`
    pub key: Option<&'a str>,
    /// `Sec-WebSocket-Version`
    pub version: Option<&'a str>,
}

/// Why a request is refused; the number is the HTTP status to answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Rejection {
    /// It is no opening handshake, or offers an extension wrongly.
    BadRequest = 400,
    /// An opening handshake is a `GET`.
    MethodNotAllowed = 405,
}

/// Judges a request; the protocol's version if it is an opening handshake.
///
/// # Errors
///
/// The [`Rejection`] to answer with.
pub fn verify(fields: &Fields<'_>) -> Result<u8, Rejection> {
    let is_upgrade = fields
        .upgrade
        .is_some_and(|value| value.eq_ignore_ascii_case("websocket"));
    let names_upgrade = fields.connection.is_some_and(|value| {
        let mut options = value.split(',').map(str::trim);
        options.any(|option| option.eq_ignore_ascii_case("upgrade"))
    });
    if !is_upgrade || !names_upgrade || !fields.key.is_some_and(key::is_valid) {
        return Err(Rejection::BadRequest);
    }
    if fields.method.is_some_and(|method| method != "GET") {
        return Err(Rejection::MethodNotAllowed);
    }
    fields
        .version
        .and_then(|version| version.trim().parse().ok())
        .filter(|version| VERSIONS.contains(version))
        .ok_or(Rejection::BadRequest)
}

/// An opening handshake that a server has received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The protocol's version: one of [`VERSIONS`].
    pub version: u8,
    /// The subprotocols that the client offers, in its order of preference.
    pub subprotocols: Vec<String>,
    accept: String,
    offers: Vec<permessage_deflate::Params>,
}

impl Opening {
    /// Reads a request.
    ///
    /// # Errors
    ///
    /// The [`Rejection`] to answer with.
    pub fn read(request: &Request) -> Result<Self, Rejection> {
        // What may stand there once only does not mean anything as a list.
        let list = |name| request.headers.list(name);
        let (upgrade, connection) = (list("upgrade"), list("connection"));
        let (key, version) = (list("sec-websocket-key"), list("sec-websocket-version"));
        let version = verify(&Fields {
            method: Some(&request.method),
            upgrade: upgrade.as_deref(),
            connection: connection.as_deref(),
            key: key.as_deref(),
            version: version.as_deref(),
        })?;
        let header = |name| list(name).unwrap_or_default();
        let subprotocols = subprotocol::parse(&header("sec-websocket-protocol"))
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        let offers = extension::parse(&header("sec-websocket-extensions"))
            .iter()
            .filter(|extension| extension.name == permessage_deflate::NAME)
            .map(|extension| {
                let reader = permessage_deflate::Role::Server;
                permessage_deflate::Params::read(&extension.params, reader)
            })
            .collect::<Result<_, _>>()
            .map_err(|_| Rejection::BadRequest)?;
        Ok(Self {
            version,
            subprotocols,
            accept: key::accept(&key.unwrap_or_default()),
            offers,
        })
    }

    /// Agrees on permessage-deflate if the client offers it.
    ///
    /// # Errors
    ///
    /// A [`Rejection`] if it offers nothing that `options` allow.
    pub fn accept_deflate(
        &self,
        options: &permessage_deflate::Options,
    ) -> Result<Option<permessage_deflate::Params>, Rejection> {
        if self.offers.is_empty() {
            return Ok(None);
        }
        options
            .accept(&self.offers)
            .map(Some)
            .map_err(|_| Rejection::BadRequest)
    }

    /// The answer that opens the connection.
    ///
    /// # Panics
    ///
    /// If `subprotocol` would break out of its header.
    pub fn response(
        &self,
        subprotocol: Option<&str>,
        deflate: Option<&permessage_deflate::Params>,
    ) -> Response {
        let mut headers = Headers::default();
        headers.push("Upgrade", "websocket");
        headers.push("Connection", "Upgrade");
        headers.push("Sec-WebSocket-Accept", &self.accept);
        if let Some(name) = subprotocol {
            headers.push("Sec-WebSocket-Protocol", name);
        }
        if let Some(params) = deflate {
            let value = params.to_extension().to_string();
            headers.push("Sec-WebSocket-Extensions", &value);
        }
        Response {
            status: 101,
            reason: "Switching Protocols".to_owned(),
            headers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Fields<'static> = Fields {
        method: Some("GET"),
        upgrade: Some("WebSocket"),
        connection: Some("keep-alive, Upgrade"),
        key: Some("dGhlIHNhbXBsZSBub25jZQ=="),
        version: Some("13"),
    };

    #[test]
    fn requests_are_judged() {
        let bad = Err(Rejection::BadRequest);
        for (fields, verdict) in [
            (GOOD, Ok(13)),
            (
                Fields {
                    version: Some("8"),
                    ..GOOD
                },
                Ok(8),
            ),
            (
                Fields {
                    method: None,
                    ..GOOD
                },
                Ok(13),
            ),
            (
                Fields {
                    version: Some("12"),
                    ..GOOD
                },
                bad,
            ),
            (
                Fields {
                    version: Some("269"),
                    ..GOOD
                },
                bad,
            ),
            (
                Fields {
                    version: None,
                    ..GOOD
                },
                bad,
            ),
            (
                Fields {
                    upgrade: Some("h2c"),
                    ..GOOD
                },
                bad,
            ),
            (
                Fields {
                    upgrade: None,
                    ..GOOD
                },
                bad,
            ),
            (
                Fields {
                    key: Some(""),
                    ..GOOD
                },
                bad,
            ),
            (Fields { key: None, ..GOOD }, bad),
            (
                Fields {
                    key: Some("dGhlIHNhbXBsZSBub25j"),
                    ..GOOD
                },
                bad,
            ),
            (
                Fields {
                    connection: None,
                    ..GOOD
                },
                bad,
            ),
            (
                Fields {
                    connection: Some("close"),
                    ..GOOD
                },
                bad,
            ),
            (
                Fields {
                    connection: Some("upgrades"),
                    ..GOOD
                },
                bad,
            ),
            (
                Fields {
                    method: Some("POST"),
                    ..GOOD
                },
                Err(Rejection::MethodNotAllowed),
            ),
        ] {
            assert_eq!(verify(&fields), verdict, "{fields:?}");
        }
    }
}
