//! Long payloads that are read directly into the buffers of their messages decode to the same
//! events as if they had been decoded from a chunk.

use oxws_protocol::frame::{FrameHead, Opcode, MAX_HEAD_LEN};
use oxws_protocol::{
    mask, Decoded, Decoder, DecoderOptions, Event, EventKind, Payload, ProtocolError,
};

/// The minimum length of a payload, in bytes, that the tests read directly.
const LONG: usize = 1000;

/// Decodes a stream as the engine does: long payloads are read directly into the buffers of
/// their messages. The first reads return as many bytes as `counts` tell, if there is space,
/// and the others fill their space. Returns the events with their payloads, how the stream ends,
/// and how many bytes were read directly.
fn read_directly(stream: &[u8], counts: &[usize]) -> (Seen, Option<ProtocolError>, usize) {
    let mut decoder = Decoder::new(DecoderOptions::default(), None);
    let mut counts = counts.iter().copied();
    let mut stream = stream;
    let mut rest = Vec::new();
    let mut seen = Vec::new();
    let mut direct = 0;
    let mut read = |stream: &mut &[u8], room: usize| {
        let count = counts.next().unwrap_or(usize::MAX);
        let (read, rest) = stream.split_at(count.min(room).min(stream.len()));
        *stream = rest;
        read.to_vec()
    };
    while !stream.is_empty() || !rest.is_empty() {
        let mut result = Ok(None);
        if !rest.is_empty() {
            // Below.
        } else if decoder.is_in_payload(LONG) {
            let buffer = decoder.payload_buffer(LONG).unwrap();
            let from = buffer.data.len();
            let next = if buffer.ends_frame { MAX_HEAD_LEN } else { 0 };
            let bytes = read(&mut stream, buffer.room + next);
            let (payload, next) = bytes.split_at(buffer.room.min(bytes.len()));
            buffer.data.extend_from_slice(payload);
            direct += payload.len();
            rest = next.to_vec();
            result = decoder.advance_payload(from);
        } else if let Some(expected) = decoder.expected_frame(LONG) {
            let bytes = read(&mut stream, expected.head + expected.payload + MAX_HEAD_LEN);
            let (head, bytes) = bytes.split_at(expected.head.min(bytes.len()));
            let (payload, next) = bytes.split_at(expected.payload.min(bytes.len()));
            let mut payload = payload.to_vec();
            if decoder.start_payload(head, &mut payload, LONG) {
                direct += head.len() + bytes.len() - payload.len() - next.len();
                result = decoder.advance_payload(0);
                rest = [&payload, next].concat();
            } else {
                rest = [head, &payload, next].concat();
            }
        } else {
            rest = read(&mut stream, 5000);
        }
        match result {
            Ok(event) => seen.extend(event.map(|event| with_payload(event, &[]))),
            Err(error) => return (seen, Some(error), direct),
        }
        // What was not read directly is decoded at once.
        let mut at = 0;
        loop {
            match decoder.next(&mut rest, &mut at) {
                Ok(Decoded::Event(event)) => seen.push(with_payload(event, &rest)),
                Ok(_) => break,
                Err(error) => return (seen, Some(error), direct),
            }
        }
        rest.clear();
    }
    (seen, None, direct)
}

/// The kinds of events, whether they were masked, and their payloads.
type Seen = Vec<(EventKind, bool, Vec<u8>)>;

fn with_payload(event: Event, input: &[u8]) -> (EventKind, bool, Vec<u8>) {
    let payload = event.payload.bytes(input);
    assert!(!event.ascii || payload.is_ascii());
    (event.kind, event.masked, payload.to_vec())
}

/// Decodes a stream that arrives at once.
fn decode_at_once(stream: &[u8]) -> (Seen, Option<ProtocolError>) {
    let mut decoder = Decoder::new(DecoderOptions::default(), None);
    let mut input = stream.to_vec();
    let (mut at, mut seen) = (0, Vec::new());
    loop {
        match decoder.next(&mut input, &mut at) {
            Ok(Decoded::Event(event)) => seen.push(with_payload(event, &input)),
            Ok(_) => return (seen, None),
            Err(error) => return (seen, Some(error)),
        }
    }
}

/// Appends a frame.
fn frame(out: &mut Vec<u8>, start: u8, mask: Option<[u8; 4]>, payload: &[u8]) {
    let mut head = Vec::new();
    FrameHead {
        fin: true,
        rsv1: false,
        opcode: Opcode::Binary,
        len: payload.len(),
        mask,
    }
    .append(&mut head);
    head[0] = start;
    out.extend_from_slice(&head);
    match mask {
        Some(key) => mask::extend(out, payload, key),
        None => out.extend_from_slice(payload),
    }
}

#[test]
fn a_frame_after_a_long_message_is_decoded_whatever_it_is_and_wherever_it_is_cut() {
    let text = "a€😀z".repeat(1000);
    let (medium, long) = (vec![7; 2000], vec![8; 70_000]);
    let none: &[u8] = &[];
    // Each list of frames follows a long message of 11,000 bytes.
    let lists: [&[(u8, &[u8])]; 12] = [
        &[(0x81, text.as_bytes()), (0x82, &medium)],
        // Heads of every length.
        &[(0x82, &medium), (0x82, &long), (0x82, &medium)],
        &[(0x82, b"short"), (0x81, "€".as_bytes()), (0x82, &long)],
        &[(0x82, &medium[..200]), (0x82, &medium[..1])],
        &[(0x82, none), (0x89, none), (0x81, none)],
        &[
            (0x89, b"ping"),
            (0x82, &long),
            (0x8a, b"pong"),
            (0x82, &long),
        ],
        // Fragments.
        &[
            (0x01, text.as_bytes()),
            (0x89, b"ping"),
            (0x80, text.as_bytes()),
        ],
        &[(0x02, b"start"), (0x00, &long), (0x80, &medium)],
        // Closing, and violations.
        &[(0x88, &[0x03, 0xe8]), (0x82, &long)],
        &[(0xf2, &long)],
        &[(0x80, &long)],
        &[(0x81, b"\xff"), (0x82, &long)],
    ];
    for mask in [None, Some([1, 2, 3, 200])] {
        for list in lists {
            let mut stream = Vec::new();
            frame(&mut stream, 0x82, mask, &vec![1; 11_000]);
            let first = stream.len();
            for (start, payload) in list {
                frame(&mut stream, *start, mask, payload);
            }
            let (seen, error) = decode_at_once(&stream);
            let end = first + 14 + list[0].1.len();
            for cut in (0..40).chain((end - first).saturating_sub(20)..end - first + 20) {
                for more in [1, 3, 100, usize::MAX] {
                    // The first message arrives in three reads, and then the cut one.
                    let (events, failed, direct) =
                        read_directly(&stream, &[5000, first - 5000, cut.max(1), more]);
                    assert_eq!((&events, failed), (&seen, error), "cut {cut}, {list:x?}");
                    assert!(direct >= first - 5000);
                }
            }
        }
    }
}

#[test]
fn invalid_text_that_is_read_directly_is_noticed() {
    for at in [0, 1, 8191, 8192, 8193, 16_383, 19_998, 19_999] {
        let mut stream = Vec::new();
        let mut text = "x".repeat(20_000).into_bytes();
        let mask = Some([9, 8, 7, 6]);
        frame(&mut stream, 0x81, mask, &text);
        text[at] = 0xc3;
        frame(&mut stream, 0x81, mask, &text);
        for counts in [&[][..], &[20_008, 20_008], &[20_008, 9000]] {
            let (seen, error, _) = read_directly(&stream, counts);
            assert_eq!((seen.len(), error), (1, Some(ProtocolError::InvalidUtf8)));
        }
    }
}

#[test]
fn a_text_is_known_to_be_ascii() {
    for (last, ascii) in [("z", true), ("é", false)] {
        let text = "y".repeat(20_000) + last;
        let mut decoder = Decoder::new(DecoderOptions::default(), None);
        let mut head = vec![0x81, 126];
        head.extend_from_slice(&(text.len() as u16).to_be_bytes());
        let mut payload = text.clone().into_bytes();
        assert!(decoder.start_payload(&head, &mut payload, LONG));
        let event = decoder.advance_payload(0).unwrap().unwrap();
        assert_eq!(event.ascii, ascii);
        assert_eq!(event.payload, Payload::Owned(text.into_bytes()));
    }
}
