//! Close codes and the payload of close frames (RFC 6455, 5.5.1 and 7.4).

use crate::{utf8, ProtocolError};

/// The code that `close()` sends by default.
pub const NORMAL: u16 = 1000;

/// The maximum length of a reason, in bytes: the 125 of a control frame less 2 for the code.
pub const MAX_REASON_LEN: usize = 123;

/// Returns whether `code` is allowed in a close frame.
///
/// These are the codes of the IANA registry, except 1004, 1005, 1006 and 1015, which are
/// never sent, and the ranges for libraries (3000–3999) and applications (4000–4999).
pub const fn is_valid_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Parses the payload of a close frame, and returns its code, if it has one.
///
/// The reason is what follows the two bytes of the code. If `validates` is true, it
/// has to be UTF-8.
///
/// # Errors
///
/// A payload of one byte, a code that is not allowed, or a reason that is not UTF-8.
pub fn parse(payload: &[u8], validates: bool) -> Result<Option<u16>, ProtocolError> {
    match payload {
        [] => Ok(None),
        [_] => Err(ProtocolError::InvalidPayloadLength(1)),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !is_valid_code(code) {
                Err(ProtocolError::InvalidCloseCode(code))
            } else if validates && !utf8::is_valid(reason) {
                Err(ProtocolError::InvalidUtf8)
            } else {
                Ok(Some(code))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes() {
        for code in [1000, 1003, 1007, 1011, 1013, 1014, 3000, 3999, 4000, 4999] {
            assert!(is_valid_code(code), "{code}");
        }
        for code in [
            0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535,
        ] {
            assert!(!is_valid_code(code), "{code}");
        }
    }

    #[test]
    fn payloads() {
        assert_eq!(parse(b"", true), Ok(None));
        assert_eq!(parse(b"\x03\xe8", true), Ok(Some(1000)));
        assert_eq!(parse(b"\x0f\xa0bye", true), Ok(Some(4000)));
        assert_eq!(
            parse(b"\x03", true),
            Err(ProtocolError::InvalidPayloadLength(1))
        );
        assert_eq!(
            parse(b"\0\0", true),
            Err(ProtocolError::InvalidCloseCode(0)),
            "the code is looked at before the reason"
        );
        assert_eq!(
            parse(b"\x03\xe8\xce\xba\xe1\xbd", true),
            Err(ProtocolError::InvalidUtf8)
        );
    }
}
