'use strict';

// Frames to send (RFC 6455, 5.2). `flags` are those of `native.flag`: their low eight
// bits are the first byte of a head.

const { lend } = require('./lent');
const { controlPayload } = require('./payload');
const { MAX_SHORT, maskShort } = require('./short');
const native = require('../native');

const { MASK, OPCODE } = native.flag;
const { BINARY, CLOSE, PONG } = native.kind;

/** The length of a masking key, in bytes. */
const KEY = 4;

/** Returns the length, in bytes, of the head of a frame whose payload has `length` bytes. */
function headLength(length, flags) {
  const key = flags & MASK ? KEY : 0;
  if (length <= MAX_SHORT) return 2 + key;
  return (length < 65536 ? 4 : 10) + key;
}

/** Writes the head of a frame that is not masked to the beginning of `target`. */
function writeHead(target, length, flags) {
  target[0] = flags;
  if (length <= MAX_SHORT) {
    target[1] = length;
  } else if (length < 65536) {
    target[1] = 126;
    target[2] = length >> 8;
    target[3] = length;
  } else {
    target[1] = 127;
    target.writeUInt32BE(Math.floor(length / 2 ** 32), 2);
    target.writeUInt32BE(length % 2 ** 32, 6);
  }
}

/**
 * Returns a Buffer with a payload behind space for the head of its frame. If `isLent` is
 * true, its memory has to be given back.
 */
function behindHead(data, length, flags, isLent) {
  const at = headLength(length, flags);
  const size = at + length;
  const target = isLent ? lend(size) : Buffer.allocUnsafe(size);
  if (typeof data !== 'string') data.copy(target, at);
  // Only ASCII has as many bytes as UTF-16 code units.
  else if (data.length === length) target.latin1Write(data, at);
  else target.utf8Write(data, at);
  return target;
}

/**
 * Returns a frame with exactly these flags.
 *
 * @param {String|Buffer} data the payload
 * @param {Number} length its length in bytes
 * @param {Number} flags
 * @param {Buffer} [key] the masking key, four bytes; random by default
 * @param {Boolean} [isLent=false] see `behindHead`
 */
function frameOf(data, length, flags, key, isLent = false) {
  const target = behindHead(data, length, flags, isLent);
  if ((flags & MASK) === 0) writeHead(target, length, flags);
  else if (length <= MAX_SHORT && !key) maskShort(target, length, flags);
  else native.frame(target, target.length - length, flags, key);
  return target;
}

/**
 * As `frameOf`, for flags that a program has chosen.
 *
 * @throws {Error} if the opcode is reserved
 * @throws {RangeError} if the payload of a control frame is longer than 125 bytes
 */
function frame(data, flags, key) {
  const length = Buffer.byteLength(data);
  check(length, flags);
  return frameOf(data, length, flags, key);
}

/**
 * Returns the head of a frame whose payload is written separately and not masked.
 *
 * @throws {Error|RangeError} as `frame`
 */
function frameHead(length, flags) {
  check(length, flags);
  const head = Buffer.allocUnsafe(headLength(length, 0));
  writeHead(head, length, flags);
  return head;
}

/** Checks flags that a program has chosen. */
function check(length, flags) {
  const opcode = flags & OPCODE;
  const isControl = opcode >= CLOSE && opcode <= PONG;
  if (opcode > BINARY && !isControl) {
    throw new Error(`invalid opcode: ${opcode}`);
  }
  if (isControl) controlPayload(null, length);
}

module.exports = { behindHead, frame, frameHead, frameOf };
