'use strict';

/** What is taken out is forgotten once it is so much, and most of what there is. */
const MANY = 1024;

/** First in, first out; unlike an array's, its `shift` seldom moves the rest. */
class Queue {
  constructor() {
    this.clear();
  }

  get length() {
    return this._items.length - this._head;
  }

  /** The first item. */
  get first() {
    return this._items[this._head];
  }

  push(item) {
    this._items.push(item);
  }

  shift() {
    const item = this._items[this._head];
    this._items[this._head++] = undefined;
    if (this._head === this._items.length) {
      this.clear();
    } else if (this._head >= MANY && 2 * this._head > this._items.length) {
      this._items = this._items.slice(this._head);
      this._head = 0;
    }
    return item;
  }

  /** Empties it, and gives what was in it. */
  clear() {
    const items = this._items ? this._items.slice(this._head) : [];
    this._items = [];
    this._head = 0;
    return items;
  }
}

module.exports = Queue;
