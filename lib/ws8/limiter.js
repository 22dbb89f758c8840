'use strict';

const Queue = require('../Queue');

/** Limits the number of jobs that run at a time. Other jobs are queued. */
class Limiter {
  /** @param {Number} [concurrency=Infinity] the limit; no limit unless it is above 0 */
  constructor(concurrency) {
    this.concurrency = concurrency > 0 ? concurrency : Infinity;
    /** The queued jobs. */
    this.jobs = new Queue();
    /** The number of running jobs. */
    this.pending = 0;
    this._isStarting = false;
  }

  /** @param {Function} job called with a function, which it calls once when it is done */
  add(job) {
    this.jobs.push(job);
    this._start();
  }

  /**
   * Starts jobs up to the limit, in a loop: jobs that are done at once do not recurse.
   */
  _start() {
    if (this._isStarting) return;
    this._isStarting = true;
    try {
      while (this.jobs.length > 0 && this.pending < this.concurrency) {
        this.pending++;
        const job = this.jobs.shift();
        job(() => {
          this.pending--;
          this._start();
        });
      }
    } finally {
      this._isStarting = false;
    }
  }
}

module.exports = Limiter;
