'use strict';

const {
  MAX_REASON,
  bytesOf,
  closePayload,
  isBinary,
  isValidCloseCode,
  isValidUTF8,
} = require('../codec/payload');

const { EMPTY } = require('../codec/payload');

/**
 * The bytes of whatever is sent; those of a Buffer or a view are not copied. What another
 * realm has made is binary data as well.
 */
function toBuffer(data) {
  if (!data) return EMPTY;
  if (Buffer.isBuffer(data) || ArrayBuffer.isView(data)) return bytesOf(data);
  return Buffer.from(typeof data === 'number' ? `${data}` : data);
}

/**
 * The payload of a close frame.
 *
 * @param {Number} [code] 1000 by default
 * @param {String|Buffer} [reason] at most 123 bytes
 * @throws {Error} on a code that must not be sent, and a reason that is too long or is
 *   not UTF-8
 */
function closing(code = 1000, reason = '') {
  if (typeof code !== 'number' || !isValidCloseCode(code)) {
    throw new Error('first argument must be a valid error code number');
  }
  const text = isBinary(reason)
    ? toBuffer(reason)
    : Buffer.from(`${reason || ''}`);
  if (text.length > MAX_REASON) {
    throw new RangeError(
      `The message must not be greater than ${MAX_REASON} bytes`,
    );
  }
  if (!isValidUTF8(text)) {
    throw new TypeError('The message must be valid UTF-8');
  }
  return closePayload(code, text);
}

module.exports = { closing, isBinary, toBuffer };
