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
    /** Set while the transport is to be looked at later. */
    this._isWaiting = false;
  }

  /**
   * Looks on the next tick. What was sent in this tick is flushed then, and the callbacks
   * of messages that are written come first.
   */
  lookSoon() {
    if (this._isWaiting) return;
    this._isWaiting = true;
    nextTick(() => this._look());
  }

  /** Looks no more: the transport has ended. */
  cancel() {
    this._transport = null;
  }

  _look() {
    const { _transport: transport } = this;
    if (transport === null) return;
    if (transport.isAwaited || transport.bufferedAmount > 0) {
      transport.write(EMPTY, (error) => {
        this._isWaiting = false;
        if (!error) this.lookSoon();
      });
    } else {
      this._isWaiting = false;
      transport.emptied();
    }
  }
}

module.exports = Drain;
