'use strict';

const { constants } = require('buffer');

/**
 * The name and the close code of the violation that is reported when the string or
 * Buffer of a message cannot be created.
 */
const TOO_LONG = 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH';
const TOO_BIG = 1009;

/** The largest value of `maxFragments` that the native side accepts. */
const UNLIMITED = 2 ** 32 - 1;

/**
 * Returns the limits of a connection's decoder in the form that the native side takes.
 *
 * @param {Object} options
 * @param {Number} [options.maxPayload=0] the maximum length of a message in bytes; 0
 *   for no limit
 * @param {Number} [options.maxFragments=0] the maximum number of fragments of a
 *   message; 0 for the native side's default, 1,048,576
 * @param {Boolean} [options.masked] `true` if frames have to be masked, `false` if they
 *   must not be masked; by default both are accepted
 * @param {Boolean} [options.validates=true] whether text has to be valid UTF-8
 * @param {Boolean} [options.keepsEnds=false] whether the decoder records where the
 *   fragments of each message end
 */
function limitsFor(options) {
  const { maxPayload, maxFragments, masked } = options;
  const { validates = true, keepsEnds = false } = options;
  return {
    maxPayload: toLimit(maxPayload),
    // No string and no Buffer can be longer, even with `maxPayload` 0.
    maxText: constants.MAX_STRING_LENGTH,
    maxBinary: constants.MAX_LENGTH,
    maxFragments: Math.min(toLimit(maxFragments), UNLIMITED),
    masked,
    validates,
    keepsEnds,
  };
}

/** Converts a value to an integer limit; 0 (no limit) unless it is above 0. */
function toLimit(value) {
  return value > 0 ? Math.floor(value) : 0;
}

/** Returns a number of fragments, where 0 and negative values mean no limit. */
function orUnlimited(value) {
  return value > 0 ? value : UNLIMITED;
}

module.exports = { TOO_BIG, TOO_LONG, limitsFor, orUnlimited, toLimit };
