//! The opening handshake between both ends.

use oxws_protocol::handshake::client::{self, HandshakeError};
use oxws_protocol::handshake::http::{Request, Response};
use oxws_protocol::handshake::permessage_deflate::{Options, WindowOption};
use oxws_protocol::handshake::server::{self, Rejection};
use oxws_protocol::handshake::subprotocol::SubprotocolError;

/// Writes the client's request, and parses it as the server does.
fn over_the_wire(opening: &client::Opening) -> Request {
    let mut head = String::new();
    opening.request().append(&mut head);
    let (request, len) = Request::parse(head.as_bytes()).unwrap().unwrap();
    assert_eq!(len, head.len());
    request
}

fn back(response: &Response) -> Response {
    let mut head = String::new();
    response.append(&mut head);
    Response::parse(head.as_bytes()).unwrap().unwrap().0
}

#[test]
fn two_ends_agree() {
    let mut opening = client::Opening::new("localhost:80", "/chat", *b"the sample nonce");
    opening.subprotocols = vec!["v1".to_owned(), "v2".to_owned()];
    opening.deflate = Some(Options::default());

    let received = server::Opening::read(&over_the_wire(&opening)).unwrap();
    assert_eq!(received.version, 13);
    assert_eq!(received.subprotocols, ["v1", "v2"]);
    let deflate = received
        .accept_deflate(&Options {
            client_max_window_bits: WindowOption::Bits(12),
            ..Options::default()
        })
        .unwrap();
    let response = back(&received.response(Some("v2"), deflate.as_ref()));
    assert_eq!(
        response.headers.get("sec-websocket-accept"),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );

    let agreement = opening.finish(&response).unwrap();
    assert_eq!(agreement.subprotocol.as_deref(), Some("v2"));
    assert_eq!(agreement.deflate, deflate);
}

#[test]
fn two_ends_agree_on_nothing_optional() {
    let opening = client::Opening::new("localhost", "/", [0; 16]);
    let received = server::Opening::read(&over_the_wire(&opening)).unwrap();
    assert!(received.subprotocols.is_empty());
    let deflate = received.accept_deflate(&Options::default()).unwrap();
    assert_eq!(deflate, None);
    let agreement = opening
        .finish(&back(&received.response(None, None)))
        .unwrap();
    assert_eq!((agreement.subprotocol, agreement.deflate), (None, None));
}

#[test]
fn a_client_refuses_a_wrong_answer() {
    let mut opening = client::Opening::new("localhost", "/", [1; 16]);
    opening.subprotocols = vec!["v1".to_owned()];
    opening.deflate = Some(Options::default());
    let good = server::Opening::read(&over_the_wire(&opening))
        .unwrap()
        .response(Some("v1"), None);
    assert!(opening.finish(&good).is_ok());

    let replaced = |name: &str, value: &str| {
        let mut head = String::new();
        good.append(&mut head);
        let start = head.find(&format!("{name}: ")).unwrap();
        let end = start + head[start..].find("\r\n").unwrap();
        head.replace_range(start..end, &format!("{name}: {value}"));
        opening.finish(&Response::parse(head.as_bytes()).unwrap().unwrap().0)
    };
    assert_eq!(replaced("Upgrade", "h2c"), Err(HandshakeError::Upgrade));
    assert_eq!(
        replaced("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        Err(HandshakeError::Accept)
    );
    let not_requested = HandshakeError::Subprotocol(SubprotocolError::NotRequested);
    assert_eq!(replaced("Sec-WebSocket-Protocol", "v3"), Err(not_requested));

    let mut refused = good.clone();
    refused.status = 401;
    assert_eq!(opening.finish(&refused), Err(HandshakeError::Status(401)));

    for value in [
        "permessage-foo",
        "permessage-deflate; server_max_window_bits=99",
        "permessage-deflate, permessage-deflate",
    ] {
        let mut response = good.clone();
        response.headers.push("Sec-WebSocket-Extensions", value);
        assert_eq!(opening.finish(&response), Err(HandshakeError::Extensions));
    }
}

#[test]
fn a_server_refuses_a_wrong_offer() {
    let mut request = client::Opening::new("localhost", "/", [1; 16]).request();
    let value = "permessage-deflate; server_max_window_bits=foo";
    request.headers.push("Sec-WebSocket-Extensions", value);
    assert_eq!(
        server::Opening::read(&request).unwrap_err(),
        Rejection::BadRequest
    );
}
