'use strict';

// Values that exist once in an environment (a Node.js thread with its globals), even
// when these modules are evaluated several times, as test runners do for each test
// file.

const timers = require('timers');
const vm = require('vm');

const native = require('./native');

const kShared = Symbol.for('oxws.shared');

/** The state of the environment, stored on the addon, which is loaded only once. */
const shared = native[kShared] || share();

function share() {
  const made = { values: new Map(), atExit: new Set() };
  Object.defineProperty(native, kShared, { value: made });
  return made;
}

/**
 * Returns the environment's value with this name. `make` creates it at the first call.
 *
 * @param {String} name
 * @param {Function} make
 */
exports.once = function once(name, make) {
  if (!shared.values.has(name)) shared.values.set(name, make());
  return shared.values.get(name);
};

// Node's own functions, saved when oxws is first loaded. Test frameworks replace the
// globals with fake timers, and a send must not wait for a faked tick.
Object.assign(
  exports,
  exports.once('functions', () => ({
    nextTick: ownProcess().nextTick,
    setImmediate: timers.setImmediate,
    setTimeout: timers.setTimeout,
    clearTimeout: timers.clearTimeout,
  })),
);

/** Node's own `process`. Modules in jest have a copy, and its `nextTick` may be a fake. */
function ownProcess() {
  return vm.runInThisContext('globalThis.process') || process;
}

/** Adds a callback for the `'exit'` event of the process, with one listener for all. */
exports.atExit = function atExit(callback) {
  if (shared.atExit.size === 0) {
    process.on('exit', () => shared.atExit.forEach((each) => each()));
  }
  shared.atExit.add(callback);
};

/**
 * Calls a function of the user. An error that it throws is thrown again on the next
 * tick, so that it is an uncaught exception and does not stop the caller.
 */
exports.callLast = function callLast(callback, ...args) {
  try {
    callback(...args);
  } catch (error) {
    exports.nextTick(() => {
      throw error;
    });
  }
};
