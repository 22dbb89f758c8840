'use strict';

// What there is once in an environment (a thread of Node.js with its globals), however
// often these modules are evaluated: test runners do so for each file, or more often.

const timers = require('timers');

const native = require('./native');

const kShared = Symbol.for('oxws.shared');

/** The functions of Node as they are now: test frameworks replace them for a while. */
exports.nextTick = process.nextTick;
exports.setImmediate = timers.setImmediate;
exports.setTimeout = timers.setTimeout;
exports.clearTimeout = timers.clearTimeout;

/** What belongs to the environment: the addon is loaded once, and has it. */
const shared = native[kShared] || share();

function share() {
  const made = { values: new Map(), atExit: new Set() };
  Object.defineProperty(native, kShared, { value: made });
  return made;
}

/** The environment's value of this name, which `make` makes when it is first needed. */
exports.once = function once(name, make) {
  if (!shared.values.has(name)) shared.values.set(name, make());
  return shared.values.get(name);
};

/** Calls back when the process exits. */
exports.atExit = function atExit(callback) {
  if (shared.atExit.size === 0) {
    process.on('exit', () => shared.atExit.forEach((each) => each()));
  }
  shared.atExit.add(callback);
};

/** Calls a function of the program; what it throws is thrown on the next tick. */
exports.callLast = function callLast(callback, ...args) {
  try {
    callback(...args);
  } catch (error) {
    exports.nextTick(() => {
      throw error;
    });
  }
};
