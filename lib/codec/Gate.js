'use strict';

const Queue = require('../Queue');
const { nextTick, setImmediate } = require('../environment');

/**
 * Delivers the events of a connection in order, or queues them while it is shut. Both
 * transports use a gate, so that both follow the same rules:
 *
 * - While the gate is paused, received events are queued until `resume`. So is the end
 *   of the received data, if an event is queued before it.
 * - A failure of the connection does not wait for `resume`: during a pause, the queued
 *   events are dropped and the failure is delivered at once.
 * - `drop` ends a pause for good, since nobody can resume a closing connection. From
 *   then on all received events are dropped, except those that end the connection.
 * - A listener that throws does not prevent the delivery of later events.
 * - The promises of earlier listeners are settled before the end of the connection is
 *   delivered.
 * - If the gate is stepwise, each event is delivered in its own turn of the event loop.
 * - With `endsEndPauses`, an event that ends the connection and is received during a
 *   pause ends the pause: the events queued before it and the event itself are
 *   delivered without `resume`.
 */
class Gate {
  /**
   * @param {Object} source receives these calls. All but `goOn` have the arguments
   *   that were given to `hold`
   * @param {Function} source.tell delivers an event
   * @param {Function} source.dropped called for an event that is dropped
   * @param {Function} source.isLast whether an event ends the connection or starts its
   *   closing
   * @param {Function} source.endsPause whether an event ends a pause, with
   *   `endsEndPauses`
   * @param {Function} source.goOn called when the queue is empty and more may be
   *   received
   * @param {AsyncResource} context queued events are delivered in this context, not in
   *   that of the caller of `resume`
   * @param {Object} options
   * @param {Boolean} [options.isStepwise=false]
   * @param {Boolean} [options.endsEndPauses=false]
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
    /** When `pause` was called, in the terms of the source. */
    this.pausedIn = -1;
    this._endsEndPauses = endsEndPauses;
    /** Whether an event has to be passed to `hold` instead of being delivered. */
    this.isShut = isStepwise;
  }

  get isPaused() {
    return this._isPaused;
  }

  /** Whether events are queued. */
  get holds() {
    return this._held.length > 0;
  }

  /** Whether the source may read more now. */
  get isClear() {
    if (!this.isShut) return true;
    return !this._isPaused && !this._isDraining && !this.holds;
  }

  pause() {
    if (this._drops) return;
    this._isPaused = true;
    this.isShut = true;
  }

  /** Delivers the queued events, starting on the next tick. */
  resume() {
    if (!this._isPaused) return;
    this._isPaused = false;
    this._drainSoon(this._soon);
  }

  /** Has the following events be queued until the next tick. */
  shut() {
    this.isShut = true;
    if (!this._isPaused) this._drainSoon(nextTick);
  }

  /** Queues an event, or drops it after `drop`. */
  hold(...event) {
    if (this._drops && !this._source.isLast(...event)) {
      this._source.dropped(...event);
      return;
    }
    this.isShut = true;
    this._held.push(event);
    if (this._endsEndPauses && this._source.endsPause(...event)) this.resume();
    if (!this._isPaused) this._drainSoon(this._soon);
  }

  /** The function that schedules the delivery of the next event. */
  get _soon() {
    return this.isStepwise ? setImmediate : nextTick;
  }

  /** Delivers an event that ends the connection, after all queued events. */
  end(...event) {
    if (this.isShut && this.holds) this.hold(...event);
    else this._tellInContext(event);
  }

  _tellInContext(event) {
    const { _source: source } = this;
    this._context.runInAsyncScope(source.tell, source, ...event);
  }

  /**
   * Delivers a failure of the connection. If paused, drops the queued events first, unless
   * `endsEndPauses`.
   */
  fail(...event) {
    if (this._isPaused && !this._endsEndPauses) this._held.clear();
    this.end(...event);
  }

  /**
   * If paused, ends the pause for good: drops the queued and all later events, except
   * those that end the connection.
   */
  drop() {
    if (!this._isPaused) return;
    this._drops = true;
    for (const event of this._held.clear()) this.hold(...event);
    this.resume();
  }

  /** Discards the queued events, without calling `dropped`. */
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
        // `resume` continues the delivery.
      } else if (this.holds) {
        this._drainSoon(isDone ? setImmediate : this._soon);
      } else {
        this.isShut = !isDone || this._drops || this.isStepwise;
        if (isDone) this._source.goOn();
        else this._drainSoon(nextTick);
      }
    }
  }

  /**
   * Delivers queued events up to the next one that needs a turn of its own: any event
   * if stepwise, otherwise one that ends the connection.
   */
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
