'use strict';

const Queue = require('../Queue');
const { bound } = require('../context');

/** The callbacks of the messages that a connection is sending, in order. */
class Callbacks {
  constructor() {
    this._queue = new Queue();
    /** The number of callbacks that were taken. */
    this.taken = 0;
    /** The number of all callbacks up to the last message that is compressed. */
    this._lastCompressed = 0;
  }

  get length() {
    return this._queue.length;
  }

  /** Adds a callback, bound to the current asynchronous context. */
  add(cb, isCompressed) {
    this._queue.push(bound(cb));
    if (isCompressed) this._lastCompressed = this.taken + this._queue.length;
  }

  /** Takes the next callback. */
  take() {
    this.taken++;
    return this._queue.shift();
  }

  /** Whether the next message is compressed or waits for one that is. */
  get isCompressing() {
    return this.taken < this._lastCompressed;
  }
}

module.exports = Callbacks;
