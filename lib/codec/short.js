'use strict';

// Messages in short frames, in JavaScript. A native call runs through much code, most of
// which is no longer in the processor's cache after the work that Node does for a chunk.
// For a few bytes that takes longer than to decode or to mask them here.

const { randomFillSync } = require('crypto');

const native = require('../native');

const { FIN } = native.flag;
const { BINARY, TEXT } = native.kind;

/** The maximum length of the payload of a short frame, in bytes. */
const MAX_SHORT = 125;

/** The lengths of the head and of the masking key, in bytes. */
const HEAD = 2;
const KEY = 4;

/** The bit of a head that says that the payload is masked. */
const MASKED = 0x80;

/** Random bytes for masking keys. Each is used once. */
const random = Buffer.alloc(1024);
let used = random.length;

/**
 * Decodes a message in a single short frame, which is not compressed, and unmasks it in
 * place. A text has to be ASCII.
 *
 * @param {Buffer} chunk
 * @param {Number} from the position of the frame
 * @param {Boolean} [masked] whether the frame has to be masked; by default it need not be
 * @returns {Number} the end of the frame; 0 if it is not such a message or not complete
 */
function decodeShort(chunk, from, masked) {
  const first = chunk[from];
  if (first !== (FIN | TEXT) && first !== (FIN | BINARY)) return 0;
  if (from + HEAD > chunk.length) return 0;
  const second = chunk[from + 1];
  const isMasked = second >= MASKED;
  const length = isMasked ? second - MASKED : second;
  if (length > MAX_SHORT) return 0;
  if (masked !== undefined && masked !== isMasked) return 0;
  const start = from + HEAD + (isMasked ? KEY : 0);
  const end = start + length;
  if (end > chunk.length) return 0;
  const bits = isMasked
    ? mask(chunk, start, end, from + HEAD)
    : bitsOf(chunk, start, end);
  if (first === (FIN | BINARY) || bits < 0x80) return end;
  if (isMasked) mask(chunk, start, end, from + HEAD);
  return 0;
}

/** Masks the payload of a short frame with a random key, and writes its head. */
function maskShort(target, length, flags) {
  if (used === random.length) {
    randomFillSync(random);
    used = 0;
  }
  target[0] = flags;
  target[1] = MASKED | length;
  for (let i = 0; i < KEY; i++) {
    target[HEAD + i] = random[used];
    random[used++] = 0;
  }
  mask(target, HEAD + KEY, target.length, HEAD);
}

/**
 * Masks or unmasks bytes with the key at `at`. Returns all bits that are set in any of the
 * resulting bytes.
 */
function mask(bytes, start, end, at) {
  const a = bytes[at];
  const b = bytes[at + 1];
  const c = bytes[at + 2];
  const d = bytes[at + 3];
  let bits = 0;
  let i = start;
  for (; i + 3 < end; i += 4) {
    bits |= bytes[i] ^= a;
    bits |= bytes[i + 1] ^= b;
    bits |= bytes[i + 2] ^= c;
    bits |= bytes[i + 3] ^= d;
  }
  if (i < end) bits |= bytes[i++] ^= a;
  if (i < end) bits |= bytes[i++] ^= b;
  if (i < end) bits |= bytes[i] ^= c;
  return bits;
}

/** Returns all bits that are set in any of these bytes. */
function bitsOf(bytes, start, end) {
  let bits = 0;
  for (let i = start; i < end; i++) bits |= bytes[i];
  return bits;
}

module.exports = { MAX_SHORT, decodeShort, maskShort };
