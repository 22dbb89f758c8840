'use strict';

const { EMPTY } = require('../codec/payload');
const { nextTick } = require('../environment');

/**
 * Waits until everything that a connection has queued is written. A transport has a Drain
 * from when more than its high-water mark is queued until nothing is.
 */
class Drain {
  /**
   * @param {Object} transport
   * @param {Function} transport.write `(bytes, cb)`, writes bytes after all that was sent
   * @param {Number} transport.bufferedAmount the bytes sent but not yet written
   * @param {Boolean} transport.isAwaited whether callbacks of messages are still to come
   * @param {Function} transport.emptied called when everything is written
   */
  constructor(transport) {
    this._transport = transport;
    /** Set while a callback tells when what was sent so far is written. */
    this.isWaiting = false;
    this._onWritten = (error) => {
      this.isWaiting = false;
      // On the next tick: the callbacks of messages that are written come first.
      if (!error) nextTick(() => this._look());
    };
  }

  /** Waits until what was sent so far is written. */
  wait() {
    if (this.isWaiting) return;
    this.isWaiting = true;
    this._transport.write(EMPTY, this._onWritten);
  }

  /**
   * As `wait`, with the callback of the message that was sent last. Returns the callback to
   * use instead, which also calls `cb`, if given.
   */
  waitWith(cb) {
    this.isWaiting = true;
    if (!cb) return this._onWritten;
    return (error) => {
      try {
        cb(error);
      } finally {
        this._onWritten(error);
      }
    };
  }

  /** Waits no longer: the transport has ended. */
  cancel() {
    this._transport = null;
  }

  _look() {
    const { _transport: transport } = this;
    if (this.isWaiting || transport === null) return;
    if (transport.isAwaited || transport.bufferedAmount > 0) this.wait();
    else transport.emptied();
  }
}

module.exports = Drain;
