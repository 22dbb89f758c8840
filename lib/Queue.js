'use strict';

/** What is taken out is forgotten once it is so much, and most of what there is. */
const MANY = 1024;

/** What an empty queue has, which takes no memory. */
const NOTHING = Object.freeze([]);

/** First in, first out; unlike an array's, its `shift` seldom moves the rest. */
class Queue {
  constructor() {
    this._items = NOTHING;
    this._head = 0;
  }

  get length() {
    return this._items.length - this._head;
  }

  /** The first item. */
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
      // Its memory is used again, unless it is much.
      if (this._head >= MANY) this._items = NOTHING;
      else this._items.length = 0;
      this._head = 0;
    } else if (this._head >= MANY && 2 * this._head > this._items.length) {
      this._items = this._items.slice(this._head);
      this._head = 0;
    }
    return item;
  }

  /** Empties it, and gives what was in it. */
  clear() {
    const items = this._items.slice(this._head);
    this._items = NOTHING;
    this._head = 0;
    return items;
  }
}

module.exports = Queue;
