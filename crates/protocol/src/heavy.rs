//! Decodes heavy messages on another thread.

use std::collections::VecDeque;

use crate::{Decoded, Decoder, Event, Payload, ProtocolError};

/// The result of [`decode_heavy`].
#[derive(Debug)]
pub struct HeavyDone {
    /// The decoder. It is past the heavy message, or needs more input.
    pub decoder: Decoder,
    /// The input after the heavy message, not yet decoded.
    pub rest: Vec<u8>,
    /// The events, each with the number of bytes that were received since the event
    /// before. No payload is in the input.
    pub events: VecDeque<(Event, u32)>,
    /// The violation of the protocol that follows the events, if any.
    pub error: Option<ProtocolError>,
    /// The number of bytes that were received since the last event.
    pub wire: u32,
}

/// Decodes a heavy message until it ends or needs more input. This takes long, so call
/// it on another thread.
///
/// `input` may be empty. `wire` is the number of bytes that were received since
/// the last event.
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
