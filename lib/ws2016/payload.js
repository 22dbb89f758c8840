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
 * Converts any value that can be sent to a Buffer. The memory of a Buffer or a view is
 * not copied. Views and ArrayBuffers of other realms are binary data, too.
 */
function toBuffer(data) {
  if (!data) return EMPTY;
  if (Buffer.isBuffer(data) || ArrayBuffer.isView(data)) return bytesOf(data);
  return Buffer.from(typeof data === 'number' ? `${data}` : data);
}

/**
 * Returns the payload of a close frame.
 *
 * @param {Number} [code=1000]
 * @param {String|Buffer} [reason=''] at most 123 bytes of UTF-8
 * @throws {Error} if the code must not be sent (RFC 6455, 7.4)
 * @throws {RangeError} if the reason is too long
 * @throws {TypeError} if the reason is not valid UTF-8
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
