'use strict';

// The asynchronous context that listeners and callbacks run in. It decides what
// `AsyncLocalStorage#getStore()` returns there.

const { AsyncResource, executionAsyncResource } = require('async_hooks');

const { nextTick, once } = require('./environment');

/**
 * The first major version of Node.js that keeps contexts in async context frames by
 * default. They are cheap to enter.
 */
const FRAMES_SINCE = 24;

const hasContextFrames =
  Number(process.versions.node.split('.')[0]) >= FRAMES_SINCE;

/** Saves the current asynchronous context. `runInAsyncScope` restores it. */
class Context extends AsyncResource {
  /**
   * Read by tools that list open handles, such as `jest --detectOpenHandles`. A context
   * does not keep the process alive.
   */
  hasRef() {
    return false;
  }
}

/**
 * The context of code that belongs to no connection. It is created when this module is
 * loaded, usually at the start of the program. Created at the first connection, it
 * would capture that connection's context.
 */
const nobodys = once('context', () => new Context('OXWS'));

/** The context in which those of connections are created. No other code runs in it. */
const origin = once('origin', () => new Context('OXWS'));

/**
 * Whether the current context may hold a store of an AsyncLocalStorage. Programs that
 * do not use AsyncLocalStorage do not pay for contexts.
 */
function hasStore() {
  return (
    hasContextFrames ||
    Object.getOwnPropertySymbols(executionAsyncResource()).some(
      ({ description }) => description === 'kResourceStore',
    )
  );
}

/** Saves the current context. Returns null if it has no store. */
function contextOfNow() {
  return hasStore() ? new Context('OXWS.connection') : null;
}

/**
 * Creates a context for the handshake of one connection. It must not be shared: a listener
 * may change its store with `AsyncLocalStorage#enterWith`.
 */
function newContext() {
  return origin.runInAsyncScope(() => new Context('OXWS.connection'));
}

/** Binds a callback to the current context. */
function bound(cb) {
  if (!hasStore()) return cb;
  const context = new Context('OXWS.callback');
  return (...args) => context.runInAsyncScope(cb, null, ...args);
}

/** Calls `callback(arg)` at the end of the tick, in the context `nobodys`. */
function whenTickEnds(callback, arg) {
  nobodys.runInAsyncScope(nextTick, process, callback, arg);
}

module.exports = { bound, contextOfNow, newContext, nobodys, whenTickEnds };
