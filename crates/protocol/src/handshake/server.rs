//! The server's part of the handshake (RFC 6455, 4.2).

use super::http::{Headers, Request, RequestHead, Response};
use super::{extension, key, permessage_deflate, subprotocol, VERSIONS};

/// The header fields of a request that decide whether it is an opening handshake.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fields<'a> {
    /// The method, or `None` if it is not known.
    pub method: Option<&'a str>,
    /// The `Upgrade` header.
    pub upgrade: Option<&'a str>,
    /// The `Connection` header. Several fields are joined into one list.
    pub connection: Option<&'a str>,
    /// The `Sec-WebSocket-Key` header.
    pub key: Option<&'a str>,
    /// The `Sec-WebSocket-Version` header.
    pub version: Option<&'a str>,
}

/// What is wrong with a request for an opening handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The method is not `GET`.
    Method,
    /// `Upgrade` is not `websocket`.
    Upgrade,
    /// `Connection` does not name `Upgrade`.
    Connection,
    /// `Sec-WebSocket-Key` is not base64 of 16 bytes.
    Key,
    /// `Sec-WebSocket-Version` is none of [`VERSIONS`].
    Version,
}

/// The result of [`verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The protocol's version, if it is one of [`VERSIONS`].
    pub version: Option<u8>,
    /// All faults, in the order of [`Fault`]. A server may choose to ignore some.
    pub faults: Vec<Fault>,
}

/// Why a request is refused. The number is the HTTP status of the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Rejection {
    /// The request is not an opening handshake, or its offer of an extension is invalid.
    BadRequest = 400,
    /// The method is not `GET`, but the request is an opening handshake otherwise.
    MethodNotAllowed = 405,
}

impl Verdict {
    /// Returns the protocol's version if there are no faults.
    ///
    /// # Errors
    ///
    /// The [`Rejection`] to respond with. It is [`Rejection::MethodNotAllowed`] only if
    /// the other fields, except perhaps the version, are right.
    pub fn accepted(&self) -> Result<u8, Rejection> {
        match (self.version, self.faults.as_slice()) {
            (Some(version), []) => Ok(version),
            (_, [Fault::Method] | [Fault::Method, Fault::Version]) => {
                Err(Rejection::MethodNotAllowed)
            }
            _ => Err(Rejection::BadRequest),
        }
    }
}

/// Checks the header fields of a request.
pub fn verify(fields: &Fields<'_>) -> Verdict {
    let is_upgrade = fields
        .upgrade
        .is_some_and(|value| value.eq_ignore_ascii_case("websocket"));
    let names_upgrade = fields.connection.is_some_and(|value| {
        let mut options = value.split(',').map(str::trim);
        options.any(|option| option.eq_ignore_ascii_case("upgrade"))
    });
    let version = fields
        .version
        .and_then(|version| version.trim().parse().ok())
        .filter(|version| VERSIONS.contains(version));
    let checks = [
        (Fault::Method, fields.method.is_none_or(|it| it == "GET")),
        (Fault::Upgrade, is_upgrade),
        (Fault::Connection, names_upgrade),
        (Fault::Key, fields.key.is_some_and(key::is_valid)),
        (Fault::Version, version.is_some()),
    ];
    let faults = checks
        .into_iter()
        .filter_map(|(fault, passes)| (!passes).then_some(fault))
        .collect();
    Verdict { version, faults }
}

/// An opening handshake that a server has received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The protocol's version: one of [`VERSIONS`].
    pub version: u8,
    /// The subprotocols that the client offers, in order of preference.
    pub subprotocols: Vec<String>,
    accept: String,
    offers: Vec<permessage_deflate::Params>,
}

impl Opening {
    /// Checks a request for an opening handshake.
    ///
    /// # Errors
    ///
    /// The [`Rejection`] to respond with.
    pub fn read(request: &Request) -> Result<Self, Rejection> {
        // Repeated fields are joined into a list. For a field that may occur only once,
        // a list is not a valid value.
        let list = |name| request.headers.list(name);
        let (upgrade, connection) = (list("upgrade"), list("connection"));
        let (key, version) = (list("sec-websocket-key"), list("sec-websocket-version"));
        let version = verify(&Fields {
            method: Some(&request.method),
            upgrade: upgrade.as_deref(),
            connection: connection.as_deref(),
            key: key.as_deref(),
            version: version.as_deref(),
        })
        .accepted()?;
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

    /// Negotiates permessage-deflate, if the client offers it.
    ///
    /// # Errors
    ///
    /// A [`Rejection`] if `options` allow none of the client's offers.
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

    /// Returns the response that opens the connection.
    ///
    /// # Panics
    ///
    /// If `subprotocol` contains a line break or NUL.
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

/// What the first bytes on a connection are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beginning {
    /// The beginning of what may be an upgrade request.
    NeedsInput,
    /// An upgrade request in its usual form.
    Upgrade(Upgrade),
    /// Another request, or an invalid one.
    Other,
}

/// An upgrade request in its usual form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    /// The length of the head, in bytes.
    pub head_len: usize,
    /// The protocol's version: one of [`VERSIONS`].
    pub version: u8,
    /// The value of `Sec-WebSocket-Accept` in the response.
    pub accept: String,
    /// Whether the request offers subprotocols or extensions.
    pub offers: bool,
}

/// Recognises an upgrade request in the usual form: a valid `GET` request without a body,
/// with each of the fields that decide on it once. An HTTP server has to judge everything
/// else.
pub fn recognise(input: &[u8]) -> Beginning {
    const METHOD: &[u8] = b"GET /";
    let known = input.len().min(METHOD.len());
    if input[..known] != METHOD[..known] {
        return Beginning::Other;
    }
    match RequestHead::parse(input) {
        Ok(None) => Beginning::NeedsInput,
        Ok(Some(head)) => {
            judge(&head, &input[..head.len]).map_or(Beginning::Other, Beginning::Upgrade)
        }
        Err(_) => Beginning::Other,
    }
}

fn judge(head: &RequestHead<'_>, bytes: &[u8]) -> Option<Upgrade> {
    let is_visible = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
    if !head.target.bytes().all(is_visible) || has_bare_line_feed(bytes) {
        return None;
    }
    let mut fields = Fields {
        method: Some(head.method),
        ..Fields::default()
    };
    let mut offers = false;
    for &(name, value) in &head.fields {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        let field = match () {
            () if is("upgrade") => &mut fields.upgrade,
            () if is("connection") => &mut fields.connection,
            () if is("sec-websocket-key") => &mut fields.key,
            () if is("sec-websocket-version") => &mut fields.version,
            () if is("sec-websocket-protocol") || is("sec-websocket-extensions") => {
                offers = true;
                continue;
            }
            () if is("content-length") || is("transfer-encoding") || is("expect") => return None,
            () => continue,
        };
        let value = std::str::from_utf8(value).ok()?;
        if field.replace(value).is_some() {
            return None;
        }
    }
    Some(Upgrade {
        head_len: head.len,
        version: verify(&fields).accepted().ok()?,
        accept: key::accept(fields.key?),
        offers,
    })
}

/// Returns whether a line does not end with a carriage return and a line feed.
fn has_bare_line_feed(head: &[u8]) -> bool {
    let mut before = 0;
    head.iter().any(|&byte| {
        let before = std::mem::replace(&mut before, byte);
        byte == b'\n' && before != b'\r'
    })
}

/// Returns the head of the response that opens a connection without a subprotocol and
/// without extensions.
pub fn plain_response(accept: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\n\
         Upgrade: websocket\r\n\
         Connection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
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
    fn a_good_request_has_no_fault() {
        for (fields, version) in [
            (GOOD, 13),
            (
                Fields {
                    version: Some("8"),
                    ..GOOD
                },
                8,
            ),
            (
                Fields {
                    method: None,
                    ..GOOD
                },
                13,
            ),
        ] {
            let verdict = verify(&fields);
            assert_eq!(verdict.faults, [], "{fields:?}");
            assert_eq!(verdict.accepted(), Ok(version), "{fields:?}");
        }
    }

    #[test]
    fn each_fault_is_told() {
        for upgrade in [None, Some("h2c")] {
            let fields = Fields { upgrade, ..GOOD };
            assert_eq!(verify(&fields).faults, [Fault::Upgrade], "{fields:?}");
        }
        for connection in [None, Some("close"), Some("upgrades")] {
            let fields = Fields { connection, ..GOOD };
            assert_eq!(verify(&fields).faults, [Fault::Connection], "{fields:?}");
        }
        for key in [None, Some(""), Some("dGhlIHNhbXBsZSBub25j")] {
            let fields = Fields { key, ..GOOD };
            assert_eq!(verify(&fields).faults, [Fault::Key], "{fields:?}");
        }
        for version in [None, Some(""), Some("12"), Some("269")] {
            let fields = Fields { version, ..GOOD };
            assert_eq!(verify(&fields).faults, [Fault::Version], "{fields:?}");
        }
        for method in ["", "POST"] {
            let fields = Fields {
                method: Some(method),
                ..GOOD
            };
            assert_eq!(verify(&fields).faults, [Fault::Method], "{fields:?}");
        }
    }

    #[test]
    fn a_version_stands_whatever_else_is_wrong() {
        let verdict = verify(&Fields {
            method: Some("POST"),
            version: Some("8"),
            ..Fields::default()
        });
        assert_eq!(verdict.version, Some(8));
        assert_eq!(
            verdict.faults,
            [Fault::Method, Fault::Upgrade, Fault::Connection, Fault::Key]
        );
    }

    #[test]
    fn the_method_is_named_for_what_is_a_handshake_otherwise() {
        for (faults, rejection) in [
            (vec![Fault::Method], Rejection::MethodNotAllowed),
            (
                vec![Fault::Method, Fault::Version],
                Rejection::MethodNotAllowed,
            ),
            (vec![Fault::Method, Fault::Upgrade], Rejection::BadRequest),
            (
                vec![Fault::Method, Fault::Connection],
                Rejection::BadRequest,
            ),
            (vec![Fault::Method, Fault::Key], Rejection::BadRequest),
            (vec![Fault::Upgrade], Rejection::BadRequest),
            (vec![Fault::Connection], Rejection::BadRequest),
            (vec![Fault::Key], Rejection::BadRequest),
            (vec![Fault::Version], Rejection::BadRequest),
        ] {
            let verdict = Verdict {
                version: Some(13),
                faults,
            };
            assert_eq!(verdict.accepted(), Err(rejection), "{verdict:?}");
        }
    }

    const REQUEST: &str = "GET /chat?a=b HTTP/1.1\r\nHost: localhost\r\n\
        Upgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Version: 13\r\n\r\n";

    fn recognised(request: &str) -> Beginning {
        recognise(request.as_bytes())
    }

    #[test]
    fn an_upgrade_request_is_recognised_wherever_it_is_cut() {
        for cut in 0..REQUEST.len() {
            assert_eq!(recognised(&REQUEST[..cut]), Beginning::NeedsInput, "{cut}");
        }
        for rest in ["", "frames"] {
            let Beginning::Upgrade(upgrade) = recognised(&format!("{REQUEST}{rest}")) else {
                panic!("{rest}");
            };
            assert_eq!(upgrade.head_len, REQUEST.len());
            assert_eq!(upgrade.version, 13);
            assert!(!upgrade.offers);
            let response = plain_response(&upgrade.accept);
            let (response, _) = Response::parse(response.as_bytes()).unwrap().unwrap();
            let request = Request::parse(REQUEST.as_bytes()).unwrap().unwrap().0;
            let opening = Opening::read(&request).unwrap();
            assert_eq!(response, opening.response(None, None));
        }
    }

    #[test]
    fn an_offer_is_told() {
        for field in [
            "Sec-WebSocket-Protocol: a",
            "sec-websocket-extensions: permessage-deflate",
        ] {
            let request = REQUEST.replace("Host: localhost", field);
            let Beginning::Upgrade(upgrade) = recognised(&request) else {
                panic!("{field}");
            };
            assert!(upgrade.offers, "{field}");
        }
    }

    #[test]
    fn whatever_is_unusual_is_another_request() {
        for (from, to) in [
            ("GET", "POST"),
            ("GET", "get"),
            ("GET", "\r\nGET"),
            ("/chat", "http://localhost/chat"),
            ("?a=b", "?a=b#c"),
            ("?a=b", "?a=\u{e9}"),
            ("HTTP/1.1", "HTTP/1.0"),
            ("HTTP/1.1", "HTTP/2.0"),
            ("localhost\r\n", "localhost\n"),
            ("localhost", "local\r\n host"),
            ("localhost", "local\0host"),
            ("Host:", "Ho st:"),
            ("Upgrade: websocket", "Upgrade: h2c"),
            ("Upgrade: websocket", "A: b"),
            (
                "Upgrade: websocket",
                "Upgrade: websocket\r\nUpgrade: websocket",
            ),
            ("Connection: Upgrade", "Connection: close"),
            ("Host: localhost", "Connection: close"),
            ("dGhlIHNhbXBsZSBub25jZQ==", "x"),
            (
                "Host: localhost",
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            ),
            ("Version: 13", "Version: 12"),
            ("Host: localhost", "Content-Length: 0"),
            ("Host: localhost", "Transfer-Encoding: chunked"),
            ("Host: localhost", "Expect: 100-continue"),
        ] {
            let request = REQUEST.replacen(from, to, 1);
            assert_ne!(request, REQUEST, "{from}");
            assert_eq!(recognised(&request), Beginning::Other, "{request}");
        }
        let many = REQUEST.replace("Host: localhost\r\n", &"A: b\r\n".repeat(100));
        assert_eq!(recognised(&many), Beginning::Other);
        let long = REQUEST.replace("localhost", &"a".repeat(17 * 1024));
        assert_eq!(recognised(&long), Beginning::Other);
        assert_eq!(recognised(&long[..16 * 1024]), Beginning::Other);
    }
}
