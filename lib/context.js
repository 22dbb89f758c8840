'use strict';

// The asynchronous context of listeners and callbacks: what AsyncLocalStorage tells.

const { AsyncResource, executionAsyncResource } = require('async_hooks');

const { nextTick, once } = require('./environment');

/** Contexts are frames from this version of Node.js on: they cost little to enter. */
const FRAMES_SINCE = 24;

const hasContextFrames =
  Number(process.versions.node.split('.')[0]) >= FRAMES_SINCE;

/** A context to come back to. */
class Context extends AsyncResource {
  /** It does not keep the process alive, as tools that list open handles ask. */
  hasRef() {
    return false;
  }
}

/**
 * The context that is nobody's. It is made here, where programs begin, rather than at the
 * first connection.
 */
const nobodys = once('context', () => new Context('OXWS'));

/** Whether there is something to keep: programs without AsyncLocalStorage do not pay. */
function hasStore() {
  return (
    hasContextFrames ||
    Object.getOwnPropertySymbols(executionAsyncResource()).some(
      ({ description }) => description === 'kResourceStore',
    )
  );
}

/** The context of now; null where there is none to keep. */
function contextOfNow() {
  return hasStore() ? new Context('OXWS.connection') : null;
}

/** The callback, to be called in the context of now. */
function bound(cb) {
  if (!hasStore()) return cb;
  const context = new Context('OXWS.callback');
  return (...args) => context.runInAsyncScope(cb, null, ...args);
}

/** Runs `callback(arg)` when the tick ends, in nobody's context. */
function whenTickEnds(callback, arg) {
  if (hasStore()) nobodys.runInAsyncScope(nextTick, process, callback, arg);
  else nextTick(callback, arg);
}

module.exports = { bound, contextOfNow, nobodys, whenTickEnds };
