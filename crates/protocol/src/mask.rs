//! Masking of payloads: XOR with a four-byte key (RFC 6455, 5.3).

/// The number of bytes that are XORed at once. It is a multiple of the width of every
/// vector register, so that the compiler turns the loop below into vector instructions.
const BLOCK: usize = 64;

/// The number of bytes that are copied before they are masked, so that both passes find
/// them in the first-level cache.
const STRIDE: usize = 8 * 1024;

/// Masks or unmasks `data` in place.
///
/// `phase` is the position of `data` in the payload of its frame. Only its
/// remainder by 4 matters.
#[inline]
pub fn apply(data: &mut [u8], key: [u8; 4], phase: usize) {
    let key = rotate(key, phase);
    let mut wide = [0; BLOCK];
    for chunk in wide.chunks_exact_mut(4) {
        chunk.copy_from_slice(&key);
    }
    let mut blocks = data.chunks_exact_mut(BLOCK);
    for block in &mut blocks {
        for (byte, key) in block.iter_mut().zip(&wide) {
            *byte ^= key;
        }
    }
    let word = u64::from_ne_bytes([
        key[0], key[1], key[2], key[3], key[0], key[1], key[2], key[3],
    ]);
    let mut words = blocks.into_remainder().chunks_exact_mut(8);
    for bytes in &mut words {
        let value = u64::from_ne_bytes(bytes.try_into().expect("eight bytes")) ^ word;
        bytes.copy_from_slice(&value.to_ne_bytes());
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

/// Appends a masked copy of `data` to `out`.
pub fn extend(out: &mut Vec<u8>, data: &[u8], key: [u8; 4]) {
    out.reserve(data.len());
    // The length of every stride but the last is a multiple of 4, so each starts at phase 0.
    for stride in data.chunks(STRIDE) {
        let start = out.len();
        out.extend_from_slice(stride);
        apply(&mut out[start..], key, 0);
    }
}

/// Writes a masked copy of `data` to `target`.
///
/// # Panics
///
/// If the lengths differ.
pub fn copy(target: &mut [u8], data: &[u8], key: [u8; 4]) {
    assert_eq!(target.len(), data.len());
    for (target, stride) in target.chunks_mut(STRIDE).zip(data.chunks(STRIDE)) {
        target.copy_from_slice(stride);
        apply(target, key, 0);
    }
}

/// Returns the key rotated to start at position `phase` of the payload.
fn rotate(key: [u8; 4], phase: usize) -> [u8; 4] {
    u32::from_le_bytes(key)
        .rotate_right(8 * (phase % 4) as u32)
        .to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytewise(data: &mut [u8], key: [u8; 4], phase: usize) {
        for (i, byte) in data.iter_mut().enumerate() {
            *byte ^= key[(i + phase) % 4];
        }
    }

    #[test]
    fn equals_a_byte_loop_at_every_alignment_length_and_phase() {
        let source: Vec<u8> = (0..600).map(|i| (i * 7 + i / 256) as u8).collect();
        let key = [0x12, 0x34, 0x56, 0x78];
        for start in 0..64 {
            for len in (0..140).chain([191, 255, 256, 257, 500]) {
                for phase in [0, 1, 2, 3, 4, 4097, usize::MAX] {
                    let mut wide = source.clone();
                    let mut narrow = source.clone();
                    apply(&mut wide[start..start + len], key, phase);
                    bytewise(&mut narrow[start..start + len], key, phase % 4);
                    assert_eq!(wide, narrow, "start {start} len {len} phase {phase}");
                }
            }
        }
    }

    #[test]
    fn copies_leave_the_source_alone() {
        let key = [1, 2, 3, 255];
        for len in [0, 1, 5, STRIDE - 1, STRIDE, STRIDE + 3, 3 * STRIDE + 5] {
            let source: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let mut expected = source.clone();
            bytewise(&mut expected, key, 0);

            let mut appended = vec![9, 9, 9];
            extend(&mut appended, &source, key);
            assert_eq!(appended[3..], expected);

            let mut target = vec![0; len];
            copy(&mut target, &source, key);
            assert_eq!(target, expected);
        }
    }
}
