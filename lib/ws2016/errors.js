'use strict';

/** The error for data that was still waiting when the connection ended. */
function notSent(cause) {
  const text = 'the connection ended before the data was sent';
  const error = cause ? new Error(text, { cause }) : new Error(text);
  error.code = 'ERR_OXWS_NOT_SENT';
  return error;
}

module.exports = { notSent };
