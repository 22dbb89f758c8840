'use strict';

// The errors of protocol violations: their messages and classes.

const { kStatusCode } = require('./constants');

/** The messages for violations within a frame, by name. */
const OF_A_FRAME = {
  WS_ERR_UNEXPECTED_RSV_2_3: () => 'RSV2 and RSV3 must be clear',
  WS_ERR_UNEXPECTED_RSV_1: () => 'RSV1 must be clear',
  WS_ERR_INVALID_OPCODE: (opcode) => `invalid opcode ${opcode}`,
  WS_ERR_EXPECTED_FIN: () => 'FIN must be set',
  WS_ERR_INVALID_CONTROL_PAYLOAD_LENGTH: (length) =>
    `invalid payload length ${length}`,
  WS_ERR_EXPECTED_MASK: () => 'MASK must be set',
  WS_ERR_UNEXPECTED_MASK: () => 'MASK must be clear',
  WS_ERR_INVALID_UTF8: () => 'invalid UTF-8 sequence',
  WS_ERR_INVALID_CLOSE_CODE: (code) => `invalid status code ${code}`,
};

/** The messages of the other violations, by name. */
const TEXTS = {
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: 'Max payload size exceeded',
  WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH:
    'Unsupported WebSocket frame: payload length > 2^53 - 1',
  WS_ERR_TOO_MANY_BUFFERED_PARTS: 'Too many message fragments',
  Z_DATA_ERROR: 'invalid compressed data',
};

/** The classes of errors that are not `RangeError`. */
const CLASSES = { WS_ERR_INVALID_UTF8: Error, Z_DATA_ERROR: Error };

/** Additional properties of errors, as zlib's errors have them. */
const FIELDS = { Z_DATA_ERROR: { errno: -3 } };

/**
 * Returns the error of a violation. Its `code` is the violation's name, and its property
 * `kStatusCode` is the close code.
 *
 * @param {Object} violation see `lib/codec/violations`
 * @param {Number} closeCode
 * @returns {Error|RangeError}
 */
function errorOf({ name, detail, cause }, closeCode) {
  if (cause !== null) return failed(name, cause, closeCode);
  const { [name]: Class = RangeError } = CLASSES;
  const text = OF_A_FRAME[name]
    ? `Invalid WebSocket frame: ${OF_A_FRAME[name](detail)}`
    : TEXTS[name];
  return marked(new Class(text), name, closeCode);
}

/** Returns the error for a failure that has another error as its cause. */
function failed(name, cause, closeCode) {
  return marked(new Error(cause.message, { cause }), name, closeCode);
}

/** Returns the error for a frame that arrives in more than `maxBufferedChunks` chunks. */
function tooManyChunks() {
  const error = new RangeError('Too many buffered chunks');
  return marked(error, 'WS_ERR_TOO_MANY_BUFFERED_PARTS', 1008);
}

function marked(error, code, closeCode) {
  return Object.assign(error, FIELDS[code], { code, [kStatusCode]: closeCode });
}

module.exports = { errorOf, tooManyChunks };
