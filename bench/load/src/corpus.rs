//! The messages of a load. They differ, so that the loss, repetition or reordering of a
//! message is noticed.

use flate2::{Compress, Compression, FlushCompress};

use crate::frame;
use crate::plan::Plan;

/// The number of different messages, unless they are too long.
const MESSAGES: usize = 16;

/// The maximum total length of the different messages, in bytes.
const MAX_BYTES: usize = 2 << 20;

/// The minimum total length of the different messages if they are compressed, in bytes.
/// It is more than the window of a context, so that a context does not contain the
/// whole message.
const MIN_COMPRESSED: usize = 128 * 1024;

/// The minimum length of the frames that one call can write, in bytes.
const MIN_WIRE: usize = 64 * 1024;

/// The messages and their frames.
pub(crate) struct Corpus {
    pub(crate) opcode: u8,
    messages: Vec<Vec<u8>>,
    /// The frames of all messages in order, repeated.
    wire: Vec<u8>,
    /// Where each frame begins, and where the last one ends.
    starts: Vec<usize>,
}

impl Corpus {
    pub(crate) fn new(plan: &Plan) -> Self {
        let mut random = fastrand::Rng::with_seed(1);
        let size = plan.size.max(1);
        let count = match plan.deflate {
            None => (MAX_BYTES / size).clamp(2, MESSAGES),
            Some(_) => (MIN_COMPRESSED / size).max(MESSAGES),
        };
        let opcode = if plan.binary {
            frame::BINARY
        } else {
            frame::TEXT
        };
        let messages: Vec<Vec<u8>> = (0..count)
            .map(|_| {
                if plan.binary && plan.deflate.is_none() {
                    (0..plan.size).map(|_| random.u8(..)).collect()
                } else {
                    records(plan.size, &mut random)
                }
            })
            .collect();
        let payloads: Vec<Vec<u8>> = match plan.deflate {
            None => messages.clone(),
            // Each message is compressed on its own. A server with context takeover can
            // read that too.
            Some(_) => messages.iter().map(|message| deflated(message)).collect(),
        };
        let mut corpus = Self {
            opcode,
            messages,
            wire: Vec::new(),
            starts: vec![0],
        };
        for payload in &payloads {
            let key = (!plan.unmasked).then(|| random.u32(..).to_ne_bytes());
            let compressed = plan.deflate.is_some();
            frame::append(&mut corpus.wire, opcode, compressed, key, payload);
            corpus.starts.push(corpus.wire.len());
        }
        // All repetitions are the same, so that a frame can begin in one and end in another.
        let once = corpus.wire.clone();
        while corpus.wire.len() < MIN_WIRE || corpus.starts.len() <= 2 * count {
            let (len, ends) = (corpus.wire.len(), 1..=count);
            corpus.wire.extend_from_slice(&once);
            corpus
                .starts
                .extend(ends.map(|end| corpus.starts[end] + len).collect::<Vec<_>>());
        }
        corpus
    }

    /// Returns the message with this number. The messages repeat.
    pub(crate) fn message(&self, number: u64) -> &[u8] {
        &self.messages[(number % self.messages.len() as u64) as usize]
    }

    /// Returns the frames of at most `count` messages from this number on, and
    /// how many it is.
    pub(crate) fn frames(&self, number: u64, count: u64) -> (&[u8], u64) {
        let first = (number % self.messages.len() as u64) as usize;
        let last = (first as u64 + count).min(self.starts.len() as u64 - 1) as usize;
        let frames = &self.wire[self.starts[first]..self.starts[last]];
        (frames, (last - first) as u64)
    }

    /// Returns the length of the frame of this message, in bytes.
    pub(crate) fn frame_len(&self, number: u64) -> usize {
        self.frames(number, 1).0.len()
    }
}

/// Returns text as programs exchange it: records in JSON, with repeated words and
/// varying numbers.
fn records(size: usize, random: &mut fastrand::Rng) -> Vec<u8> {
    const WORDS: [&str; 16] = [
        "alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india",
        "juliett", "kilo", "lima", "mike", "november", "oscar", "papa",
    ];
    let mut text = String::new();
    while text.len() < size {
        let word = |random: &mut fastrand::Rng| WORDS[random.usize(..WORDS.len())];
        text += &format!(
            "{{\"id\":{},\"user\":\"{}-{}\",\"price\":{:.2},\"open\":{}}},",
            random.u32(..1_000_000),
            word(random),
            word(random),
            random.f64() * 1000.0,
            random.bool(),
        );
    }
    text.truncate(size);
    text.into_bytes()
}

/// Returns the payload of a compressed message (RFC 7692, 7.2.1).
fn deflated(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 64);
    Compress::new(Compression::default(), false)
        .compress_vec(message, &mut out, FlushCompress::Sync)
        .expect("memory is all that it needs");
    assert!(out.ends_with(&[0, 0, 0xff, 0xff]), "there was room for all");
    out.truncate(out.len() - 4);
    out
}

#[cfg(test)]
mod tests {
    use flate2::{Decompress, FlushDecompress};

    use super::*;

    #[test]
    fn a_frame_is_the_same_wherever_it_begins() {
        let plan = serde_json::json!({
            "scenario": "echo", "port": 0, "connections": 1, "size": 1000, "depth": 1,
            "binary": true, "warmUp": 0, "seconds": 0, "pid": 0,
            "deflate": null, "authority": null,
        });
        let corpus = Corpus::new(&serde_json::from_value(plan).expect("it is a plan"));
        for number in 0..MESSAGES as u64 {
            let (frames, count) = corpus.frames(number, 1000);
            let mut rest = frames;
            for next in number..number + count {
                let (frame, _) = corpus.frames(next, 1);
                assert_eq!(&rest[..frame.len()], frame);
                rest = &rest[frame.len()..];
            }
            assert!(rest.is_empty());
        }
    }

    #[test]
    fn what_is_compressed_can_be_read() {
        let mut random = fastrand::Rng::with_seed(1);
        for size in [64, 1024, 65_536] {
            for number in 0..20 {
                let message = records(size, &mut random);
                let mut payload = deflated(&message);
                payload.extend_from_slice(&[0, 0, 0xff, 0xff]);
                let mut back = Vec::with_capacity(size + 1024);
                Decompress::new(false)
                    .decompress_vec(&payload, &mut back, FlushDecompress::Sync)
                    .expect("it is valid");
                assert_eq!(back, message, "message {number} of {size}");
            }
        }
    }
}
