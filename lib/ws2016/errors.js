'use strict';

/**
 * Returns the error for the callback of data that was not sent when the connection ended.
 *
 * @param {Error} [cause] the error with which the connection failed
 */
function notSent(cause) {
  const text = 'the connection ended before the data was sent';
  const error = cause ? new Error(text, { cause }) : new Error(text);
  error.code = 'ERR_OXWS_NOT_SENT';
  return error;
}

module.exports = { notSent };
