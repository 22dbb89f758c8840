'use strict';

const Queue = require('../Queue');

/** Has no more than a number of jobs run at a time; the others wait their turn. */
class Limiter {
  /** @param {Number} [concurrency] the number; no limit if it is none, or not above 0 */
  constructor(concurrency) {
    this.concurrency = concurrency > 0 ? concurrency : Infinity;
    /** The jobs that wait. */
    this.jobs = new Queue();
    /** How many run. */
    this.pending = 0;
    this._isStarting = false;
  }

  /** @param {Function} job it calls its argument, once, when it is done */
  add(job) {
    this.jobs.push(job);
    this._start();
  }

  /** Starts what may run. Jobs that are done at once do not pile up on the stack. */
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
