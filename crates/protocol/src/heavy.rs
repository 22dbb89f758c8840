//! Heavy messages, decoded where nobody waits.

use std::collections::VecDeque;

use crate::{Decoded, Decoder, Event, Payload, ProtocolError};

/// What [`decode_heavy`] has come to.
#[derive(Debug)]
pub struct HeavyDone {
    /// The decoder, behind the message or in need of more input.
    pub decoder: Decoder,
    /// Input that is not read: it is behind the message.
    pub rest: Vec<u8>,
    /// Events, each with the bytes that were received since the one before it. Their
    /// payloads are their own.
    pub events: VecDeque<(Event, u32)>,
    /// The violation of the protocol that came behind the events.
    pub error: Option<ProtocolError>,
    /// Bytes received since the last event.
    pub wire: u32,
}

/// Decodes as far as the heavy message goes, which takes its time: on another thread.
///
/// `input` may be empty, and `wire` bytes were received since the last event.
pub fn decode_heavy(mut decoder: Decoder, mut input: Vec<u8>, mut wire: u32) -> HeavyDone {
    let mut at = 0;
    let mut events = VecDeque::new();
    let mut error = None;
    while decoder.is_heavy() {
        let before = at;
        let result = decoder.next(&mut input, &mut at);
        wire = wire.saturating_add((at - before) as u32);
        match result {
            Ok(Decoded::Heavy) => {}
            Ok(Decoded::NeedsInput) => break,
            Ok(Decoded::Event(mut event)) => {
                if let Payload::Input(range) = event.payload {
                    event.payload = Payload::Owned(input[range].to_vec());
                }
                events.push_back((event, std::mem::take(&mut wire)));
            }
            Err(violation) => error = Some(violation),
        }
    }
    HeavyDone {
        decoder,
        rest: input.split_off(at),
        events,
        error,
        wire,
    }
}
