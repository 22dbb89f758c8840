'use strict';

const { types } = require('util');

const { EMPTY_BUFFER } = require('./constants');

/** Concatenates a list of Buffers. A single Buffer is returned without copying. */
function concat(list) {
  if (list.length === 0) return EMPTY_BUFFER;
  return list.length === 1 ? list[0] : Buffer.concat(list);
}

/**
 * Returns an ArrayBuffer with exactly the bytes of a Buffer: its own if it has no other
 * bytes, otherwise a copy.
 */
function toArrayBuffer({ buffer, byteOffset, byteLength }) {
  if (byteLength === buffer.byteLength) return buffer;
  return buffer.slice(byteOffset, byteOffset + byteLength);
}

/**
 * Converts data to a Buffer. Afterwards, `toBuffer.readOnly` is whether the Buffer shares
 * the memory of `data`, so that it must not be modified.
 *
 * @param {*} data a Buffer, a view, or any value that `Buffer.from` accepts
 * @returns {Buffer}
 * @throws {TypeError} if the data cannot be converted
 */
function toBuffer(data) {
  const isView = ArrayBuffer.isView(data);
  toBuffer.readOnly = isView || types.isAnyArrayBuffer(data);
  if (!isView) return Buffer.from(data);
  if (Buffer.isBuffer(data)) return data;
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}

module.exports = { concat, toArrayBuffer, toBuffer };
