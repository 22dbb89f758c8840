'use strict';

/**
 * The default of the option `highWaterMark`, in bytes: when more than this is queued, a
 * program should wait for 'drain'.
 */
const HIGH_WATER_MARK = 64 * 1024;

/** Whether a value is valid for the option. `undefined` and `null` stand for the default. */
function isHighWaterMark(value) {
  if (value === undefined || value === null) return true;
  return Number.isSafeInteger(value) && value >= 0;
}

/** Returns the option, or the default if it is left out. */
function highWaterMarkOf({ highWaterMark }) {
  return Number.isSafeInteger(highWaterMark) ? highWaterMark : HIGH_WATER_MARK;
}

module.exports = { HIGH_WATER_MARK, highWaterMarkOf, isHighWaterMark };
