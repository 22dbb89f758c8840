'use strict';

// The options that clients and servers share.

const { CLOSE_TIMEOUT } = require('./constants');
const {
  HIGH_WATER_MARK,
  isHighWaterMark,
} = require('../transports/highWaterMark');

const DEFAULTS = {
  allowSynchronousEvents: true,
  autoPong: true,
  closeTimeout: CLOSE_TIMEOUT, // In milliseconds.
  highWaterMark: HIGH_WATER_MARK,
  maxBufferedChunks: 256 * 1024,
  maxFragments: 16 * 1024,
  maxPayload: 100 * 1024 * 1024, // In bytes.
  maxPendingAutoPongs: 60,
  skipUTF8Validation: false,
};

/** The names of the options for `WebSocket#setSocket`. */
const OF_CONNECTIONS = [
  'allowSynchronousEvents',
  'highWaterMark',
  'maxBufferedChunks',
  'maxFragments',
  'maxPayload',
  'skipUTF8Validation',
];

/**
 * Checks the options that clients and servers share.
 *
 * @throws {RangeError} if `highWaterMark` is neither left out nor an integer of at least 0
 */
function check({ highWaterMark }) {
  if (!isHighWaterMark(highWaterMark)) {
    throw new RangeError(
      'The "highWaterMark" option must be an integer of at least 0',
    );
  }
}

/**
 * The last result of `connectionOptions`. Connections with the same options share one
 * object.
 */
let last = chosenFrom({});

/** Returns the options for `WebSocket#setSocket`. */
function connectionOptions(options) {
  if (OF_CONNECTIONS.some((name) => last[name] !== options[name])) {
    last = chosenFrom(options);
  }
  return last;
}

function chosenFrom(options) {
  const entries = OF_CONNECTIONS.map((name) => [name, options[name]]);
  return Object.freeze(Object.fromEntries(entries));
}

module.exports = { DEFAULTS, check, connectionOptions };
