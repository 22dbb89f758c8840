'use strict';

const { toArrayBuffer } = require('./buffer-util');
const { cutAt } = require('../codec/payload');

/** What makes the data of a binary message, by the binary type. */
const MAKERS = {
  nodebuffer: (bytes) => bytes,
  arraybuffer: toArrayBuffer,
  blob: (bytes) => new Blob([bytes]),
  fragments,
};

/** The Buffers of the fragments, but for those that are empty. */
function fragments(bytes, ends) {
  const pieces = ends ? cutAt(bytes, ends) : [bytes];
  return pieces.filter(({ length }) => length > 0);
}

/**
 * The data of a binary message as it is to arrive.
 *
 * @param {String} type one of BINARY_TYPES
 * @param {Buffer} bytes
 * @param {Float64Array|Number} ends where its fragments end; 0 if there is one only
 * @returns {Buffer|ArrayBuffer|Blob|Buffer[]}
 */
function inBinaryType(type, bytes, ends) {
  return MAKERS[type](bytes, ends);
}

module.exports = inBinaryType;
