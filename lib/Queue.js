'use strict';

/**
 * The array is trimmed at its front when at least this many items were shifted and they
 * make up more than half of it. An array that has grown this long is not reused.
 */
const MANY = 1024;

/** Shared by all queues that have not been pushed to, so that these need no array. */
const NOTHING = Object.freeze([]);

/** A first-in, first-out queue. `shift` rarely moves the remaining items. */
class Queue {
  constructor() {
    this._items = NOTHING;
    this._head = 0;
  }

  get length() {
    return this._items.length - this._head;
  }

  /** The first item, or `undefined` if the queue is empty. */
  get first() {
    return this._items[this._head];
  }

  push(item) {
    if (this._items === NOTHING) this._items = [];
    this._items.push(item);
  }

  shift() {
    const item = this._items[this._head];
    this._items[this._head++] = undefined;
    if (this._head === this._items.length) {
      // Reuse the array unless it has grown large.
      if (this._head >= MANY) this._items = NOTHING;
      else this._items.length = 0;
      this._head = 0;
    } else if (this._head >= MANY && 2 * this._head > this._items.length) {
      this._items = this._items.slice(this._head);
      this._head = 0;
    }
    return item;
  }

  /** Empties the queue. Returns its items as an array. */
  clear() {
    const items = this._items.slice(this._head);
    this._items = NOTHING;
    this._head = 0;
    return items;
  }
}

module.exports = Queue;
