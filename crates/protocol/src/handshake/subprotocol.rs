//! The `Sec-WebSocket-Protocol` header (RFC 6455, 11.3.4).

/// The names in a header's value, in order. Read in one pass: its time is linear
/// in the length whatever the value.
pub fn parse(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(|name| name.trim_matches([' ', '\t']))
}

/// How the server's choice fails what the client asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubprotocolError {
    /// The server chose one although none was asked for.
    NoneRequested,
    /// The server chose none although some were asked for.
    NoneSent,
    /// The server chose one that was not asked for.
    NotRequested,
}

impl std::fmt::Display for SubprotocolError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NoneRequested => "server sent a subprotocol even though none requested",
            Self::NoneSent => "server sent no subprotocol even though requested",
            Self::NotRequested => "server responded with an invalid protocol",
        })
    }
}

impl std::error::Error for SubprotocolError {}

/// Checks the server's choice against the client's request: both are header
/// values, empty where the header is absent.
///
/// # Errors
///
/// A [`SubprotocolError`], on which the client fails the connection (RFC 6455, 4.1).
pub fn check_choice(requested: &str, chosen: &str) -> Result<(), SubprotocolError> {
    match (requested.is_empty(), chosen.is_empty()) {
        (true, true) => Ok(()),
        (true, false) => Err(SubprotocolError::NoneRequested),
        (false, true) => Err(SubprotocolError::NoneSent),
        (false, false) if parse(requested).any(|name| name == chosen) => Ok(()),
        (false, false) => Err(SubprotocolError::NotRequested),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert!(parse("chat, superchat,\t v2 ").eq(["chat", "superchat", "v2"]));
        assert!(parse("").eq([""]));
        let hostile = format!("a{}b", " ".repeat(1 << 20));
        assert!(parse(&hostile).eq([hostile.as_str()]));
    }

    #[test]
    fn choices() {
        use SubprotocolError::*;
        for (requested, chosen, result) in [
            ("", "", Ok(())),
            ("a, b", "b", Ok(())),
            ("", "a", Err(NoneRequested)),
            ("a", "", Err(NoneSent)),
            ("a,b", "a,b", Err(NotRequested)),
            ("a,b", "A", Err(NotRequested)),
        ] {
            assert_eq!(check_choice(requested, chosen), result);
        }
    }
}
