//! Heavy messages, decoded where nobody waits.

use std::collections::VecDeque;

use crate::{Decoded, Decoder, Event, Payload, ProtocolError};

/// A decoder within a heavy message, and input for it: on its way to another thread and
/// back.
#[derive(Debug)]
pub struct Heavy {
    decoder: Decoder,
    input: Vec<u8>,
    at: usize,
    events: VecDeque<(Event, u32)>,
    error: Option<ProtocolError>,
    wire: u32,
}

/// What a [`Heavy`] has come to.
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

impl Heavy {
    /// `input` may be empty, and `wire` bytes were received since the last event.
    pub fn new(decoder: Decoder, input: Vec<u8>, wire: u32) -> Self {
        Self {
            decoder,
            input,
            at: 0,
            events: VecDeque::new(),
            error: None,
            wire,
        }
    }

    /// Decodes as far as the heavy message goes.
    pub fn run(mut self) -> HeavyDone {
        while self.decoder.is_heavy() {
            let before = self.at;
            let result = self.decoder.next(&mut self.input, &mut self.at);
            let read = (self.at - before) as u32;
            self.wire = self.wire.saturating_add(read);
            match result {
                Ok(Decoded::Heavy) => {}
                Ok(Decoded::NeedsInput) => break,
                Ok(Decoded::Event(event)) => self.keep(event),
                Err(error) => self.error = Some(error),
            }
        }
        HeavyDone {
            decoder: self.decoder,
            rest: self.input.split_off(self.at),
            events: self.events,
            error: self.error,
            wire: self.wire,
        }
    }

    fn keep(&mut self, mut event: Event) {
        if let Payload::Input(range) = event.payload {
            event.payload = Payload::Owned(self.input[range].to_vec());
        }
        self.events
            .push_back((event, std::mem::take(&mut self.wire)));
    }
}
