//! A strict parser for header values that consist of tokens (RFC 9110, 5.6).

use std::fmt;

/// Where a header's value does not follow its grammar: the position, in bytes, of the
/// first character that is not allowed there, or the value's length if it ends too early.
///
/// All characters before it are ASCII, so the position is the same in characters and in
/// UTF-16 code units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault(pub usize);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed header at position {}", self.0)
    }
}

impl std::error::Error for Fault {}

/// Reads a header's value from its beginning to its end, or to the first fault.
pub(super) struct Scanner<'a> {
    value: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(value: &'a str) -> Self {
        Self { value, at: 0 }
    }

    /// Reads a token of one or more characters.
    pub(super) fn token(&mut self) -> Result<&'a str, Fault> {
        let start = self.at;
        self.token_char()?;
        while self.token_char().is_ok() {}
        Ok(&self.value[start..self.at])
    }

    /// Reads a token, or a quoted string whose content is a token (RFC 6455, 9.1).
    pub(super) fn token_or_quoted(&mut self) -> Result<String, Fault> {
        if !self.take(b'"') {
            return self.token().map(str::to_owned);
        }
        let mut content = String::new();
        while content.is_empty() || !self.take(b'"') {
            self.take(b'\\');
            content.push(self.token_char()?);
        }
        Ok(content)
    }

    /// Reads one of `separators`, with optional blanks on both sides. Returns `None` at
    /// the end of the value, which may not follow blanks.
    pub(super) fn separator(&mut self, separators: &[u8]) -> Result<Option<u8>, Fault> {
        let item_end = self.at;
        self.skip_blanks();
        match self.peek() {
            None if self.at == item_end => Ok(None),
            Some(byte) if separators.contains(&byte) => {
                self.at += 1;
                self.skip_blanks();
                Ok(Some(byte))
            }
            _ => Err(Fault(self.at)),
        }
    }

    /// Reads `byte` if it is next, and returns whether it was.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn token_char(&mut self) -> Result<char, Fault> {
        let byte = self.peek().filter(|&byte| is_token_char(byte));
        let byte = byte.ok_or(Fault(self.at))?;
        self.at += 1;
        Ok(char::from(byte))
    }

    fn skip_blanks(&mut self) {
        while self.take(b' ') || self.take(b'\t') {}
    }

    fn peek(&self) -> Option<u8> {
        self.value.as_bytes().get(self.at).copied()
    }
}

/// Returns whether `byte` is allowed in a token (RFC 9110, 5.6.2).
fn is_token_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_of_tokens() {
        let all: String = (0..128u8)
            .filter(|&b| is_token_char(b))
            .map(char::from)
            .collect();
        assert_eq!(
            all,
            "!#$%&'*+-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ^_`abcdefghijklmnopqrstuvwxyz|~"
        );
        assert!((128..=255).all(|byte| !is_token_char(byte)));
    }

    #[test]
    fn separators_and_blanks() {
        let mut scanner = Scanner::new("a \t;\t b,c");
        assert_eq!(scanner.token(), Ok("a"));
        assert_eq!(scanner.separator(b";,"), Ok(Some(b';')));
        assert_eq!(scanner.token(), Ok("b"));
        assert_eq!(scanner.separator(b";,"), Ok(Some(b',')));
        assert_eq!(scanner.token(), Ok("c"));
        assert_eq!(scanner.separator(b";,"), Ok(None));
        assert_eq!(scanner.token(), Err(Fault(9)));
    }

    #[test]
    fn quoted_tokens() {
        for (value, content) in [
            ("a", Ok("a")),
            ("\"a\"", Ok("a")),
            ("\"\\a\\b\"", Ok("ab")),
            ("", Err(0)),
            ("\"", Err(1)),
            ("\"\"", Err(1)),
            ("\"a", Err(2)),
            ("\"a\\", Err(3)),
            ("\"\\\\\"", Err(2)),
            ("\"a b\"", Err(2)),
        ] {
            let content = content.map(str::to_owned).map_err(Fault);
            assert_eq!(Scanner::new(value).token_or_quoted(), content, "{value}");
        }
    }
}
