'use strict';

// The options that clients and servers share.

const { CLOSE_TIMEOUT } = require('./constants');

const DEFAULTS = {
  allowSynchronousEvents: true,
  autoPong: true,
  closeTimeout: CLOSE_TIMEOUT, // In milliseconds.
  maxBufferedChunks: 256 * 1024,
  maxFragments: 16 * 1024,
  maxPayload: 100 * 1024 * 1024, // In bytes.
  maxPendingAutoPongs: 60,
  skipUTF8Validation: false,
};

/** Returns the options for `WebSocket#setSocket`: those that concern receiving. */
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
