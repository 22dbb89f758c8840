'use strict';

const native = require('../native');

/** The names of all protocol violations; the index is the violation's number. */
const names = native.violations();

/** The name of an internal failure, which the other end did not cause. */
const INTERNAL = 'ERR_OXWS_INTERNAL';

/**
 * Describes a protocol violation, as transports report it. Each API creates its own
 * error from this.
 *
 * @param {Number} number the index in `names`
 * @param {Number} detail the offending opcode, payload length or close code; 0 for
 *   other violations
 */
function violation(number, detail) {
  return { name: names[number], detail, cause: null };
}

/**
 * Describes a failure by the error that was thrown, in the same form.
 *
 * @param {String} name
 * @param {Error} cause
 */
function failure(name, cause) {
  return { name, detail: 0, cause };
}

module.exports = { INTERNAL, failure, violation };
