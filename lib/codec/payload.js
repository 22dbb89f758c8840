'use strict';

const { types } = require('util');

const native = require('../native');

/** The one empty Buffer, used for all empty payloads. */
const EMPTY = Buffer.alloc(0);

const { MAX_CONTROL } = native;

/** The maximum length of a close frame's reason, in bytes. A 2-byte code precedes it. */
const MAX_REASON = MAX_CONTROL - 2;

/** Whether a value is an ArrayBuffer, a SharedArrayBuffer or a view, from any realm. */
function isBinary(data) {
  return (
    typeof data === 'object' &&
    (ArrayBuffer.isView(data) || types.isAnyArrayBuffer(data))
  );
}

/** Returns a Buffer over the memory of binary data, without copying it. */
function bytesOf(data) {
  if (Buffer.isBuffer(data)) return data;
  return ArrayBuffer.isView(data)
    ? Buffer.from(data.buffer, data.byteOffset, data.byteLength)
    : Buffer.from(data);
}

/**
 * Checks the length of a control frame's payload (RFC 6455, 5.5).
 *
 * @param {*} payload
 * @param {Number} [length=payload.length] its length in bytes
 * @returns {*} the payload
 * @throws {RangeError} if it is longer than 125 bytes
 */
function controlPayload(payload, length = payload.length) {
  if (length > MAX_CONTROL) {
    throw new RangeError('The data size must not be greater than 125 bytes');
  }
  return payload;
}

/**
 * Returns the payload of a close frame (RFC 6455, 5.5.1).
 *
 * @param {Number} code
 * @param {Uint8Array} reason
 */
function closePayload(code, reason) {
  const payload = Buffer.allocUnsafe(2 + reason.length);
  payload.writeUInt16BE(code, 0);
  payload.set(reason, 2);
  return payload;
}

/**
 * Splits the payload of a message into the payloads of its fragments, without copying.
 *
 * @param {Buffer} bytes
 * @param {Float64Array} ends the offsets at which the fragments end
 * @returns {Buffer[]}
 */
function cutAt(bytes, ends) {
  return Array.from(ends, (end, i) =>
    bytes.subarray(i === 0 ? 0 : ends[i - 1], end),
  );
}

/** Reads the offsets of fragment ends from a Buffer of the native side. */
function endsIn(bytes) {
  const { buffer, byteOffset, byteLength } = bytes;
  return new Float64Array(buffer.slice(byteOffset, byteOffset + byteLength));
}

module.exports = {
  EMPTY,
  MAX_CONTROL,
  MAX_REASON,
  bytesOf,
  closePayload,
  controlPayload,
  cutAt,
  endsIn,
  isBinary,
  isValidCloseCode: native.isValidCloseCode,
  isValidUTF8: native.isValidUTF8,
};
