'use strict';

const Queue = require('../Queue');
const { bound } = require('../context');
const { callLast, nextTick } = require('../environment');

/**
 * The compression, or decompression, of what goes in one direction of a connection: one
 * payload after the other, on another thread.
 */
class Direction {
  /**
   * @param {Function} work `(data, fin)`, gives a promise of what a payload becomes
   * @param {Limiter} limiter how many directions may work at a time
   */
  constructor(work, limiter) {
    this._work = work;
    this._limiter = limiter;
    /** The payloads; the first is worked at, or has its turn next. */
    this._jobs = new Queue();
  }

  /**
   * Takes the next payload.
   *
   * @param {Uint8Array|String} data
   * @param {Boolean} fin whether it ends its message
   * @param {Function} callback called with an error, or with null and a Buffer
   */
  add(data, fin, callback) {
    this._jobs.push({ data, fin, callback: bound(callback) });
    if (this._jobs.length === 1) this._begin();
  }

  /** Fails all that is not done. Nothing may be added any more. */
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
      // Outside of the promise, which would catch what a callback throws.
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

  /** Whether `close` was called: a payload stays in the list until it is done. */
  get _isClosed() {
    return this._jobs.length === 0;
  }
}

module.exports = Direction;
