//! Messages decode to the same events wherever the input is cut, and a decoder reads
//! what an encoder writes.

use oxws_protocol::deflate::{ContextPool, DeflateOptions, Deflater, InflateOptions, Inflater};
use oxws_protocol::{
    Decoded, Decoder, DecoderOptions, Encoder, Event, EventKind, Masking, MessageKind,
    MessageOptions, PayloadBuffer, ProtocolError,
};
use proptest::prelude::*;

/// An event: its kind, its payload, and whether it was masked.
type Seen = (EventKind, Vec<u8>, bool);

/// A message or control frame to send.
#[derive(Debug, Clone)]
enum Sent {
    Message {
        text: Option<String>,
        binary: Vec<u8>,
        compress: bool,
        fragments: Vec<usize>,
    },
    Ping(Vec<u8>),
    Pong(Vec<u8>),
}

fn sent() -> impl Strategy<Value = Sent> {
    let len = prop_oneof![
        0..20usize,
        120..130usize,
        1000..3000usize,
        65_530..65_545usize
    ];
    let message = (
        prop::option::of("\\PC{0,200}"),
        len.prop_flat_map(|len| prop::collection::vec(prop::sample::select(b"abc".to_vec()), len)),
        any::<bool>(),
        prop::collection::vec(0..70_000usize, 0..4),
    );
    prop_oneof![
        6 => message.prop_map(|(text, binary, compress, fragments)| {
            Sent::Message { text, binary, compress, fragments }
        }),
        1 => prop::collection::vec(any::<u8>(), 0..126).prop_map(Sent::Ping),
        1 => prop::collection::vec(any::<u8>(), 0..126).prop_map(Sent::Pong),
    ]
}

/// Encodes everything in `all`, and returns the bytes and the expected events.
fn encode(all: &[Sent], mask: Option<[u8; 4]>, takeover: bool) -> (Vec<u8>, Vec<Seen>) {
    let options = DeflateOptions {
        no_context_takeover: !takeover,
        ..DeflateOptions::default()
    };
    let deflater = Deflater::new(options, ContextPool::default());
    let mut encoder = Encoder::new(Some(deflater), 100);
    let mut bytes = Vec::new();
    let mut expected = Vec::new();
    for sent in all {
        match sent {
            Sent::Ping(data) => {
                encoder.ping(data, mask, &mut bytes);
                expected.push((EventKind::Ping, data.clone(), mask.is_some()));
            }
            Sent::Pong(data) => {
                encoder.pong(data, mask, &mut bytes);
                expected.push((EventKind::Pong, data.clone(), mask.is_some()));
            }
            Sent::Message {
                text,
                binary,
                compress,
                fragments,
            } => {
                let (kind, event, data) = match text {
                    Some(text) => (MessageKind::Text, EventKind::Text, text.as_bytes()),
                    None => (MessageKind::Binary, EventKind::Binary, &binary[..]),
                };
                let mut rest = data;
                for fragment in fragments {
                    let (first, others) = rest.split_at((*fragment).min(rest.len()));
                    rest = others;
                    let options = MessageOptions {
                        fin: false,
                        compress: *compress,
                        mask,
                    };
                    encoder.message(kind, first, options, &mut bytes);
                    encoder.ping(b"between", mask, &mut bytes);
                    expected.push((EventKind::Ping, b"between".to_vec(), mask.is_some()));
                }
                let options = MessageOptions {
                    fin: true,
                    compress: *compress,
                    mask,
                };
                encoder.message(kind, rest, options, &mut bytes);
                expected.push((event, data.to_vec(), mask.is_some()));
            }
        }
    }
    encoder.close(Some(4000), "done", mask, &mut bytes);
    let close = EventKind::Close(Some(4000));
    expected.push((close, b"done".to_vec(), mask.is_some()));
    (bytes, expected)
}

/// Options with low limits for heavy messages.
const HEAVY: DecoderOptions = DecoderOptions {
    heavy_frame: 500,
    heavy_message: 1000,
    max_payload: u64::MAX,
    max_text: u64::MAX,
    max_binary: u64::MAX,
    max_fragments: u32::MAX,
    masking: Masking::Any,
    validates: true,
    report_fragment_ends: false,
};

fn decoder(options: DecoderOptions, takeover: bool) -> Decoder {
    let inflate = InflateOptions {
        no_context_takeover: !takeover,
        ..InflateOptions::default()
    };
    Decoder::new(
        options,
        Some(Inflater::new(inflate, ContextPool::default())),
    )
}

/// Decodes `bytes` in pieces that end at `cuts`.
fn decode(bytes: &[u8], cuts: &[usize], takeover: bool) -> Result<Vec<Seen>, ProtocolError> {
    decode_with(decoder(DecoderOptions::default(), takeover), bytes, cuts)
}

fn decode_with(
    mut decoder: Decoder,
    bytes: &[u8],
    cuts: &[usize],
) -> Result<Vec<Seen>, ProtocolError> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.push(bytes.len());
    cuts.sort_unstable();
    let mut seen = Vec::new();
    let mut from = 0;
    for cut in cuts {
        let mut input = bytes[from..cut].to_vec();
        from = cut;
        let mut at = 0;
        loop {
            match decoder.next(&mut input, &mut at)? {
                Decoded::Event(event) => seen.push((
                    event.kind,
                    event.payload.bytes(&input).to_vec(),
                    event.masked,
                )),
                Decoded::Heavy => assert!(decoder.is_heavy()),
                Decoded::NeedsInput => break,
            }
        }
    }
    Ok(seen)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn cuts_do_not_matter(
        all in prop::collection::vec(sent(), 0..8),
        mask in prop::option::of(any::<[u8; 4]>()),
        takeover: bool,
        cuts in prop::collection::vec(any::<usize>(), 0..40),
    ) {
        let (bytes, expected) = encode(&all, mask, takeover);
        prop_assert_eq!(&decode(&bytes, &[], takeover).unwrap(), &expected);
        prop_assert_eq!(&decode(&bytes, &cuts, takeover).unwrap(), &expected);
        let heavy = decode_with(decoder(HEAVY, takeover), &bytes, &cuts);
        prop_assert_eq!(&heavy.unwrap(), &expected);
    }

    #[test]
    fn cuts_do_not_matter_to_errors_either(
        noise in prop::collection::vec(any::<u8>(), 0..300),
        opcode in prop::sample::select(vec![0x81u8, 0x82, 0x01, 0xc1, 0xc2, 0x89, 0x88]),
        cuts in prop::collection::vec(any::<usize>(), 0..20),
    ) {
        let mut bytes = vec![opcode];
        bytes.extend(noise);
        prop_assert_eq!(decode(&bytes, &[], true), decode(&bytes, &cuts, true));
    }
}

#[test]
fn one_byte_at_a_time() {
    let all = [
        Sent::Message {
            text: Some("κόσμε 😀".repeat(30)),
            binary: Vec::new(),
            compress: true,
            fragments: vec![7, 50, 3],
        },
        Sent::Ping(vec![7; 125]),
        Sent::Message {
            text: None,
            binary: vec![1; 70_000],
            compress: false,
            fragments: vec![65_536],
        },
    ];
    let (bytes, expected) = encode(&all, Some([9, 8, 7, 6]), true);
    let cuts: Vec<usize> = (0..bytes.len()).collect();
    assert_eq!(decode(&bytes, &cuts, true).unwrap(), expected);
}

#[test]
fn a_head_that_promises_much_takes_little_memory() {
    let mut decoder = Decoder::new(DecoderOptions::default(), None);
    let mut input = b"\x82\x7f\0\0\0\x7f\xff\xff\xff\xffdata".to_vec();
    assert_eq!(decoder.next(&mut input, &mut 0), Ok(Decoded::NeedsInput));
    assert_eq!(decoder.announced_len(), 0x7f_ffff_ffff);
}

#[test]
fn it_is_told_how_much_of_a_frame_is_read() {
    let mut decoder = Decoder::new(DecoderOptions::default(), None);
    for (piece, len) in [
        (&b"\x02"[..], 0),
        (b"\x81", 0),
        (b"\0\0\0\0", 0),
        (b"a\x89\x82\0\0\0\0b", 1),
        (b"c", 0),
        (b"\x80\x04de", 2),
        (b"f", 3),
        (b"g", 0),
    ] {
        let mut input = piece.to_vec();
        let mut at = 0;
        while decoder.next(&mut input, &mut at) != Ok(Decoded::NeedsInput) {}
        assert_eq!(decoder.partial_len(), len, "behind {piece:x?}");
    }
}

#[test]
fn many_empty_fragments_take_no_memory_and_one_limit() {
    let mut decoder = Decoder::new(DecoderOptions::default(), None);
    let mut input = vec![0; 2 << 20];
    input[0] = 0x01;
    assert_eq!(decoder.next(&mut input, &mut 0), Ok(Decoded::NeedsInput));
    assert_eq!(
        decoder.next(&mut [0, 0], &mut 0),
        Err(ProtocolError::TooManyFragments)
    );
}

#[test]
fn a_long_payload_can_be_read_right_into_its_message() {
    let text = "κόσμε".repeat(20_000);
    for mask in [None, Some([9, 8, 7, 6])] {
        let mut bytes = Vec::new();
        let options = |fin| MessageOptions {
            fin,
            compress: false,
            mask,
        };
        let mut encoder = Encoder::new(None, 0);
        let (first, rest) = text.split_at(99_999 / 11 * 11);
        encoder.message(
            MessageKind::Text,
            first.as_bytes(),
            options(false),
            &mut bytes,
        );
        encoder.ping(b"between", mask, &mut bytes);
        encoder.message(
            MessageKind::Text,
            rest.as_bytes(),
            options(true),
            &mut bytes,
        );

        let mut decoder = Decoder::new(DecoderOptions::default(), None);
        let mut stream = &bytes[..];
        let mut seen = Vec::new();
        let mut direct = 0;
        while !stream.is_empty() {
            if let Some(PayloadBuffer { data, room, .. }) = decoder.payload_buffer(1000) {
                let (piece, rest) = stream.split_at(room.min(7777).min(stream.len()));
                let from = data.len();
                data.extend_from_slice(piece);
                stream = rest;
                direct += piece.len();
                seen.extend(decoder.advance_payload(from).unwrap());
                continue;
            }
            let (piece, rest) = stream.split_at(stream.len().min(500));
            let mut input = piece.to_vec();
            stream = rest;
            let mut at = 0;
            while let Decoded::Event(event) = decoder.next(&mut input, &mut at).unwrap() {
                seen.push(event);
            }
        }
        assert!(direct > text.len() / 2);
        assert_eq!(seen.len(), 2);
        assert_eq!(seen[1].payload.bytes(&[]), text.as_bytes());
    }
}

#[test]
fn what_is_read_right_into_its_message_is_judged_as_well() {
    let mut decoder = Decoder::new(DecoderOptions::default(), None);
    let mut head = b"\x81\x7f\0\0\0\0\0\x10\0\0text".to_vec();
    assert_eq!(decoder.next(&mut head, &mut 0), Ok(Decoded::NeedsInput));
    let data = decoder.payload_buffer(100).unwrap().data;
    data.extend_from_slice(b"more\xff");
    assert_eq!(decoder.advance_payload(4), Err(ProtocolError::InvalidUtf8));
    assert!(decoder.payload_buffer(100).is_none());
}

/// Returns a compressed message of `len` zeros, with `frame` zeros in each frame.
fn zeros(len: usize, frame: usize, mask: Option<[u8; 4]>) -> Vec<u8> {
    let deflater = Deflater::new(DeflateOptions::default(), ContextPool::default());
    let mut encoder = Encoder::new(Some(deflater), 0);
    let mut bytes = Vec::new();
    for start in (0..len).step_by(frame) {
        let part = vec![0; frame.min(len - start)];
        let options = MessageOptions {
            fin: start + part.len() == len,
            compress: true,
            mask,
        };
        encoder.message(MessageKind::Binary, &part, options, &mut bytes);
    }
    bytes
}

fn event(decoded: Result<Decoded, ProtocolError>) -> Event {
    match decoded {
        Ok(Decoded::Event(event)) => event,
        other => panic!("no event: {other:?}"),
    }
}

#[test]
fn a_heavy_message_may_end_in_an_empty_frame() {
    // Some programs end every compressed message like this. Fragments before it may be empty.
    for mask in [None, Some([1, 2, 3, 4])] {
        let mut input = zeros(1_000_000, 1_000_000, mask);
        input[0] &= 0x7f;
        let key: &[u8] = if mask.is_some() { &[9, 9, 9, 9] } else { &[] };
        let bit = if mask.is_some() { 0x80 } else { 0 };
        for first in [0x00, 0x89, 0x80] {
            input.extend([first, bit]);
            input.extend(key);
        }
        for cut in [0, 1, 7, 8, 9, 100, input.len() - 1, input.len()] {
            let seen = decode_with(decoder(HEAVY, true), &input, &[cut]).unwrap();
            assert_eq!(seen.len(), 2, "{cut}");
            assert_eq!(seen[0].0, EventKind::Ping);
            assert_eq!(seen[1].1, vec![0; 1_000_000]);
        }
    }
}

#[test]
fn what_its_reader_cannot_hold_is_too_long() {
    let options = DecoderOptions {
        max_text: 1000,
        max_binary: 2000,
        ..DecoderOptions::default()
    };
    let text = MessageKind::Text;
    for (kind, unit, count, fits) in [
        (text, "a", 1000, true),
        (text, "a", 1001, false),
        (text, "€", 1000, true),
        (text, "€", 1001, false),
        (text, "é", 1000, true),
        (text, "é", 1001, false),
        (text, "𝄞", 500, true),
        (text, "𝄞", 501, false),
        (MessageKind::Binary, "a", 2000, true),
        (MessageKind::Binary, "a", 2001, false),
    ] {
        for compress in [false, true] {
            let deflater = Deflater::new(DeflateOptions::default(), ContextPool::default());
            let mut encoder = Encoder::new(Some(deflater), 0);
            let mut bytes = Vec::new();
            let message = unit.repeat(count);
            let (first, rest) = message.as_bytes().split_at(message.len() / 2);
            for (part, fin) in [(first, false), (rest, true)] {
                let options = MessageOptions {
                    fin,
                    compress,
                    mask: None,
                };
                encoder.message(kind, part, options, &mut bytes);
            }
            let seen = decode_with(decoder(options, true), &bytes, &[5, 50]);
            match seen {
                Ok(seen) => assert!(fits && seen[0].1 == message.as_bytes()),
                Err(error) => {
                    assert!(!fits, "{count} x {unit}");
                    assert_eq!(error, ProtocolError::PayloadTooLong);
                }
            }
        }
    }
}

#[test]
fn the_first_error_is_told_however_the_stream_is_cut() {
    // The message is 710 letters and an invalid byte. The limit is before or after that byte.
    for (limit, expected) in [
        (700, ProtocolError::PayloadTooLong),
        (709, ProtocolError::PayloadTooLong),
        (710, ProtocolError::PayloadTooLong),
        (711, ProtocolError::InvalidUtf8),
        (5000, ProtocolError::InvalidUtf8),
    ] {
        let deflater = Deflater::new(DeflateOptions::default(), ContextPool::default());
        let mut encoder = Encoder::new(Some(deflater), 0);
        let mut message = vec![b'a'; 710];
        message.push(0xff);
        message.extend([b'b'; 3000]);
        let options = MessageOptions {
            fin: true,
            compress: true,
            mask: None,
        };
        let mut bytes = Vec::new();
        encoder.message(MessageKind::Text, &message, options, &mut bytes);
        for cut in 0..bytes.len() {
            let options = DecoderOptions {
                max_payload: limit,
                ..DecoderOptions::default()
            };
            let seen = decode_with(decoder(options, true), &bytes, &[cut]);
            assert_eq!(seen, Err(expected), "{limit}, cut at {cut}");
        }
    }
}

#[test]
fn a_long_compressed_frame_is_heavy_from_its_head_on() {
    let mut input = zeros(1_000_000, 1_000_000, Some([1, 2, 3, 4]));
    assert!(input.len() > 500);
    let mut decoder = decoder(HEAVY, true);
    let mut at = 0;
    assert_eq!(decoder.next(&mut input, &mut at), Ok(Decoded::Heavy));
    assert_eq!(at, 8);
    assert!(decoder.is_heavy());
    let event = event(decoder.next(&mut input, &mut at));
    assert_eq!(event.payload.bytes(&input), vec![0; 1_000_000]);
    assert!(!decoder.is_heavy());
}

#[test]
fn what_is_neither_long_nor_compressed_is_light() {
    let mut short = zeros(999, 999, None);
    let mut plain = b"\x82\x7e\x02\x00".to_vec();
    plain.extend([7; 512]);
    for input in [&mut short, &mut plain] {
        let mut decoder = decoder(HEAVY, true);
        event(decoder.next(input, &mut 0));
    }
}

#[test]
fn a_message_is_heavy_once_it_has_grown() {
    let options = DecoderOptions {
        heavy_frame: u64::MAX,
        heavy_message: 10_000,
        ..HEAVY
    };
    for (frame, mask) in [
        (1_000_000, None),
        (1_000_000, Some([1, 2, 3, 4])),
        (5_000, None),
        (5_000, Some([1, 2, 3, 4])),
    ] {
        let mut input = zeros(1_000_000, frame, mask);
        let mut decoder = decoder(options, true);
        let mut at = 0;
        assert_eq!(decoder.next(&mut input, &mut at), Ok(Decoded::Heavy));
        assert!(decoder.is_heavy());
        // The decoder stops soon after the limit, so little of the input is read.
        assert!(at < input.len() / 20, "{at} of {}", input.len());
        let event = loop {
            match decoder.next(&mut input, &mut at).unwrap() {
                Decoded::Event(event) => break event,
                Decoded::Heavy => {}
                Decoded::NeedsInput => panic!("all of it is here"),
            }
        };
        assert_eq!(at, input.len());
        assert_eq!(event.payload.bytes(&input), vec![0; 1_000_000]);
    }
}

#[test]
fn a_message_in_small_fragments_is_moved_seldom() {
    let mut decoder = Decoder::new(DecoderOptions::default(), None);
    let mut input = b"\x02\x01x".to_vec();
    assert_eq!(decoder.next(&mut input, &mut 0), Ok(Decoded::NeedsInput));
    let mut moves = 0;
    let mut room = 0;
    for _ in 0..100_000 {
        let mut input = b"\x00\x01x".to_vec();
        assert_eq!(decoder.next(&mut input, &mut 0), Ok(Decoded::NeedsInput));
        // The head of a frame is enough for `payload_buffer` to return the buffer of the message.
        let mut begun = b"\x00\x01".to_vec();
        assert_eq!(decoder.next(&mut begun, &mut 0), Ok(Decoded::NeedsInput));
        let data = decoder.payload_buffer(0).unwrap().data;
        if data.capacity() != room {
            room = data.capacity();
            moves += 1;
        }
        let from = data.len();
        data.push(b'x');
        assert_eq!(decoder.advance_payload(from), Ok(None));
    }
    assert!(moves < 40, "{moves}");
}

#[test]
fn it_is_told_where_fragments_end() {
    let options = DecoderOptions {
        report_fragment_ends: true,
        ..DecoderOptions::default()
    };
    let mut deflater = Deflater::new(DeflateOptions::default(), ContextPool::default());
    let (mut first, mut last) = (Vec::new(), Vec::new());
    deflater.compress(b"aaa", false, &mut first);
    deflater.compress(b"bb", true, &mut last);
    let mut compressed = vec![0x42, first.len() as u8];
    compressed.extend_from_slice(&first);
    compressed.extend_from_slice(b"\x80");
    compressed.push(last.len() as u8);
    compressed.extend_from_slice(&last);
    for (bytes, ends) in [
        (b"\x82\x03abc".to_vec(), vec![]),
        (b"\x02\x03abc\x00\x00\x80\x02de".to_vec(), vec![3, 3, 5]),
        (compressed, vec![3, 5]),
    ] {
        for piece in [1, bytes.len()] {
            let mut decoder = decoder(options, true);
            let mut told = None;
            for input in bytes.clone().chunks_mut(piece) {
                if let Ok(Decoded::Event(_)) = decoder.next(input, &mut 0) {
                    told = Some(decoder.take_fragment_ends());
                }
            }
            assert_eq!(told.as_ref(), Some(&ends), "{bytes:x?} by {piece}");
            assert_eq!(decoder.take_fragment_ends(), [], "each is told once");
        }
    }
}

#[test]
fn what_need_not_be_utf8_is_taken_as_it_is() {
    let options = DecoderOptions {
        validates: false,
        max_text: 1,
        ..DecoderOptions::default()
    };
    for (bytes, payload) in [
        (b"\x81\x03\xff\xfe\xfd".to_vec(), &b"\xff\xfe\xfd"[..]),
        (b"\x01\x01\xff\x80\x01\xfe".to_vec(), b"\xff\xfe"),
        (b"\x88\x03\x03\xe8\xff".to_vec(), b"\xff"),
    ] {
        let mut input = bytes.clone();
        let mut decoder = decoder(options, true);
        let event = event(decoder.next(&mut input, &mut 0));
        assert_eq!(event.payload.bytes(&input), payload, "{bytes:x?}");
    }
}

#[test]
fn what_has_to_be_utf8_is_decided_where_a_message_begins() {
    let mut decoder = Decoder::new(DecoderOptions::default(), None);
    let mut feed = |validates, piece: &[u8]| {
        decoder.set_validates(validates);
        let mut input = piece.to_vec();
        decoder
            .next(&mut input, &mut 0)
            .map(|decoded| match decoded {
                Decoded::Event(event) => Some(event.payload.bytes(&input).to_vec()),
                _ => None,
            })
    };
    // 0xc3 is the first byte of a character of two bytes.
    assert_eq!(feed(true, b"\x01\x01\xc3"), Ok(None));
    assert_eq!(feed(false, b"\x80\x01\xa9"), Ok(Some(b"\xc3\xa9".to_vec())));
    assert_eq!(feed(false, b"\x01\x01\xc3"), Ok(None));
    assert_eq!(feed(true, b"\x80\x01\xff"), Ok(Some(b"\xc3\xff".to_vec())));
    assert_eq!(feed(true, b"\x01\x01\xc3"), Ok(None));
    assert_eq!(
        feed(false, b"\x80\x01\xff"),
        Err(ProtocolError::InvalidUtf8)
    );
}
