'use strict';

const Queue = require('../Queue');
const { bound } = require('../context');
const { callLast, nextTick } = require('../environment');

/**
 * Compresses or decompresses the payloads of one direction of a connection, one after the
 * other, on another thread.
 */
class Direction {
  /**
   * @param {Function} work `(data, fin)`, processes a payload and returns a promise
   * @param {Limiter} limiter limits the number of directions that work at a time
   */
  constructor(work, limiter) {
    this._work = work;
    this._limiter = limiter;
    /** The queued payloads. The first one is being processed or is next. */
    this._jobs = new Queue();
  }

  /**
   * Adds the next payload.
   *
   * @param {Uint8Array|String} data
   * @param {Boolean} fin whether the payload ends its message
   * @param {Function} callback called with an error, or with null and a Buffer
   */
  add(data, fin, callback) {
    this._jobs.push({ data, fin, callback: bound(callback) });
    if (this._jobs.length === 1) this._begin();
  }

  /** Calls all callbacks with an error. Nothing may be added afterwards. */
  close(error) {
    for (const { callback } of this._jobs.clear()) callLast(callback, error);
  }

  _begin() {
    this._limiter.add((done) => {
      if (this._isClosed) {
        done();
        return;
      }
      const { data, fin } = this._jobs.first;
      // On the next tick, so that the promise does not catch what a callback throws.
      const end = (...result) => {
        nextTick(() => {
          done();
          this._end(...result);
        });
      };
      new Promise((resolve) => resolve(this._work(data, fin))).then(
        (result) => end(null, result),
        end,
      );
    });
  }

  _end(error, result) {
    if (this._isClosed) return;
    const { callback } = this._jobs.shift();
    if (this._jobs.length > 0) this._begin();
    callback(error, result);
  }

  /** Whether `close` was called. A payload stays in the queue until it is processed. */
  get _isClosed() {
    return this._jobs.length === 0;
  }
}

module.exports = Direction;
