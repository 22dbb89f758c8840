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

/** The names of the options for `WebSocket#setSocket`: those that concern receiving. */
const RECEIVING = [
  'allowSynchronousEvents',
  'maxBufferedChunks',
  'maxFragments',
  'maxPayload',
  'skipUTF8Validation',
];

/** The last result of `receiving`. Connections with the same options share one object. */
let last = receivingOf({});

/** Returns the options for `WebSocket#setSocket`. */
function receiving(options) {
  if (RECEIVING.some((name) => last[name] !== options[name])) {
    last = receivingOf(options);
  }
  return last;
}

function receivingOf(options) {
  const entries = RECEIVING.map((name) => [name, options[name]]);
  return Object.freeze(Object.fromEntries(entries));
}

module.exports = { DEFAULTS, receiving };
