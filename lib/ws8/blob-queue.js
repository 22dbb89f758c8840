'use strict';

const { toBuffer } = require('./buffer-util');
const { lengthOf, toPayload } = require('./payload');
const { isBlob } = require('./validation');
const { controlPayload } = require('../codec/payload');
const { nextTick } = require('../environment');
const Queue = require('../Queue');

/** The message of the error when the connection ends while a Blob is read. */
const CLOSED = 'The socket was closed while the blob was being read';

/** Whether data has to be read asynchronously before it can be sent. */
function isWaitedFor(data) {
  return typeof data === 'object' && isBlob(data);
}

/**
 * A queue for a Blob that is sent and everything sent after it. A Blob is read
 * asynchronously, and the queue keeps the order.
 */
class BlobQueue {
  /**
   * @param {WebSocket} ws its property `_blobs` is this queue, and is set to null when
   *   the queue is empty
   * @param {Function} lost called with the error if a Blob cannot be read
   */
  constructor(ws, lost) {
    this._ws = ws;
    this._lost = lost;
    this._items = new Queue();
    this._isReading = false;
    /** The number of queued bytes. */
    this.bytes = 0;
  }

  /**
   * Adds data to the queue.
   *
   * @param {*} data
   * @param {Function} [cb] called with an error if the data is not sent
   * @param {Boolean} isControl whether the data is the payload of a control frame
   * @param {Function} send called with the payload to send it
   * @throws {RangeError} if the payload of a control frame is longer than 125 bytes
   */
  add(data, cb, isControl, send) {
    const payload = kept(data);
    const bytes = lengthOf(payload);
    if (isControl) controlPayload(payload, bytes);
    this.bytes += bytes;
    this._items.push({ bytes, cb, isControl, payload, send });
    this._drain();
  }

  /** Sends items up to the next Blob, and starts to read that. */
  _drain() {
    while (!this._isReading && this._items.length > 0) {
      const item = this._items.first;
      if (isWaitedFor(item.payload)) this._read(item);
      else this._send(item, item.payload);
    }
    if (this._items.length === 0 && this._ws._blobs === this) {
      this._ws._blobs = null;
    }
  }

  _send(item, payload) {
    this._items.shift();
    this.bytes -= item.bytes;
    const { isControl } = item;
    item.send(isControl ? toBuffer(payload) : payload);
  }

  _read(item) {
    this._isReading = true;
    const come = (callback) => (value) => {
      // On the next tick, so that an error thrown here is not an unhandled rejection.
      nextTick(() => {
        this._isReading = false;
        callback(value);
      });
    };
    item.payload.arrayBuffer().then(
      come((buffer) => {
        if (this._ws._transport.isDestroyed) {
          this.fail(new Error(CLOSED));
          return;
        }
        this._send(item, Buffer.from(buffer));
        this._drain();
      }),
      come((error) => {
        this.fail(error);
        this._lost(error);
      }),
    );
  }

  /** Calls all queued callbacks with an error, and empties the queue. */
  fail(error) {
    this.bytes = 0;
    for (const { cb } of this._items.clear()) {
      if (cb) nextTick(cb, error);
    }
    this._ws._blobs = null;
  }
}

/** Copies binary data, since the caller may reuse its memory while it is queued. */
function kept(data) {
  const payload = toPayload(data);
  return Buffer.isBuffer(payload) ? Buffer.from(payload) : payload;
}

module.exports = { BlobQueue, isWaitedFor };
