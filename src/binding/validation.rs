//! Validation of data and close codes.

use napi_derive::napi;
use oxws_protocol::{close, utf8};

/// Returns whether `data` is valid UTF-8.
#[napi(js_name = "isValidUTF8")]
pub fn is_valid_utf8(data: &[u8]) -> bool {
    utf8::is_valid(data)
}

/// Returns whether `code` is allowed in a close frame (RFC 6455, 7.4).
#[napi]
pub fn is_valid_close_code(code: f64) -> bool {
    code.fract() == 0.0
        && (0.0..=f64::from(u16::MAX)).contains(&code)
        && close::is_valid_code(code as u16)
}
