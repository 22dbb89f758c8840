'use strict';

// The errors of protocol violations: their messages and classes.

/** The message of each violation, by its name. */
const TEXTS = {
  WS_ERR_UNEXPECTED_RSV_2_3: () => 'RSV2 and RSV3 must be clear',
  WS_ERR_UNEXPECTED_RSV_1: () => 'RSV1 must be clear',
  WS_ERR_INVALID_OPCODE: (opcode) => `invalid opcode: ${opcode}`,
  WS_ERR_EXPECTED_FIN: () => 'FIN must be set',
  WS_ERR_INVALID_CONTROL_PAYLOAD_LENGTH: () => 'invalid payload length',
  WS_ERR_EXPECTED_MASK: () => 'MASK must be set',
  WS_ERR_UNEXPECTED_MASK: () => 'MASK must be clear',
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: () => 'max payload size exceeded',
  WS_ERR_TOO_MANY_BUFFERED_PARTS: () => 'too many message fragments',
  WS_ERR_INVALID_UTF8: () => 'invalid utf8 sequence',
  WS_ERR_INVALID_CLOSE_CODE: (code) => `invalid status code: ${code}`,
  Z_DATA_ERROR: () => 'invalid compressed data',
};

/** Violations that are reported under the name of another one. */
const OTHER_NAMES = {
  WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH: 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH',
};

/** The classes of errors that are not `Error`. */
const CLASSES = { WS_ERR_TOO_MANY_BUFFERED_PARTS: RangeError };

/** Returns the error of a violation. Its `code` is the violation's name. */
function errorOf({ name, detail, cause }) {
  const code = OTHER_NAMES[name] || name;
  const { [code]: Class = Error } = CLASSES;
  const text = cause === null ? TEXTS[code](detail) : cause.message;
  return Object.assign(new Class(text), { code });
}

module.exports = errorOf;
