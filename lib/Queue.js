'use strict';

/** First in, first out; unlike an array's, its `shift` does not move the rest. */
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
    if (this._head === this._items.length) this.clear();
    return item;
  }

  /** Takes out the last `count` items. */
  takeLast(count) {
    return count === 0 ? [] : this._items.splice(-count);
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
