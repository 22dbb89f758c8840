'use strict';

const { types } = require('util');

const native = require('../native');

/** No bytes. */
const EMPTY = Buffer.alloc(0);

const { MAX_CONTROL } = native;

/** The longest reason of a close frame, in bytes: its code takes two. */
const MAX_REASON = MAX_CONTROL - 2;

/** Whether something is binary data, whichever realm has made it. */
function isBinary(data) {
  return (
    typeof data === 'object' &&
    (ArrayBuffer.isView(data) || types.isAnyArrayBuffer(data))
  );
}

/** The bytes of binary data; they are not copied. */
function bytesOf(data) {
  if (Buffer.isBuffer(data)) return data;
  return ArrayBuffer.isView(data)
    ? Buffer.from(data.buffer, data.byteOffset, data.byteLength)
    : Buffer.from(data);
}

/**
 * The same payload as it may be in a control frame.
 *
 * @param {*} payload
 * @param {Number} [length] how many bytes it has
 * @throws {RangeError} if it is too long
 */
function controlPayload(payload, length = payload.length) {
  if (length > MAX_CONTROL) {
    throw new RangeError('The data size must not be greater than 125 bytes');
  }
  return payload;
}

/** The payload of a close frame with a code (RFC 6455, 5.5.1). */
function closePayload(code, reason) {
  const payload = Buffer.allocUnsafe(2 + reason.length);
  payload.writeUInt16BE(code, 0);
  payload.set(reason, 2);
  return payload;
}

/** The pieces of a message whose fragments end there. */
function cutAt(bytes, ends) {
  return Array.from(ends, (end, i) =>
    bytes.subarray(i === 0 ? 0 : ends[i - 1], end),
  );
}

/** Where fragments end, as the native side tells. */
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
