'use strict';

const { constants } = require('buffer');

/** The name and the close code of the violation that a message cannot be had. */
const TOO_LONG = 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH';
const TOO_BIG = 1009;

/** The most fragments that the native side counts. */
const UNLIMITED = 2 ** 32 - 1;

/**
 * The limits of a connection's decoder, as the native side has them.
 *
 * @param {Object} options
 * @param {Number} [options.maxPayload] the longest message, in bytes; 0 for no limit
 * @param {Number} [options.maxFragments] the most fragments of a message; 0 for the
 *   native side's default
 * @param {Boolean} [options.masked] whether frames have to be masked (`true`) or must
 *   not be (`false`); either is taken by default
 * @param {Boolean} [options.validates=true] whether texts have to be UTF-8
 * @param {Boolean} [options.keepsEnds=false] whether it is told where the fragments of a
 *   message end
 */
function limitsFor(options) {
  const { maxPayload, maxFragments, masked } = options;
  const { validates = true, keepsEnds = false } = options;
  return {
    maxPayload: toLimit(maxPayload),
    // What no string and no Buffer can hold is too long, whatever the limit.
    maxText: constants.MAX_STRING_LENGTH,
    maxBinary: constants.MAX_LENGTH,
    maxFragments: Math.min(toLimit(maxFragments), UNLIMITED),
    masked,
    validates,
    keepsEnds,
  };
}

/** A limit; 0, for none, of anything that is no number. */
function toLimit(value) {
  return value > 0 ? Math.floor(value) : 0;
}

/** A number of fragments, of which 0 and less stand for no limit. */
function orUnlimited(value) {
  return value > 0 ? value : UNLIMITED;
}

module.exports = { TOO_BIG, TOO_LONG, limitsFor, orUnlimited, toLimit };
