'use strict';

const { types } = require('util');

const { toBuffer } = require('./buffer-util');
const { EMPTY_BUFFER } = require('./constants');
const { isBlob, isValidStatusCode } = require('./validation');
const { MAX_REASON, closePayload } = require('../codec/payload');

/** Converts data to be sent to a Buffer, unless it is a string or a Blob. */
function toPayload(data) {
  return typeof data === 'string' || isBlob(data) ? data : toBuffer(data);
}

/** Returns the length of a payload in bytes. */
function lengthOf(payload) {
  if (typeof payload === 'string') return Buffer.byteLength(payload);
  return isBlob(payload) ? payload.size : payload.length;
}

/**
 * Returns the payload of a close frame.
 *
 * @param {Number} [code] by default, the payload is empty
 * @param {String|Uint8Array} [reason] at most 123 bytes
 * @returns {Buffer}
 * @throws {TypeError} if the code must not be sent (RFC 6455, 7.4), or if the reason is
 *   neither a string nor a Uint8Array
 * @throws {RangeError} if the reason is too long
 */
function closing(code, reason) {
  if (code === undefined) return EMPTY_BUFFER;
  if (!isValidStatusCode(code)) {
    throw new TypeError('First argument must be a valid error code number');
  }
  return closePayload(code, reasonOf(reason));
}

function reasonOf(reason) {
  if (!reason?.length) return EMPTY_BUFFER;
  if (typeof reason !== 'string' && !types.isUint8Array(reason)) {
    throw new TypeError('Second argument must be a string or a Uint8Array');
  }
  const bytes = Buffer.from(reason);
  if (bytes.length > MAX_REASON) {
    throw new RangeError(
      `The message must not be greater than ${MAX_REASON} bytes`,
    );
  }
  return bytes;
}

module.exports = { closing, lengthOf, toPayload };
