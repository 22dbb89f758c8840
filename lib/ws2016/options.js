'use strict';

const { isHighWaterMark } = require('../transports/highWaterMark');

/**
 * Checks the options that clients and servers share.
 *
 * @throws {RangeError} if `highWaterMark` is neither left out nor an integer of at least 0
 */
function check({ highWaterMark }) {
  if (!isHighWaterMark(highWaterMark)) {
    throw new RangeError('highWaterMark must be an integer of at least 0');
  }
}

module.exports = { check };
