'use strict';

const native = require('../native');

/** The names of the violations of the protocol, by their numbers. */
const names = native.violations();

/** What goes wrong through no fault of the other end. */
const INTERNAL = 'ERR_OXWS_INTERNAL';

/**
 * A violation of the protocol, as transports tell it: each API makes an error of it.
 *
 * @param {Number} number which one
 * @param {Number} detail the number in question, an opcode say; 0 where there is none
 */
function violation(number, detail) {
  return { name: names[number], detail, cause: null };
}

/** The same of something that has thrown. */
function failure(name, cause) {
  return { name, detail: 0, cause };
}

module.exports = { INTERNAL, failure, violation };
