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

/** Whether a property of a resource is the store of an AsyncLocalStorage. */
function isStore(key) {
  return key.description === 'kResourceStore';
}

/**
 * A context that several connections share. Without context frames, a listener that calls
 * `AsyncLocalStorage#enterWith` sets a property of the current resource, where other
 * connections would find the store. So the resource is a Proxy, which knows whether
 * properties differ from those that it was created with.
 */
class SharedContext {
  constructor() {
    this._resource = new Context('OXWS');
    this._own = Object.assign({}, this._resource);
    this._hasOwn = Object.getOwnPropertySymbols(this._own).some(
      (key) => isStore(key) && this._own[key] !== undefined,
    );
    this._changed = new Set();
    /** Set while the context has stores that a listener has entered. */
    this.isEntered = false;
    /** What Node has as the current resource. */
    this.resource = hasContextFrames
      ? this._resource
      : new Proxy(this._resource, {
          set: (resource, key, value) => {
            resource[key] = value;
            if (value === this._own[key]) this._changed.delete(key);
            else this._changed.add(key);
            this.isEntered = this._changed.size > 0;
            return true;
          },
        });
  }

  /** Whether the context has a store. */
  get hasStore() {
    return this.isEntered || this._hasOwn;
  }

  /** Calls a function in this context. Stores that it enters are left with it. */
  runInAsyncScope(callback, thisArg, ...args) {
    const wasEntered = this.isEntered;
    try {
      return this.resource.runInAsyncScope(callback, thisArg, ...args);
    } finally {
      if (this.isEntered && !wasEntered) this.leave();
    }
  }

  /** Leaves the stores that a listener has entered. */
  leave() {
    const { _own: own, _resource: resource } = this;
    for (const key of this._changed) {
      if (key in own) resource[key] = own[key];
      else delete resource[key];
    }
    this._changed.clear();
    this.isEntered = false;
  }

  /** As `leave`. Returns a new context with these stores. */
  handOver() {
    const context = this.resource.runInAsyncScope(
      () => new Context('OXWS.connection'),
    );
    this.leave();
    return context;
  }
}

/**
 * The context of code that belongs to no connection. It is created when this module is
 * loaded, usually at the start of the program. Created at the first connection, it
 * would capture that connection's context.
 */
const nobodys = once('context', () => new SharedContext());

/** The context in which those of connections are created. No other code runs in it. */
const origin = once('origin', () => new Context('OXWS'));

/**
 * Whether the current context may hold a store of an AsyncLocalStorage. Programs that
 * do not use AsyncLocalStorage do not pay for contexts.
 */
function hasStore() {
  if (hasContextFrames) return true;
  const resource = executionAsyncResource();
  if (resource === nobodys.resource) return nobodys.hasStore;
  return Object.getOwnPropertySymbols(resource).some(isStore);
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
