//! The table of errors: for each one, input that causes it, its close code, its
//! text and its name.

use oxws_protocol::deflate::{ContextPool, InflateOptions, Inflater};
use oxws_protocol::{Decoded, Decoder, DecoderOptions, Masking, ProtocolError};

/// One row: the input, the position at which the error is reported, and the error.
struct Row {
    input: Vec<u8>,
    at: usize,
    decoder: fn() -> Decoder,
    error: ProtocolError,
    close_code: u16,
    text: &'static str,
    name: &'static str,
}

fn plain() -> Decoder {
    Decoder::new(DecoderOptions::default(), None)
}

fn inflating() -> Decoder {
    let inflater = Inflater::new(InflateOptions::default(), ContextPool::default());
    Decoder::new(DecoderOptions::default(), Some(inflater))
}

fn limited() -> Decoder {
    let inflater = Inflater::new(InflateOptions::default(), ContextPool::default());
    let options = DecoderOptions {
        max_payload: 10,
        max_fragments: 3,
        ..DecoderOptions::default()
    };
    Decoder::new(options, Some(inflater))
}

fn masking(masking: Masking) -> Decoder {
    let options = DecoderOptions {
        masking,
        ..DecoderOptions::default()
    };
    Decoder::new(options, None)
}

fn table() -> Vec<Row> {
    let row = |input: &[u8], at, decoder, error, close_code, text, name| Row {
        input: input.to_vec(),
        at,
        decoder,
        error,
        close_code,
        text,
        name,
    };
    use ProtocolError::*;
    let rsv1 = "RSV1 must be clear";
    let rsv23 = "RSV2 and RSV3 must be clear";
    let opcode = "WS_ERR_INVALID_OPCODE";
    let length = "WS_ERR_INVALID_CONTROL_PAYLOAD_LENGTH";
    let too_long = "max payload size exceeded";
    let utf8 = "invalid UTF-8 sequence";
    vec![
        row(
            b"\xa2\0",
            2,
            plain,
            ReservedBits,
            1002,
            rsv23,
            "WS_ERR_UNEXPECTED_RSV_2_3",
        ),
        row(
            b"\x92\0",
            2,
            inflating,
            ReservedBits,
            1002,
            rsv23,
            "WS_ERR_UNEXPECTED_RSV_2_3",
        ),
        row(
            b"\xc1\0",
            2,
            plain,
            UnexpectedRsv1,
            1002,
            rsv1,
            "WS_ERR_UNEXPECTED_RSV_1",
        ),
        row(
            b"\x40\0",
            2,
            inflating,
            UnexpectedRsv1,
            1002,
            rsv1,
            "WS_ERR_UNEXPECTED_RSV_1",
        ),
        row(
            b"\xc9\0",
            2,
            inflating,
            UnexpectedRsv1,
            1002,
            rsv1,
            "WS_ERR_UNEXPECTED_RSV_1",
        ),
        row(
            b"\x01\0\x01\0",
            4,
            plain,
            InvalidOpcode(1),
            1002,
            "invalid opcode: 1",
            opcode,
        ),
        row(
            b"\x01\0\x02\0",
            4,
            plain,
            InvalidOpcode(2),
            1002,
            "invalid opcode: 2",
            opcode,
        ),
        row(
            b"\x00\0",
            2,
            plain,
            InvalidOpcode(0),
            1002,
            "invalid opcode: 0",
            opcode,
        ),
        row(
            b"\x83\0",
            2,
            plain,
            InvalidOpcode(3),
            1002,
            "invalid opcode: 3",
            opcode,
        ),
        row(
            b"\x8f\0",
            2,
            plain,
            InvalidOpcode(15),
            1002,
            "invalid opcode: 15",
            opcode,
        ),
        row(
            b"\x09\0",
            2,
            plain,
            FragmentedControl,
            1002,
            "FIN must be set",
            "WS_ERR_EXPECTED_FIN",
        ),
        row(
            b"\x89\x7e",
            2,
            plain,
            InvalidPayloadLength(126),
            1002,
            "invalid payload length: 126",
            length,
        ),
        row(
            b"\x88\x01\0",
            2,
            plain,
            InvalidPayloadLength(1),
            1002,
            "invalid payload length: 1",
            length,
        ),
        row(
            b"\x81\0",
            2,
            || masking(Masking::Required),
            MaskRequired,
            1002,
            "MASK must be set",
            "WS_ERR_EXPECTED_MASK",
        ),
        row(
            b"\x81\x80\0\0\0\0",
            2,
            || masking(Masking::Forbidden),
            MaskForbidden,
            1002,
            "MASK must be clear",
            "WS_ERR_UNEXPECTED_MASK",
        ),
        row(
            b"\x82\x7f\0\x20\0\0\0\0\0\0",
            10,
            plain,
            FrameTooLong,
            1009,
            "payload length beyond 2^53 - 1",
            "WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH",
        ),
        row(
            b"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff",
            10,
            plain,
            FrameTooLong,
            1009,
            "payload length beyond 2^53 - 1",
            "WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH",
        ),
        row(
            b"\x82\x0b",
            2,
            limited,
            PayloadTooLong,
            1009,
            too_long,
            "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH",
        ),
        row(
            b"\x02\x05aaaaa\x80\x06",
            9,
            limited,
            PayloadTooLong,
            1009,
            too_long,
            "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH",
        ),
        row(
            // The letter "A" fifty times, compressed to five bytes.
            b"\xc1\x05\x72\x74\xa4\x3d\x00",
            7,
            limited,
            PayloadTooLong,
            1009,
            too_long,
            "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH",
        ),
        row(
            b"\x81\x04\xce\xba\xe1\x41",
            6,
            plain,
            InvalidUtf8,
            1007,
            utf8,
            "WS_ERR_INVALID_UTF8",
        ),
        row(
            b"\x81\x04\xce\xba\xe1\xbd",
            6,
            plain,
            InvalidUtf8,
            1007,
            utf8,
            "WS_ERR_INVALID_UTF8",
        ),
        row(
            b"\x81\x7e\x40\0\xff",
            5,
            plain,
            InvalidUtf8,
            1007,
            utf8,
            "WS_ERR_INVALID_UTF8",
        ),
        row(
            b"\x01\x01\xe1\x80\x01\x41",
            6,
            plain,
            InvalidUtf8,
            1007,
            utf8,
            "WS_ERR_INVALID_UTF8",
        ),
        row(
            b"\x88\x03\x03\xe8\xff",
            5,
            plain,
            InvalidUtf8,
            1007,
            utf8,
            "WS_ERR_INVALID_UTF8",
        ),
        row(
            b"\x88\x02\x03\xed",
            4,
            plain,
            InvalidCloseCode(1005),
            1002,
            "invalid status code: 1005",
            "WS_ERR_INVALID_CLOSE_CODE",
        ),
        row(
            b"\xc1\x04\xff\xff\xff\xff",
            3,
            inflating,
            InvalidDeflate,
            1007,
            "invalid compressed data",
            "Z_DATA_ERROR",
        ),
        row(
            b"\x01\0\0\0\0\0\0\0",
            8,
            limited,
            TooManyFragments,
            1008,
            "too many message fragments",
            "WS_ERR_TOO_MANY_BUFFERED_PARTS",
        ),
    ]
}

#[test]
fn each_violation_is_told_at_the_byte_that_shows_it() {
    for row in table() {
        let mut decoder = (row.decoder)();
        let mut shown = None;
        // The error is reported without waiting for the bytes that follow, which
        // are not decoded.
        let mut input = row.input.clone();
        input.extend_from_slice(b"\x81\x05Hello");
        for (i, byte) in input.iter().enumerate() {
            let mut at = 0;
            match decoder.next(&mut [*byte], &mut at) {
                Ok(decoded) => assert_eq!(decoded, Decoded::NeedsInput, "{:?}", row.error),
                Err(error) => {
                    assert_eq!(shown, None, "an error is told once");
                    shown = Some((error, i + 1));
                }
            }
            assert_eq!(at, 1, "what follows an error is discarded");
        }
        assert_eq!(shown, Some((row.error, row.at)), "{:x?}", row.input);

        let mut decoder = (row.decoder)();
        assert_eq!(
            decoder.next(&mut input, &mut 0),
            Err(row.error),
            "in one piece"
        );
    }
}

#[test]
fn each_error_has_a_close_code_a_text_and_a_name() {
    for row in table() {
        assert_eq!(row.error.close_code(), row.close_code, "{:?}", row.error);
        assert_eq!(row.error.to_string(), row.text);
        assert_eq!(row.error.name(), row.name);
    }
}
