'use strict';

const { cork, corkOf, flush, prepare } = require('./cork');
const { behindHead, frameOf } = require('./frame');
const { giveBack, mayLend } = require('./lent');
const Queue = require('../Queue');
const { bound, whenTickEnds } = require('../context');
const { atExit, nextTick, once } = require('../environment');
const native = require('../native');

const { FIN, MASK, RSV1 } = native.flag;

/** The minimum length, in bytes, of payloads that are compressed on another thread. */
const COMPRESS_ASYNC = 64 * 1024;

/** Encodes messages as frames and writes them to a stream. */
class FrameWriter {
  /**
   * @param {stream.Writable} socket only its `write` method is required
   * @param {Object} options
   * @param {Object} [options.deflate] present if permessage-deflate was negotiated:
   *   `native`, and `threshold`, the minimum length in bytes of messages that are
   *   compressed
   * @param {Function} [options.maskKey] returns the masking key of a frame, a Buffer of
   *   four bytes; by default the keys come from the system's random generator
   * @param {Object} handler receives these calls
   * @param {Function} handler.notSent `(cause, isCompressing)`, returns the error for the
   *   callback of data that is not sent
   * @param {Function} handler.lost `(error)`, called for an error that has no callback
   */
  constructor(socket, { deflate, maskKey }, handler) {
    this._handler = handler;
    /** Set while a message is compressed on another thread. All later data is queued. */
    this.isCompressing = false;
    /** The payload bytes of all queued data, before compression. */
    this.queuedBytes = 0;

    /** The bytes of the heads of control frames written during the cork `_headsIn`. */
    this._heads = 0;
    this._headsIn = 0;

    this._encoder = deflate
      ? new native.Encoder(deflate.native, deflate.threshold)
      : new native.Encoder();
    this._mayCompress = !!deflate;
    this._maskKey = maskKey || null;
    /** Set from the first fragment of a message until its last one. */
    this._isWithinMessage = false;
    this._socket = socket;
    this._queue = new Queue();
    /** The callback of the message that is being compressed on another thread. */
    this._compressing = null;
    /** The callbacks passed to `socket.write` and not called yet. */
    this._written = new Set();
    prepare(socket);
    drainAtExit();
  }

  /**
   * Sends a message, or a fragment of one.
   *
   * @param {String|Buffer} data is copied: its memory may be reused when this returns
   * @param {Number} flags see `native.flag`
   * @param {Function} [cb] called with null when the socket has written the data, or with
   *   an error
   */
  send(data, flags, cb) {
    if (cb) cb = bound(cb);
    if (this._socket === null) {
      this._fail(null, cb);
      return;
    }
    const length = Buffer.byteLength(data);
    if (this._mustWait || this._compresses(length, flags)) {
      // The caller may reuse the memory of `data` while it is queued.
      const kept = typeof data === 'string' ? data : Buffer.from(data);
      this._enqueue(length, cb, () => this._message(kept, length, flags, cb));
    } else {
      this._message(data, length, flags, cb);
    }
  }

  /**
   * Sends a PreparedMessage. All connections write the same Buffer.
   *
   * @param {PreparedMessage} message
   * @param {Number} flags see `native.flag`
   * @param {Function} [cb] as for `send`
   */
  sendPrepared(message, flags, cb) {
    if (cb) cb = bound(cb);
    const { length } = message;
    if (this._mustWait && this._socket !== null) {
      this._enqueue(length, cb, () => this._prepared(message, flags, cb));
    } else {
      this._prepared(message, flags, cb);
    }
  }

  /** Sends a control frame. The caller has checked that the payload is not too long. */
  control(payload, flags, cb) {
    if (cb) cb = bound(cb);
    const frame = this._frame(payload, payload.length, flags);
    this._writeInTurn(frame, cb);
    this._countHead(frame.length - payload.length);
  }

  _countHead(bytes) {
    if (this._socket === null) return;
    const number = corkOf(this._socket);
    if (this._headsIn !== number) {
      this._headsIn = number;
      this._heads = 0;
    }
    this._heads += bytes;
  }

  /**
   * The bytes of the heads of control frames that are corked. `bufferedAmount` does not
   * count them.
   */
  get headBytes() {
    if (this._socket === null) return 0;
    const number = corkOf(this._socket);
    return number !== 0 && number === this._headsIn ? this._heads : 0;
  }

  /** Writes raw bytes after all data that was sent before. The bytes are not copied. */
  write(bytes, cb) {
    if (cb) cb = bound(cb);
    this._writeInTurn(bytes, cb);
  }

  /** Whether callbacks of data passed to the socket are still to come. */
  get isAwaited() {
    return this._written.size > 0;
  }

  /** Calls the callbacks that a destroyed socket has not called. */
  settle() {
    for (const done of this._written) done();
  }

  /** Fails everything that is not yet written to the socket, and frees the encoder. */
  abort() {
    const waiting = this._queue.clear();
    this.queuedBytes = 0;
    this._socket = null;
    // Otherwise another thread may have the encoder: `_compressElsewhere` closes it.
    if (!this.isCompressing) this._encoder.close();
    this._fail(null, this._compressing, true);
    this._compressing = null;
    // Data is queued only if it, or data before it, has to be compressed.
    for (const { cb } of waiting) this._fail(null, cb, true);
  }

  /** Whether a message or fragment with this length and these flags is compressed. */
  _compresses(length, flags) {
    return this._mayCompress && this._encoder.compresses(length, flags);
  }

  get _mustWait() {
    return this.isCompressing || this._queue.length > 0;
  }

  _writeInTurn(bytes, cb) {
    if (this._mustWait && this._socket !== null) {
      this._enqueue(bytes.length, cb, () => this._write(bytes, cb));
    } else {
      this._write(bytes, cb);
    }
  }

  _enqueue(bytes, cb, run) {
    this.queuedBytes += bytes;
    this._queue.push({ bytes, cb, run });
    if (scheduled.has(this)) return;
    scheduled.add(this);
    whenTickEnds(() => {
      scheduled.delete(this);
      this._drain();
    });
  }

  _drain() {
    while (!this.isCompressing && this._queue.length > 0) {
      const { bytes, run } = this._queue.shift();
      this.queuedBytes -= bytes;
      run();
    }
  }

  _message(data, length, flags, cb) {
    const isWhole = !this._isWithinMessage && (flags & FIN) !== 0;
    this._isWithinMessage = (flags & FIN) === 0;
    if (this._compresses(length, flags)) {
      this._compress(
        typeof data === 'string' ? Buffer.from(data) : data,
        flags,
        cb,
      );
      return;
    }
    const isLent = mayLend(this._socket, length);
    // A whole message does not depend on the state of the encoder.
    const frame = isWhole
      ? this._frame(data, length, flags & ~RSV1, isLent)
      : this._fragment(data, length, flags, isLent);
    this._write(frame, cb, isLent);
  }

  _prepared(message, flags, cb) {
    if (this._socket === null) {
      this._fail(null, cb);
      return;
    }
    if (this._isWithinMessage) {
      this._message(message.data, message.length, flags, cb);
      return;
    }
    const { _native: prepared, length } = message;
    const window = this._mayCompress
      ? this._encoder.preparedWindow(prepared)
      : 0;
    const write = () => {
      if (window > 0) this._encoder.notePrepared(prepared);
      this._write(this._preparedFrame(message, window, flags), cb);
    };
    const isReady = window === 0 || prepared.isCompressed(window);
    if (isReady || length < COMPRESS_ASYNC) write();
    else {
      const compression = prepared.compressAsync(window);
      this._compressElsewhere(compression, length, cb, write);
    }
  }

  /** Returns the frame of a PreparedMessage, masked if the flags say so. */
  _preparedFrame(message, window, flags) {
    if ((flags & MASK) === 0) return message.frame(window);
    const payload = message._native.payload(window);
    const own = window > 0 ? flags | RSV1 : flags & ~RSV1;
    return this._frame(payload, payload.length, own);
  }

  /** Returns a frame with exactly these flags, independent of earlier frames. */
  _frame(data, length, flags, isLent) {
    return frameOf(data, length, flags, this._key(flags), isLent);
  }

  /** Returns the frame of a fragment. The encoder chooses the opcode. */
  _fragment(data, length, flags, isLent) {
    const target = behindHead(data, length, flags, isLent);
    const at = target.length - length;
    this._encoder.frame(target, at, flags, this._key(flags));
    return target;
  }

  /** Returns the key from `maskKey`; undefined if the native side generates the key. */
  _key(flags) {
    const isGiven = this._maskKey !== null && (flags & MASK) !== 0;
    return isGiven ? this._maskKey() : undefined;
  }

  _compress(data, flags, cb) {
    const key = this._key(flags);
    if (data.length < COMPRESS_ASYNC) {
      let frame;
      try {
        frame = this._encoder.compress(data, flags, key);
      } catch (error) {
        this._lose(error, cb);
        return;
      }
      this._write(frame, cb);
      return;
    }
    const compression = this._encoder.compressAsync(data, flags, key);
    const write = (compressed) => this._write(compressed.takeFrame(), cb);
    const restore = (compressed) => this._encoder.restore(compressed);
    this._compressElsewhere(compression, data.length, cb, write, restore);
  }

  /**
   * Waits for a message of `length` bytes that is compressed on another thread. All later
   * data is queued.
   *
   * @param {Promise} compression
   * @param {Number} length
   * @param {Function} [cb] the callback of the message
   * @param {Function} write called with the result
   * @param {Function} [restore] called with the result before anything else
   */
  _compressElsewhere(compression, length, cb, write, restore) {
    this.isCompressing = true;
    this.queuedBytes += length;
    this._compressing = cb || noop;
    const come = (callback) => (value) => nextTick(() => callback(value));
    compression.then(
      come((result) => {
        if (restore) restore(result);
        this.isCompressing = false;
        if (this._socket === null) {
          // `abort` has already called the callback.
          this._encoder.close();
          return;
        }
        this.queuedBytes -= length;
        this._compressing = null;
        write(result);
        this._drain();
      }),
      come((error) => this._lose(error, null)),
    );
  }

  /** Handles a failure of the encoder. Nothing can be sent after it. */
  _lose(error, cb) {
    this.isCompressing = false;
    if (this._socket === null) return;
    if (cb) nextTick(cb, error);
    this.abort();
    this._handler.lost(error);
  }

  /** Writes a frame. If `isLent` is true, its memory is given back after that. */
  _write(frame, cb, isLent = false) {
    const socket = this._socket;
    if (socket === null || socket.writable === false) {
      this._fail(null, cb);
      return;
    }
    cork(socket);
    try {
      if (cb || isLent) {
        const lent = isLent ? frame : null;
        socket.write(frame, this._calledBack(socket, cb, lent));
      } else {
        socket.write(frame);
      }
    } catch (error) {
      if (cb) nextTick(cb, error);
      else this._handler.lost(error);
    }
  }

  /**
   * Returns the callback to pass to `socket.write`. It calls `cb` on the next tick, so
   * that an error thrown by `cb` does not reach Node's stream code, which still has other
   * callbacks to call. It gives back the memory of `lent`, a Buffer or null.
   */
  _calledBack(socket, cb, lent) {
    const done = (error) => {
      if (!this._written.delete(done)) return;
      // A destroyed socket also calls back without an error for data that it discards.
      const isSent = !error && !socket.destroyed;
      if (isSent && lent !== null) giveBack(lent);
      if (!isSent) this._fail(error || socket.errored, cb);
      else if (cb) nextTick(cb, null);
    };
    this._written.add(done);
    return done;
  }

  /** Calls the callback of data that is not sent. */
  _fail(cause, cb, isCompressing = false) {
    if (cb) nextTick(cb, this._handler.notSent(cause, isCompressing));
  }
}

const noop = () => {};

/** The writers whose queues are drained at the end of the tick. */
const scheduled = once('scheduled', () => new Set());

/** Sends everything at `process.exit()`, when no tick ends any more. */
function drainAtExit() {
  once('drainAtExit', () => {
    atExit(() => {
      for (const writer of scheduled) {
        const { _socket: socket } = writer;
        writer._drain();
        if (socket !== null) flush(socket);
      }
    });
    return true;
  });
}

module.exports = FrameWriter;
