'use strict';

const { constants } = require('buffer');

/** The code and the close code of a message that cannot be had. */
const TOO_LONG = 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH';
const TOO_BIG = 1009;

/** The limits of the native side. */
function limitsFor(maxPayload, { maxFragments, masked }) {
  return {
    maxPayload,
    // What no string and no Buffer can hold is too long, whatever the limit.
    maxText: constants.MAX_STRING_LENGTH,
    maxBinary: constants.MAX_LENGTH,
    maxFragments: toLimit(maxFragments),
    masked,
  };
}

/** A limit; 0, for none, of anything that is no number. */
function toLimit(value) {
  return value > 0 ? Math.floor(value) : 0;
}

module.exports = { TOO_BIG, TOO_LONG, limitsFor, toLimit };
