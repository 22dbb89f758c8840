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
  const error = withoutStack(() => new Error(`${syscall} ${code}`));
  return Object.assign(error, { errno: -number, code, syscall });
}

/**
 * Creates an error without a stack trace. It would show only the engine's functions, and
 * takes longer than the rest of what happens when a connection is reset.
 */
function withoutStack(create) {
  const limit = Object.getOwnPropertyDescriptor(Error, 'stackTraceLimit');
  if (limit === undefined || !limit.writable) return create();
  Error.stackTraceLimit = 0;
  try {
    return create();
  } finally {
    Error.stackTraceLimit = limit.value;
  }
}

module.exports = systemError;
