'use strict';

const Queue = require('../Queue');
const { nextTick, setImmediate } = require('../environment');

/**
 * Where the events of a connection pass on their way to its listeners, in order. Both
 * transports have one, and so the same rules:
 *
 * - While it is shut (`pause`), what is received waits for `resume`; so does the end of
 *   what the other end sends, if something waits before it.
 * - That the connection has failed is nothing received: it waits for no `resume`, and
 *   what does is dropped.
 * - `drop` ends a pause for good: nobody can resume a connection that is closing. What is
 *   received from then on is dropped, but for what ends the connection.
 * - A listener that throws stops nothing but itself.
 * - The promises of listeners are settled before the end is told.
 * - Stepwise, each event has a turn of the loop for itself.
 * - Where ends end pauses, what ends the connection and is received while it is shut is
 *   told without `resume`, and all that waits before it.
 */
class Gate {
  /**
   * @param {Object} source what has the events. Each of its methods is called with what
   *   was given to `hold`: `tell`; `dropped`, if it is not told; `isLast`, whether it ends the
   *   connection, or begins its end. And `goOn`, when nothing waits any more
   * @param {AsyncResource} context what waited is told in it, and not in that of who
   *   resumes
   * @param {Object} [options] `isStepwise`, `endsEndPauses`
   */
  constructor(source, context, options) {
    const { endsEndPauses = false, isStepwise = false } = options;
    this._source = source;
    this._context = context;
    this._held = new Queue();
    this._isPaused = false;
    this._drops = false;
    this._isDraining = false;
    this.isStepwise = isStepwise;
    this._endsEndPauses = endsEndPauses;
    /** Whether events have to wait: `hold` them. The usual case asks this only. */
    this.isShut = isStepwise;
  }

  get isPaused() {
    return this._isPaused;
  }

  /** Whether something waits. */
  get holds() {
    return this._held.length > 0;
  }

  /** Whether more may be received now. */
  get isClear() {
    return !this._isPaused && !this._isDraining && !this.holds;
  }

  pause() {
    if (this._drops) return;
    this._isPaused = true;
    this.isShut = true;
  }

  /** Goes on where `pause` stopped, on the next tick. */
  resume() {
    if (!this._isPaused) return;
    this._isPaused = false;
    this._drainSoon(this._soon);
  }

  /** Has what comes wait for the next tick. */
  shut() {
    this.isShut = true;
    if (!this._isPaused) this._drainSoon(nextTick);
  }

  /** Takes an event that has to wait. */
  hold(...event) {
    if (this._drops && !this._source.isLast(...event)) {
      this._source.dropped(...event);
      return;
    }
    this.isShut = true;
    this._held.push(event);
    if (this._endsEndPauses && this._source.isLast(...event)) this.resume();
    if (!this._isPaused) this._drainSoon(this._soon);
  }

  /** When the next event may be told. */
  get _soon() {
    return this.isStepwise ? setImmediate : nextTick;
  }

  /** Takes the event that ends the connection, behind all that was received. */
  end(...event) {
    if (this.isShut && this.holds) this.hold(...event);
    else this._tellInContext(event);
  }

  _tellInContext(event) {
    const { _source: source } = this;
    this._context.runInAsyncScope(source.tell, source, ...event);
  }

  /** Takes the event that the connection has failed. */
  fail(...event) {
    if (this._isPaused) this._held.clear();
    this.end(...event);
  }

  /** Drops what is and will be received, if it is paused. */
  drop() {
    if (!this._isPaused) return;
    this._drops = true;
    for (const event of this._held.clear()) this.hold(...event);
    this.resume();
  }

  /** Forgets what waits. */
  clear() {
    this._held.clear();
    this._isPaused = false;
    this._drops = true;
  }

  _drainSoon(soon) {
    if (this._isDraining) return;
    this._isDraining = true;
    soon(() => this._context.runInAsyncScope(this._drain, this));
  }

  _drain() {
    this._isDraining = false;
    let isDone = false;
    try {
      this._tellHeld();
      isDone = true;
    } finally {
      if (this._isPaused) {
        // `resume` goes on.
      } else if (this.holds) {
        this._drainSoon(isDone ? setImmediate : this._soon);
      } else {
        this.isShut = this._drops || this.isStepwise;
        if (isDone) this._source.goOn();
        else this._drainSoon(nextTick);
      }
    }
  }

  /** Tells what waits: as much of it as goes together. */
  _tellHeld() {
    let told = false;
    while (this.holds && !this._isPaused) {
      const isAlone =
        this.isStepwise || this._source.isLast(...this._held.first);
      if (told && isAlone) return;
      told = true;
      this._source.tell(...this._held.shift());
    }
  }
}

module.exports = Gate;
