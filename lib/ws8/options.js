'use strict';

// The options that clients and servers have in common.

const { CLOSE_TIMEOUT } = require('./constants');

const DEFAULTS = {
  allowSynchronousEvents: true,
  autoPong: true,
  closeTimeout: CLOSE_TIMEOUT, // Milliseconds.
  maxBufferedChunks: 256 * 1024,
  maxFragments: 16 * 1024,
  maxPayload: 100 * 1024 * 1024, // Bytes.
  maxPendingAutoPongs: 60,
  skipUTF8Validation: false,
};

/** Those of them that say how a connection receives: what `setSocket` is to know. */
function receiving({
  allowSynchronousEvents,
  maxBufferedChunks,
  maxFragments,
  maxPayload,
  skipUTF8Validation,
}) {
  return {
    allowSynchronousEvents,
    maxBufferedChunks,
    maxFragments,
    maxPayload,
    skipUTF8Validation,
  };
}

module.exports = { DEFAULTS, receiving };
