'use strict';

const { toArrayBuffer } = require('./buffer-util');
const { cutAt } = require('../codec/payload');

/** The functions that convert a binary message, by binary type. */
const MAKERS = {
  nodebuffer: (bytes) => bytes,
  arraybuffer: toArrayBuffer,
  blob: (bytes) => new Blob([bytes]),
  fragments,
};

/** Returns the Buffers of the fragments that are not empty. */
function fragments(bytes, ends) {
  const pieces = ends ? cutAt(bytes, ends) : [bytes];
  return pieces.filter(({ length }) => length > 0);
}

/**
 * Converts a binary message to a binary type.
 *
 * @param {String} type one of BINARY_TYPES
 * @param {Buffer} bytes
 * @param {Float64Array|Number} ends the offsets at which the fragments end; 0 if the
 *   message has only one
 * @returns {Buffer|ArrayBuffer|Blob|Buffer[]}
 */
function inBinaryType(type, bytes, ends) {
  return MAKERS[type](bytes, ends);
}

module.exports = inBinaryType;
