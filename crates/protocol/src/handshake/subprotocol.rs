//! The `Sec-WebSocket-Protocol` header (RFC 6455, 11.3.4).

use std::collections::BTreeSet;

use super::token::{Fault, Scanner};

/// Returns the names in the value of a header, in order. The time this takes is linear
/// in the length of the value, whatever it contains.
pub fn parse(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(|name| name.trim_matches([' ', '\t']))
}

/// What is wrong with the value of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListError<'a> {
    /// The value does not follow the grammar.
    Malformed(Fault),
    /// The value has this name twice (RFC 6455, 4.1, item 10).
    Duplicate(&'a str),
}

impl std::fmt::Display for ListError<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Malformed(fault) => fault.fmt(f),
            Self::Duplicate(name) => write!(f, "subprotocol named twice: {name}"),
        }
    }
}

impl std::error::Error for ListError<'_> {}

impl From<Fault> for ListError<'_> {
    fn from(fault: Fault) -> Self {
        Self::Malformed(fault)
    }
}

/// Returns the names in the value of a header, in order. Each has to be a token, and
/// may occur only once.
///
/// # Errors
///
/// The first [`ListError`] of the value. An empty value is malformed.
pub fn parse_strict(value: &str) -> Result<Vec<&str>, ListError<'_>> {
    let mut scanner = Scanner::new(value);
    let mut names = Vec::new();
    let mut seen = BTreeSet::new();
    loop {
        let name = scanner.token()?;
        let separator = scanner.separator(b",")?;
        if !seen.insert(name) {
            return Err(ListError::Duplicate(name));
        }
        names.push(name);
        if separator.is_none() {
            return Ok(names);
        }
    }
}

/// Why the server's choice does not match the client's request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubprotocolError {
    /// The server chose a subprotocol, but the client requested none.
    NoneRequested,
    /// The server chose no subprotocol, but the client requested some.
    NoneSent,
    /// The server chose a subprotocol that the client did not request.
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

/// Checks the server's choice against the client's request. Both are the values of
/// headers, empty if the header is missing.
///
/// # Errors
///
/// A [`SubprotocolError`]. The client then fails the connection (RFC 6455, 4.1).
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
    fn strict_names() {
        assert_eq!(parse_strict("chat"), Ok(vec!["chat"]));
        assert_eq!(
            parse_strict("chat , v2\t, \tv1.1"),
            Ok(vec!["chat", "v2", "v1.1"])
        );
    }

    #[test]
    fn faults_of_strict_names() {
        for (value, position) in [
            (",", 0),
            (" chat", 0),
            ("ch at", 3),
            ("chat,,", 5),
            ("chat,  ,", 7),
            ("chat,v@", 6),
            ("chat;v", 4),
            ("chat,\u{1f600}", 5),
            ("", 0),
            ("chat ", 5),
            ("chat,", 5),
            ("chat, ", 6),
        ] {
            let error = ListError::Malformed(Fault(position));
            assert_eq!(parse_strict(value), Err(error), "{value}");
        }
    }

    #[test]
    fn names_twice() {
        use ListError::{Duplicate, Malformed};
        for (value, error) in [
            ("a,a,b", Duplicate("a")),
            ("a,b,a", Duplicate("a")),
            ("a,a,@", Duplicate("a")),
            // The second name is malformed, so it is not the same one.
            ("a,a@", Malformed(Fault(3))),
            ("a,a ", Malformed(Fault(4))),
        ] {
            assert_eq!(parse_strict(value), Err(error), "{value}");
        }
        assert_eq!(parse_strict("a,A"), Ok(vec!["a", "A"]));
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
