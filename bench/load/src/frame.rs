//! Frames (RFC 6455, 5.2), as far as a load needs them. This code is separate from that
//! of oxws, so that it also checks oxws.

pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const MASKED: u8 = 0x80;

/// The maximum length of a head, in bytes.
pub(crate) const MAX_HEAD: usize = 14;

/// The head of a frame.
#[derive(Clone, Copy)]
pub(crate) struct Head {
    pub(crate) fin: bool,
    pub(crate) compressed: bool,
    pub(crate) opcode: u8,
    pub(crate) key: Option<[u8; 4]>,
    /// The length of the payload, in bytes.
    pub(crate) len: usize,
    /// The length of the head itself, in bytes.
    pub(crate) size: usize,
}

impl Head {
    /// Parses a head. Returns `None` if more bytes are needed.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let [first, second, ..] = *bytes else {
            return None;
        };
        let (len, mut size) = match second & !MASKED {
            126 => (
                u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?).into(),
                4,
            ),
            127 => (u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?), 10),
            short => (short.into(), 2),
        };
        let mut key = None;
        if second & MASKED != 0 {
            key = Some(*bytes.get(size..)?.first_chunk()?);
            size += 4;
        }
        Some(Self {
            fin: first & FIN != 0,
            compressed: first & RSV1 != 0,
            opcode: first & 0xf,
            key,
            len: usize::try_from(len).ok()?,
            size,
        })
    }
}

pub(crate) fn append_head(
    out: &mut Vec<u8>,
    opcode: u8,
    compressed: bool,
    key: Option<[u8; 4]>,
    len: usize,
) {
    out.push(FIN | if compressed { RSV1 } else { 0 } | opcode);
    let masked = if key.is_some() { MASKED } else { 0 };
    match len {
        0..=125 => out.push(masked | len as u8),
        126..=0xffff => {
            out.push(masked | 126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            out.push(masked | 127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    if let Some(key) = key {
        out.extend_from_slice(&key);
    }
}

pub(crate) fn append(
    out: &mut Vec<u8>,
    opcode: u8,
    compressed: bool,
    key: Option<[u8; 4]>,
    payload: &[u8],
) {
    append_head(out, opcode, compressed, key, payload.len());
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(key) = key {
        xor(&mut out[start..], key);
    }
}

/// Masks or unmasks a whole payload (RFC 6455, 5.3).
pub(crate) fn xor(bytes: &mut [u8], key: [u8; 4]) {
    let wide = u64::from_ne_bytes([
        key[0], key[1], key[2], key[3], key[0], key[1], key[2], key[3],
    ]);
    let mut chunks = bytes.chunks_exact_mut(8);
    for chunk in &mut chunks {
        let word = u64::from_ne_bytes((&*chunk).try_into().expect("it is 8 bytes long"));
        chunk.copy_from_slice(&(word ^ wide).to_ne_bytes());
    }
    for (byte, key) in chunks.into_remainder().iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_as_they_are_written() {
        for len in [0, 5, 125, 126, 65_535, 65_536] {
            for key in [None, Some([1, 2, 3, 4])] {
                let mut frame = Vec::new();
                append(&mut frame, BINARY, true, key, &vec![7; len]);
                let head = Head::parse(&frame).expect("it is complete");
                assert_eq!((head.len, head.key, head.opcode), (len, key, BINARY));
                assert!(head.fin && head.compressed);
                assert_eq!(frame.len(), head.size + len);
                let mut payload = frame.split_off(head.size);
                for (at, byte) in payload.iter_mut().enumerate() {
                    *byte ^= key.unwrap_or_default()[at % 4];
                }
                assert_eq!(payload, vec![7; len]);
                assert!(Head::parse(&frame[..head.size - 1]).is_none());
            }
        }
    }
}
