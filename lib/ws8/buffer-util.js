'use strict';

const { types } = require('util');

const { EMPTY_BUFFER } = require('./constants');

/** The bytes of all Buffers of a list, without copying where there is one only. */
function concat(list) {
  if (list.length === 0) return EMPTY_BUFFER;
  return list.length === 1 ? list[0] : Buffer.concat(list);
}

/** The bytes of a Buffer as an ArrayBuffer that has no others. */
function toArrayBuffer({ buffer, byteOffset, byteLength }) {
  if (byteLength === buffer.byteLength) return buffer;
  return buffer.slice(byteOffset, byteOffset + byteLength);
}

/**
 * A Buffer of whatever `Buffer.from` takes. `toBuffer.readOnly` then tells whether its
 * memory is the caller's, and must not be written to.
 *
 * @param {*} data
 * @returns {Buffer}
 * @throws {TypeError} on what has no bytes
 */
function toBuffer(data) {
  const isView = ArrayBuffer.isView(data);
  toBuffer.readOnly = isView || types.isAnyArrayBuffer(data);
  if (!isView) return Buffer.from(data);
  if (Buffer.isBuffer(data)) return data;
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}

module.exports = { concat, toArrayBuffer, toBuffer };
