//! The `Sec-WebSocket-Extensions` header (RFC 6455, 9.1).

use std::fmt;

use super::token::{Fault, Scanner};

/// An extension in a header, with its parameters in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extension {
    /// The extension's name.
    pub name: String,
    /// The parameters: the name of each, and its value if it has one.
    pub params: Vec<(String, Option<String>)>,
}

/// Parses the value of a header leniently, because peers rely on that.
///
/// What is not a valid extension becomes one with an unusual name, which is not
/// accepted. Any name is possible, `__proto__` too. An empty value has no extensions.
pub fn parse(value: &str) -> Vec<Extension> {
    if value.trim().is_empty() {
        return Vec::new();
    }
    split(value, ',').map(parse_one).collect()
}

fn parse_one(value: &str) -> Extension {
    let mut parts = split(value, ';').map(str::trim);
    let name = parts.next().unwrap_or_default().to_owned();
    let params = parts
        .map(|part| match part.split_once('=') {
            Some((name, value)) => (
                name.trim_end().to_owned(),
                Some(unquote(value.trim_start())),
            ),
            None => (part.to_owned(), None),
        })
        .collect();
    Extension { name, params }
}

/// Parses the value of a header strictly.
///
/// # Errors
///
/// The first [`Fault`] of the value. An empty value is also a fault.
pub fn parse_strict(value: &str) -> Result<Vec<Extension>, Fault> {
    let mut scanner = Scanner::new(value);
    let mut extensions = Vec::new();
    loop {
        let mut extension = Extension {
            name: scanner.token()?.to_owned(),
            params: Vec::new(),
        };
        let mut separator = scanner.separator(b";,")?;
        while separator == Some(b';') {
            extension.params.push(param(&mut scanner)?);
            separator = scanner.separator(b";,")?;
        }
        extensions.push(extension);
        if separator.is_none() {
            return Ok(extensions);
        }
    }
}

/// Reads a parameter. No blanks are allowed around its `=`.
fn param(scanner: &mut Scanner<'_>) -> Result<(String, Option<String>), Fault> {
    let name = scanner.token()?.to_owned();
    let value = if scanner.take(b'=') {
        Some(scanner.token_or_quoted()?)
    } else {
        None
    };
    Ok((name, value))
}

/// Splits at `separator`, except within a quoted string.
fn split(value: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let mut escaped = false;
    value.split(move |char| {
        let is_separator = char == separator && !quoted;
        match char {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        is_separator
    })
}

/// Returns the content of a quoted string (RFC 9110, 5.6.4), or any other value unchanged.
fn unquote(value: &str) -> String {
    let Some(quoted) = value.strip_prefix('"') else {
        return value.to_owned();
    };
    let content = quoted.strip_suffix('"').unwrap_or(quoted);
    let mut unquoted = String::with_capacity(content.len());
    let mut escaped = false;
    for char in content.chars() {
        if char == '\\' && !escaped {
            escaped = true;
        } else {
            escaped = false;
            unquoted.push(char);
        }
    }
    unquoted
}

impl fmt::Display for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for (name, value) in &self.params {
            match value {
                Some(value) => write!(f, "; {name}={value}")?,
                None => write!(f, "; {name}")?,
            }
        }
        Ok(())
    }
}

/// Formats the value of a header.
pub fn format(extensions: &[Extension]) -> String {
    let parts: Vec<String> = extensions.iter().map(Extension::to_string).collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extension(name: &str, params: &[(&str, Option<&str>)]) -> Extension {
        Extension {
            name: name.to_owned(),
            params: params
                .iter()
                .map(|(name, value)| (name.to_string(), value.map(str::to_owned)))
                .collect(),
        }
    }

    #[test]
    fn extensions_and_their_parameters() {
        assert_eq!(parse(""), Vec::new());
        assert_eq!(parse("foo"), [extension("foo", &[])]);
        assert_eq!(
            parse("foo; bar; baz=1; bar=2"),
            [extension(
                "foo",
                &[("bar", None), ("baz", Some("1")), ("bar", Some("2"))]
            )]
        );
        assert_eq!(
            parse("foo, bar; baz ,foo;baz"),
            [
                extension("foo", &[]),
                extension("bar", &[("baz", None)]),
                extension("foo", &[("baz", None)]),
            ]
        );
    }

    #[test]
    fn quoted_values() {
        assert_eq!(
            parse(r#"foo; bar="hi"; baz="a,b;c\"d\\""#),
            [extension(
                "foo",
                &[("bar", Some("hi")), ("baz", Some("a,b;c\"d\\"))]
            )]
        );
        assert_eq!(
            parse("foo; bar=\""),
            [extension("foo", &[("bar", Some(""))])]
        );
    }

    #[test]
    fn names_are_data() {
        assert_eq!(
            parse("constructor; __proto__=1, , ;"),
            [
                extension("constructor", &[("__proto__", Some("1"))]),
                extension("", &[]),
                extension("", &[("", None)]),
            ]
        );
    }

    #[test]
    fn written_values_read_back() {
        let value = "foo, foo; baz; qux=1, bar; baz";
        assert_eq!(format(&parse(value)), value);
        assert_eq!(parse_strict(value), Ok(parse(value)));
    }

    #[test]
    fn the_strict_grammar() {
        assert_eq!(parse_strict("foo"), Ok(vec![extension("foo", &[])]));
        assert_eq!(
            parse_strict("foo; bar\t; \tbaz=1\t ;  bar=\"\\2\"\t\t, \t__proto__\t ;x"),
            Ok(vec![
                extension(
                    "foo",
                    &[("bar", None), ("baz", Some("1")), ("bar", Some("2"))]
                ),
                extension("__proto__", &[("x", None)]),
            ])
        );
    }

    #[test]
    fn faults_of_the_strict_grammar() {
        for (value, position) in [
            // Characters that are not allowed where they are.
            (",", 0),
            (" foo", 0),
            ("\"foo\"", 0),
            ("f oo", 2),
            ("foo,,", 4),
            ("foo,  ,", 6),
            ("foo=1", 3),
            ("foo;=", 4),
            ("foo; ;", 5),
            ("foo;b@r", 5),
            ("foo;bar =", 8),
            ("foo;bar= 1", 8),
            ("foo;bar=,", 8),
            ("foo;bar=1=2", 9),
            ("foo;bar=1 2", 10),
            ("foo;bar=1\"2\"", 9),
            ("foo;bar=\"1\"2", 11),
            ("foo;bar=\"1;\"", 10),
            // Characters of more than one byte, and of more than one UTF-16 code unit.
            ("\u{e9}", 0),
            ("foo;b\u{e9}r", 5),
            ("foo,\u{1f600}bar", 4),
            // Values that end too early.
            ("", 0),
            ("foo ", 4),
            ("foo, ", 5),
            ("foo;", 4),
            ("foo;bar\t", 8),
            ("foo;bar=", 8),
            ("foo;bar=\"1", 10),
            ("foo;bar=\"1\\", 11),
            ("foo;bar=\"1\" ", 12),
        ] {
            assert_eq!(parse_strict(value), Err(Fault(position)), "{value}");
        }
    }
}
