//! `Sec-WebSocket-Key` and `Sec-WebSocket-Accept`, which prove that the peer speaks
//! WebSocket (RFC 6455, 4.2.2, step 5.4).

use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use base64::Engine;
use sha1::{Digest, Sha1};

/// The GUID that the server appends to the key before it hashes it (RFC 6455, 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A decoder that ignores the unused bits of the last character.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// Returns whether `key` is the base64 form of 16 bytes (RFC 6455, 4.2.1, item 5).
pub fn is_valid(key: &str) -> bool {
    let mut nonce = [0; 18];
    LENIENT.decode_slice(key, &mut nonce) == Ok(16)
}

/// Returns the `Sec-WebSocket-Key` for `nonce`, 16 random bytes.
pub fn encode(nonce: [u8; 16]) -> String {
    STANDARD.encode(nonce)
}

/// Returns the `Sec-WebSocket-Accept` for `key`. The key is not validated.
pub fn accept(key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(GUID);
    STANDARD.encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_base64_of_16_bytes() {
        for key in ["dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZR=="] {
            assert!(is_valid(key), "{key}");
        }
        for key in [
            "",
            "x",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25jZQ=",
            "dGhlIHNhbXBsZSBub25j",
            "dGhlIHNhbXBsZSBub25jZQQ=",
            "dGhlIHNhbXBsZSBub25jZQQQ",
            " dGhlIHNhbXBsZSBub25jZQ==",
            "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==",
            "!!!!!!!!!!!!!!!!!!!!!!==",
        ] {
            assert!(!is_valid(key), "{key}");
        }
        assert!(!is_valid(&"A".repeat(4000)));
    }

    #[test]
    fn the_example_of_rfc_6455() {
        // RFC 6455, 1.3.
        assert_eq!(encode(*b"the sample nonce"), "dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(
            accept("dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }
}
