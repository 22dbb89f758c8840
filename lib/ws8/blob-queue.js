'use strict';

const { toBuffer } = require('./buffer-util');
const { lengthOf, toPayload } = require('./payload');
const { isBlob } = require('./validation');
const { controlPayload } = require('../codec/payload');
const { nextTick } = require('../environment');
const Queue = require('../Queue');

/** The text of the error where the connection ends meanwhile. */
const CLOSED = 'The socket was closed while the blob was being read';

/** Whether something has to be read before it can be sent. */
function isWaitedFor(data) {
  return typeof data === 'object' && isBlob(data);
}

/**
 * What a connection sends from a Blob on: a Blob is read asynchronously, and what is sent
 * behind it keeps its place.
 */
class BlobQueue {
  /**
   * @param {WebSocket} ws whose `_blobs` it is until it is empty
   * @param {Function} lost called with the error of a Blob that cannot be read
   */
  constructor(ws, lost) {
    this._ws = ws;
    this._lost = lost;
    this._items = new Queue();
    this._isReading = false;
    /** The bytes of all that waits. */
    this.bytes = 0;
  }

  /**
   * Adds what is sent.
   *
   * @param {*} data
   * @param {Function} [cb] called with the error if it cannot be sent
   * @param {Boolean} isControl whether it is the payload of a control frame
   * @param {Function} send called with its bytes when it is its turn
   * @throws {RangeError} if it is too long for a control frame
   */
  add(data, cb, isControl, send) {
    const payload = kept(data);
    const bytes = lengthOf(payload);
    if (isControl) controlPayload(payload, bytes);
    this.bytes += bytes;
    this._items.push({ bytes, cb, isControl, payload, send });
    this._drain();
  }

  /** Sends what may be sent now. */
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
      // Not as a promise's own: what is thrown must not be a rejection.
      nextTick(() => {
        this._isReading = false;
        callback(value);
      });
    };
    item.payload.arrayBuffer().then(
      come((buffer) => {
        if (this._ws._socket.destroyed) {
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

  /** Calls back for all that waits with an error. */
  fail(error) {
    this.bytes = 0;
    for (const { cb } of this._items.clear()) {
      if (cb) nextTick(cb, error);
    }
    this._ws._blobs = null;
  }
}

/** What waits must not change when its sender uses the memory again. */
function kept(data) {
  const payload = toPayload(data);
  return Buffer.isBuffer(payload) ? Buffer.from(payload) : payload;
}

module.exports = { BlobQueue, isWaitedFor };
