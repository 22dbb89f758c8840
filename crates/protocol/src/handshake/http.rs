//! HTTP/1.1 heads: the start line and the header fields of a request or response.

use std::fmt::{self, Write};

/// The maximum number of header fields in a head.
pub const MAX_HEADERS: usize = 100;

/// The maximum length of a head, in bytes.
pub const MAX_HEAD_LEN: usize = 16 * 1024;

/// What is wrong with a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpError {
    /// It is not a valid HTTP/1.1 head.
    Malformed,
    /// It is longer than [`MAX_HEAD_LEN`], or has more than [`MAX_HEADERS`] fields.
    TooLarge,
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "malformed HTTP head",
            Self::TooLarge => "HTTP head too large",
        })
    }
}

impl std::error::Error for HttpError {}

/// Header fields in the order in which they arrived. Names are case-insensitive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// Returns the value of the first field with this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Returns the values of all fields with this name, joined into one list (RFC 9110, 5.3).
    pub fn list(&self, name: &str) -> Option<String> {
        let values: Vec<&str> = self
            .0
            .iter()
            .filter(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// Adds a field.
    ///
    /// # Panics
    ///
    /// If the name or value contains a line break or NUL, or the name contains a colon.
    pub fn push(&mut self, name: &str, value: &str) {
        let breaks = |text: &str| text.contains(['\r', '\n', '\0']);
        assert!(!breaks(name) && !name.contains(':') && !breaks(value));
        self.0.push((name.to_owned(), value.to_owned()));
    }

    fn read<'a>(fields: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Result<Self, HttpError> {
        fields
            .into_iter()
            .map(|(name, value)| {
                let value = std::str::from_utf8(value).map_err(|_| HttpError::Malformed)?;
                Ok((name.to_owned(), value.to_owned()))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl fmt::Display for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.0 {
            write!(f, "{name}: {value}\r\n")?;
        }
        f.write_str("\r\n")
    }
}

/// The head of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The method, such as `GET`.
    pub method: String,
    /// The request target: path and query.
    pub target: String,
    /// The header fields.
    pub headers: Headers,
}

/// The head of a request, in the bytes that it was parsed from.
pub struct RequestHead<'a> {
    /// The method, such as `GET`.
    pub method: &'a str,
    /// The request target: path and query.
    pub target: &'a str,
    /// The name and value of each header field.
    pub fields: Vec<(&'a str, &'a [u8])>,
    /// The length of the head, in bytes.
    pub len: usize,
}

impl<'a> RequestHead<'a> {
    /// Parses the head of a request at the beginning of `input`. Returns `None` if more
    /// input is needed.
    ///
    /// # Errors
    ///
    /// If the head is malformed or exceeds a limit.
    pub fn parse(input: &'a [u8]) -> Result<Option<Self>, HttpError> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut head = httparse::Request::new(&mut fields);
        let Some(len) = finished(head.parse(input), input)? else {
            return Ok(None);
        };
        match (head.method, head.path, head.version) {
            (Some(method), Some(target), Some(1)) => Ok(Some(Self {
                method,
                target,
                fields: (head.headers.iter())
                    .map(|field| (field.name, field.value))
                    .collect(),
                len,
            })),
            _ => Err(HttpError::Malformed),
        }
    }
}

/// The head of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The reason phrase, which may be empty.
    pub reason: String,
    /// The header fields.
    pub headers: Headers,
}

/// A head and its length in bytes, or `None` if more input is needed.
pub type Parsed<T> = Result<Option<(T, usize)>, HttpError>;

impl Request {
    /// Parses the head of a request at the beginning of `input`.
    ///
    /// # Errors
    ///
    /// If the head is malformed or exceeds a limit.
    pub fn parse(input: &[u8]) -> Parsed<Self> {
        let Some(head) = RequestHead::parse(input)? else {
            return Ok(None);
        };
        let request = Self {
            method: head.method.to_owned(),
            target: head.target.to_owned(),
            headers: Headers::read(head.fields)?,
        };
        Ok(Some((request, head.len)))
    }

    /// Appends the head to `out`.
    pub fn append(&self, out: &mut String) {
        let _ = write!(
            out,
            "{} {} HTTP/1.1\r\n{}",
            self.method, self.target, self.headers
        );
    }
}

impl Response {
    /// Parses the head of a response at the beginning of `input`.
    ///
    /// # Errors
    ///
    /// If the head is malformed or exceeds a limit.
    pub fn parse(input: &[u8]) -> Parsed<Self> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut head = httparse::Response::new(&mut fields);
        let Some(len) = finished(head.parse(input), input)? else {
            return Ok(None);
        };
        let response = Self {
            status: head.code.ok_or(HttpError::Malformed)?,
            reason: head.reason.unwrap_or_default().to_owned(),
            headers: Headers::read(head.headers.iter().map(|field| (field.name, field.value)))?,
        };
        Ok(Some((response, len)))
    }

    /// Appends the head to `out`.
    pub fn append(&self, out: &mut String) {
        let _ = write!(
            out,
            "HTTP/1.1 {} {}\r\n{}",
            self.status, self.reason, self.headers
        );
    }
}

fn finished(result: httparse::Result<usize>, input: &[u8]) -> Result<Option<usize>, HttpError> {
    match result {
        Ok(httparse::Status::Complete(len)) if len <= MAX_HEAD_LEN => Ok(Some(len)),
        Ok(httparse::Status::Partial) if input.len() < MAX_HEAD_LEN => Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => Err(HttpError::TooLarge),
        Err(_) => Err(HttpError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str = "GET /chat?a=b HTTP/1.1\r\nHost: localhost\r\nX-A: 1\r\nx-a: 2\r\n\r\n";

    #[test]
    fn requests_read_and_write() {
        for cut in 0..REQUEST.len() {
            assert_eq!(Request::parse(&REQUEST.as_bytes()[..cut]), Ok(None));
        }
        let input = [REQUEST.as_bytes(), b"rest"].concat();
        let (request, len) = Request::parse(&input).unwrap().unwrap();
        assert_eq!(len, REQUEST.len());
        assert_eq!(
            (request.method.as_str(), request.target.as_str()),
            ("GET", "/chat?a=b")
        );
        assert_eq!(request.headers.get("HOST"), Some("localhost"));
        assert_eq!(request.headers.get("none"), None);
        assert_eq!(request.headers.list("X-a").as_deref(), Some("1, 2"));
        let mut written = String::new();
        request.append(&mut written);
        assert_eq!(written, REQUEST);
    }

    #[test]
    fn responses_read_and_write() {
        let text = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
        let (response, len) = Response::parse(text.as_bytes()).unwrap().unwrap();
        assert_eq!((response.status, len), (101, text.len()));
        let mut written = String::new();
        response.append(&mut written);
        assert_eq!(written, text);
    }

    #[test]
    fn limits() {
        let many = format!(
            "GET / HTTP/1.1\r\n{}\r\n",
            "a: b\r\n".repeat(MAX_HEADERS + 1)
        );
        assert_eq!(Request::parse(many.as_bytes()), Err(HttpError::TooLarge));
        let endless = format!("GET / HTTP/1.1\r\na: {}", "b".repeat(MAX_HEAD_LEN));
        assert_eq!(Request::parse(endless.as_bytes()), Err(HttpError::TooLarge));
        assert_eq!(Request::parse(b"\0\r\n\r\n"), Err(HttpError::Malformed));
        assert_eq!(
            Request::parse(b"GET / HTTP/1.0\r\n\r\n"),
            Err(HttpError::Malformed)
        );
        assert_eq!(
            Response::parse(b"ICY 200 OK\r\n\r\n"),
            Err(HttpError::Malformed)
        );
    }

    #[test]
    #[should_panic(expected = "breaks")]
    fn a_value_cannot_break_out_of_its_line() {
        Headers::default().push("a", "b\r\nc: d");
    }
}
