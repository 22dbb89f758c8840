//! Frame heads: the 2 to 14 bytes before a payload (RFC 6455, 5.2).

/// The maximum length of a head, in bytes: two bytes, a 64-bit length, a masking key.
pub const MAX_HEAD_LEN: usize = 14;

/// The maximum length of a control frame's payload, in bytes (RFC 6455, 5.5).
pub const MAX_CONTROL_LEN: usize = 125;

/// The opcode of a frame (RFC 6455, 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// A further fragment of a message.
    Continuation = 0x0,
    /// A text message, or its first fragment.
    Text = 0x1,
    /// A binary message, or its first fragment.
    Binary = 0x2,
    /// A close frame.
    Close = 0x8,
    /// A ping.
    Ping = 0x9,
    /// A pong.
    Pong = 0xa,
}

/// The first two bytes of a frame, not yet validated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start(pub [u8; 2]);

impl Start {
    /// Returns whether this is the last frame of its message.
    #[inline]
    pub const fn fin(self) -> bool {
        self.0[0] & 0x80 != 0
    }

    /// Returns whether RSV1 is set, which permessage-deflate uses (RFC 7692, 6).
    #[inline]
    pub const fn rsv1(self) -> bool {
        self.0[0] & 0x40 != 0
    }

    /// Returns whether RSV2 or RSV3 is set.
    #[inline]
    pub const fn rsv23(self) -> bool {
        self.0[0] & 0x30 != 0
    }

    /// Returns the opcode. It may be one that RFC 6455 does not define.
    #[inline]
    pub const fn opcode(self) -> u8 {
        self.0[0] & 0x0f
    }

    /// Returns whether the payload is masked.
    #[inline]
    pub const fn masked(self) -> bool {
        self.0[1] & 0x80 != 0
    }

    /// Returns the payload's length, or 126 or 127 if a longer length field follows.
    #[inline]
    pub const fn len7(self) -> u8 {
        self.0[1] & 0x7f
    }

    /// Returns the length of the whole head, in bytes.
    #[inline]
    pub const fn head_len(self) -> usize {
        let length = match self.len7() {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        2 + length + if self.masked() { 4 } else { 0 }
    }

    /// Returns the payload's length, in bytes, and its masking key. `head` is the whole head.
    ///
    /// # Panics
    ///
    /// If `head` is shorter than [`head_len`](Self::head_len).
    #[inline]
    pub fn length_and_key(self, head: &[u8]) -> (u64, Option<[u8; 4]>) {
        let (len, rest) = match self.len7() {
            126 => (
                u64::from(u16::from_be_bytes([head[2], head[3]])),
                &head[4..],
            ),
            127 => (
                u64::from_be_bytes(head[2..10].try_into().expect("eight bytes")),
                &head[10..],
            ),
            len => (u64::from(len), &head[2..]),
        };
        let key = self.masked().then(|| [rest[0], rest[1], rest[2], rest[3]]);
        (len, key)
    }
}

/// The head of a frame to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHead {
    /// Whether this is the last frame of its message.
    pub fin: bool,
    /// Whether this is the first frame of a compressed message.
    pub rsv1: bool,
    /// The opcode of the frame.
    pub opcode: Opcode,
    /// The length of the payload, in bytes.
    pub len: usize,
    /// The masking key, if the payload is masked.
    pub mask: Option<[u8; 4]>,
}

impl FrameHead {
    /// Writes the head to the beginning of `out`, and returns its length in bytes.
    #[inline]
    pub fn write(&self, out: &mut [u8; MAX_HEAD_LEN]) -> usize {
        let masked = u8::from(self.mask.is_some()) << 7;
        out[0] = u8::from(self.fin) << 7 | u8::from(self.rsv1) << 6 | self.opcode as u8;
        let mut end = if self.len < 126 {
            out[1] = masked | self.len as u8;
            2
        } else if self.len <= usize::from(u16::MAX) {
            out[1] = masked | 126;
            out[2..4].copy_from_slice(&(self.len as u16).to_be_bytes());
            4
        } else {
            out[1] = masked | 127;
            out[2..10].copy_from_slice(&(self.len as u64).to_be_bytes());
            10
        };
        if let Some(key) = self.mask {
            out[end..end + 4].copy_from_slice(&key);
            end += 4;
        }
        end
    }

    /// Appends the head to `out`.
    #[inline]
    pub fn append(&self, out: &mut Vec<u8>) {
        let mut head = [0; MAX_HEAD_LEN];
        let len = self.write(&mut head);
        out.extend_from_slice(&head[..len]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_head_reads_back() {
        for len in [0, 1, 125, 126, 127, 65_535, 65_536, 1 << 40] {
            for mask in [None, Some([1, 2, 3, 4])] {
                for (fin, rsv1) in [(true, false), (false, true), (true, true)] {
                    let head = FrameHead {
                        fin,
                        rsv1,
                        opcode: Opcode::Binary,
                        len,
                        mask,
                    };
                    let mut bytes = [0; MAX_HEAD_LEN];
                    let written = head.write(&mut bytes);
                    let start = Start([bytes[0], bytes[1]]);
                    assert_eq!(start.head_len(), written);
                    assert_eq!((start.fin(), start.rsv1()), (fin, rsv1));
                    assert!(!start.rsv23());
                    assert_eq!(start.opcode(), 2);
                    assert_eq!(
                        start.length_and_key(&bytes[..written]),
                        (len as u64, mask),
                        "the shortest length field is used, and the key follows it"
                    );
                    let expected = match len {
                        0..=125 => 2,
                        126..=65_535 => 4,
                        _ => 10,
                    };
                    assert_eq!(written, expected + mask.map_or(0, |key| key.len()));
                }
            }
        }
    }
}
