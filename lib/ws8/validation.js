'use strict';

const native = require('../native');
const { hasBlob } = require('./constants');

/** Whether a close frame may carry this code (RFC 6455, 7.4). */
function isValidStatusCode(code) {
  return typeof code === 'number' && native.isValidCloseCode(code);
}

/** Whether a value is a Blob or a File, from any realm or implementation. */
function isBlob(value) {
  return (
    hasBlob &&
    typeof value === 'object' &&
    value !== null &&
    ['Blob', 'File'].includes(value[Symbol.toStringTag]) &&
    typeof value.type === 'string' &&
    typeof value.arrayBuffer === 'function' &&
    typeof value.stream === 'function'
  );
}

module.exports = {
  isBlob,
  isValidStatusCode,
  /** Whether a Buffer is valid UTF-8. */
  isValidUTF8: native.isValidUTF8,
};
