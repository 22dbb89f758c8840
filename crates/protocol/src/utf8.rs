//! UTF-8 validation (RFC 6455, 8.1), also of text that arrives in pieces.

use simdutf8::compat;

/// The bytes are not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidUtf8;

/// Returns whether `bytes` are valid UTF-8, with no character cut at the end.
#[inline]
pub fn is_valid(bytes: &[u8]) -> bool {
    simdutf8::basic::from_utf8(bytes).is_ok()
}

/// Returns the number of UTF-16 code units of a UTF-8 text: the `length` of the same
/// string in JavaScript.
pub fn utf16_len(text: &[u8]) -> usize {
    // Each character has one byte that starts it, and two units if it has four bytes.
    text.iter()
        .map(|&byte| usize::from(byte & 0xc0 != 0x80) + usize::from(byte >= 0xf0))
        .sum()
}

/// Validates text that arrives in pieces, and fails at the first byte that cannot be
/// part of valid UTF-8.
///
/// It stores at most three bytes: the start of a character that is cut at the end of a piece.
#[derive(Debug, Default)]
pub struct Utf8Validator {
    cut: [u8; 4],
    cut_len: u8,
}

impl Utf8Validator {
    /// Validates the next piece.
    ///
    /// # Errors
    ///
    /// If no valid text starts with the pieces so far. The validator cannot be
    /// used after that.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<(), InvalidUtf8> {
        while self.cut_len > 0 {
            let Some((&byte, rest)) = bytes.split_first() else {
                return Ok(());
            };
            bytes = rest;
            self.cut[usize::from(self.cut_len)] = byte;
            self.cut_len += 1;
            match std::str::from_utf8(&self.cut[..usize::from(self.cut_len)]) {
                Ok(_) => self.cut_len = 0,
                Err(error) if error.error_len().is_some() => return Err(InvalidUtf8),
                Err(_) => {}
            }
        }
        match compat::from_utf8(bytes) {
            Ok(_) => Ok(()),
            Err(error) if error.error_len().is_some() => Err(InvalidUtf8),
            Err(error) => {
                let cut = &bytes[error.valid_up_to()..];
                self.cut[..cut.len()].copy_from_slice(cut);
                self.cut_len = cut.len() as u8;
                Ok(())
            }
        }
    }

    /// Ends the text, and resets the validator for the next one.
    ///
    /// # Errors
    ///
    /// If the text ends within a character.
    pub fn finish(&mut self) -> Result<(), InvalidUtf8> {
        match std::mem::take(&mut self.cut_len) {
            0 => Ok(()),
            _ => Err(InvalidUtf8),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns how many bytes are accepted, one at a time, before the first error.
    fn taken(bytes: &[u8]) -> usize {
        let mut validator = Utf8Validator::default();
        bytes
            .iter()
            .position(|&byte| validator.feed(&[byte]).is_err())
            .unwrap_or(bytes.len())
    }

    #[test]
    fn fails_at_the_first_byte_that_cannot_be_text() {
        for (bytes, good) in [
            (&b"\x80"[..], 0),
            (b"a\xc0", 1),
            (b"a\xc1", 1),
            (b"\xc3\x28", 1),
            (b"\xe0\x9f", 1),
            (b"\xed\xa0\x80", 1),
            (b"\xf0\x8f", 1),
            (b"\xf4\x90\x80\x80", 1),
            (b"\xf5", 0),
            (b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90", 12),
            (b"\xe2\x82a", 2),
            (b"\xf0\x9f\x98\x41", 3),
        ] {
            assert_eq!(taken(bytes), good, "{bytes:x?}");
            let mut validator = Utf8Validator::default();
            assert_eq!(validator.feed(bytes), Err(InvalidUtf8));
        }
    }

    #[test]
    fn takes_every_text_cut_anywhere() {
        let text = "aé€😀\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}z".as_bytes();
        for first in 0..=text.len() {
            for second in first..=text.len() {
                let mut validator = Utf8Validator::default();
                for piece in [&text[..first], &text[first..second], &text[second..]] {
                    validator.feed(piece).unwrap();
                }
                validator.finish().unwrap();
            }
        }
    }

    #[test]
    fn text_must_not_stop_within_a_character() {
        let mut validator = Utf8Validator::default();
        validator.feed(b"\xf0\x9f\x98").unwrap();
        assert_eq!(validator.finish(), Err(InvalidUtf8));
        assert_eq!(validator.finish(), Ok(()));
    }

    #[test]
    fn whole_texts() {
        assert!(is_valid("κόσμε".as_bytes()));
        assert!(is_valid(b""));
        assert!(!is_valid(b"\xce\xba\xe1\xbd"));
    }

    #[test]
    fn the_length_in_utf_16() {
        for text in [
            "",
            "a",
            "κόσμε",
            "€",
            "𝄞𝄞a",
            "\u{10ffff}\u{ffff}\u{800}\u{7ff}",
        ] {
            assert_eq!(utf16_len(text.as_bytes()), text.encode_utf16().count());
        }
    }
}
