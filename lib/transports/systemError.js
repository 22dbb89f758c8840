'use strict';

const util = require('util');

/**
 * Returns the error of a system call, in the form of Node's own errors.
 *
 * @param {Number} number the errno of the system; 0 if the engine itself failed
 * @param {String} syscall `'read'` or `'write'`
 */
function systemError(number, syscall) {
  if (number === 0) {
    const error = new Error('the engine failed');
    return Object.assign(error, { code: 'ERR_OXWS_INTERNAL' });
  }
  const code = util.getSystemErrorName(-number);
  const error = new Error(`${syscall} ${code}`);
  return Object.assign(error, { errno: -number, code, syscall });
}

module.exports = systemError;
