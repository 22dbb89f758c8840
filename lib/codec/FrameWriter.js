'use strict';

const Queue = require('../Queue');
const { bound, whenTickEnds } = require('../context');
const { atExit, callLast, nextTick, once } = require('../environment');
const native = require('../native');

const { flag, HEAD_ROOM } = native;

/** Payloads at least this long, in bytes, are compressed on another thread. */
const COMPRESS_ASYNC = 64 * 1024;

/** Turns messages into frames, and writes them to a stream. */
class FrameWriter {
  /**
   * @param {stream.Writable} socket only its `write` is needed
   * @param {Object} options
   * @param {Object} [options.deflate] where permessage-deflate is agreed on: `native`,
   *   and `threshold`, the least length of a message in bytes that is compressed
   * @param {Function} [options.maskKey] gives the masking key of each masked frame, four
   *   bytes; by default they are drawn from the system's generator
   * @param {Object} handler what is called: `notSent(cause, isCompressing)`, which makes
   *   the error for a callback whose data is not sent, and `lost(error)` where an error
   *   has no callback
   */
  constructor(socket, { deflate, maskKey }, handler) {
    this._handler = handler;
    /** Whether all that is sent waits for a message that is being compressed. */
    this.isCompressing = false;
    /** The bytes of all that waits, before compression. */
    this.queuedBytes = 0;

    /** The bytes of control frames' heads, as long as it is the same tick. */
    this._heads = 0;
    this._headsAt = -1;

    this._encoder = deflate
      ? new native.Encoder(deflate.native, deflate.threshold)
      : new native.Encoder();
    this._mayCompress = !!deflate;
    this._maskKey = maskKey || null;
    /** Whether fragments of a message are sent, and its last is not. */
    this._isWithinMessage = false;
    this._socket = socket;
    this._queue = new Queue();
    /** The callback of the message that is being compressed on another thread. */
    this._compressing = null;
    /** What the socket has to call. */
    this._written = new Set();
  }

  /**
   * Sends a message, or a fragment of one.
   *
   * @param {String|Buffer} data which may be changed at once
   * @param {Number} flags what its frame is to be: see `native.flag`
   * @param {Function} [cb] called once the system has taken it, or with an error
   */
  send(data, flags, cb) {
    if (cb) cb = bound(cb);
    if (this._socket === null) {
      this._fail(null, cb);
      return;
    }
    const length = Buffer.byteLength(data);
    if (this._mustWait || this._compresses(length, flags)) {
      // What waits is not the caller's, who may use the memory again.
      const kept = typeof data === 'string' ? data : Buffer.from(data);
      this._enqueue(length, cb, () => this._message(kept, length, flags, cb));
    } else {
      this._message(data, length, flags, cb);
    }
  }

  /** Sends a control frame; its payload is short enough. */
  control(payload, flags, cb) {
    if (cb) cb = bound(cb);
    const frame = this._frame(payload, payload.length, flags);
    this._countHead(frame.length - payload.length);
    this._writeInTurn(frame, cb);
  }

  _countHead(bytes) {
    if (this._headsAt !== ticks) {
      this._headsAt = ticks;
      this._heads = 0;
    }
    this._heads += bytes;
  }

  /**
   * The bytes of control frames' heads among what the socket holds back until the tick
   * ends: nobody has sent them as data.
   */
  get headBytes() {
    return this._headsAt === ticks && corked.has(this._socket)
      ? this._heads
      : 0;
  }

  /** Writes bytes as they are, in their place behind what is sent; they are kept. */
  write(bytes, cb) {
    if (cb) cb = bound(cb);
    this._writeInTurn(bytes, cb);
  }

  /** Calls back for what a socket that is destroyed has not. */
  settle() {
    for (const done of this._written) done();
  }

  /** Fails all that is not yet handed to the socket, and frees what is held. */
  abort() {
    const waiting = this._queue.clear();
    this.queuedBytes = 0;
    this._socket = null;
    // The thread that compresses has the encoder, which is closed when it comes back.
    if (!this.isCompressing) this._encoder.close();
    this._fail(null, this._compressing, true);
    this._compressing = null;
    // What waits does so for something that is to be compressed.
    for (const { cb } of waiting) this._fail(null, cb, true);
  }

  /** Whether the next fragment will be compressed. */
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
    const isWhole = !this._isWithinMessage && (flags & flag.FIN) !== 0;
    this._isWithinMessage = (flags & flag.FIN) === 0;
    if (this._compresses(length, flags)) {
      this._compress(
        typeof data === 'string' ? Buffer.from(data) : data,
        flags,
        cb,
      );
      return;
    }
    // What does not depend on the encoder is done without it, in half the time.
    const frame = isWhole
      ? this._frame(data, length, flags & ~flag.RSV1)
      : this._fragment(data, length, flags);
    this._write(frame, cb);
  }

  /** A frame that is what it is told to be, whatever was sent before it. */
  _frame(data, length, flags) {
    const target = behindHead(data, length);
    const start = native.frame(target, flags, this._key(flags));
    return target.subarray(start);
  }

  /** The frame of a fragment, or of a message behind fragments. */
  _fragment(data, length, flags) {
    const target = behindHead(data, length);
    const start = this._encoder.frame(target, flags, this._key(flags));
    return target.subarray(start);
  }

  /** The masking key of the next frame, where it is not drawn by the native side. */
  _key(flags) {
    const isGiven = this._maskKey !== null && (flags & flag.MASK) !== 0;
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
    this.isCompressing = true;
    this.queuedBytes += data.length;
    this._compressing = cb || noop;
    const come = (callback) => (value) => nextTick(() => callback(value));
    this._encoder.compressAsync(data, flags, key).then(
      come((compressed) => this._comeBack(compressed, data.length, cb)),
      come((error) => this._lose(error, null)),
    );
  }

  /** Takes what was compressed on another thread. */
  _comeBack(compressed, length, cb) {
    this._encoder.restore(compressed);
    this.isCompressing = false;
    if (this._socket === null) {
      // `abort` has called back.
      this._encoder.close();
      return;
    }
    this.queuedBytes -= length;
    this._compressing = null;
    this._write(compressed.takeFrame(), cb);
    this._drain();
  }

  /** The encoder is lost, and nothing can follow. */
  _lose(error, cb) {
    this.isCompressing = false;
    if (this._socket === null) return;
    if (cb) nextTick(cb, error);
    this.abort();
    this._handler.lost(error);
  }

  _write(frame, cb) {
    const socket = this._socket;
    if (socket === null || socket.writable === false) {
      this._fail(null, cb);
      return;
    }
    cork(socket);
    try {
      if (cb) socket.write(frame, this._calledBack(socket, cb));
      else socket.write(frame);
    } catch (error) {
      if (cb) nextTick(cb, error);
      else this._handler.lost(error);
    }
  }

  /**
   * What Node calls when the socket has taken something. The program's callback comes on
   * the next tick: what it throws must not reach Node's code, which has others to call.
   */
  _calledBack(socket, cb) {
    const done = (error) => {
      if (!this._written.delete(done)) return;
      // A socket that is destroyed calls back as if it had taken what it has dropped.
      const isSent = !error && !socket.destroyed;
      if (isSent) nextTick(cb, null);
      else this._fail(error || socket.errored, cb);
    };
    this._written.add(done);
    return done;
  }

  /** Calls back for what is not sent. */
  _fail(cause, cb, isCompressing = false) {
    if (cb) nextTick(cb, this._handler.notSent(cause, isCompressing));
  }
}

const noop = () => {};

/** Writers whose queue is to be drained on the next tick. */
const scheduled = once('scheduled', () => new Set());

/** Sockets that hold back what is written until the current tick ends. */
const corked = once('corked', () => new Set());

/** Has what is sent last before `process.exit()` go out as well. */
function sendOnExit() {
  once('sendOnExit', () => {
    atExit(() => {
      for (const writer of scheduled) writer._drain();
      flushAll();
    });
    return true;
  });
}

/** Lets one system call take all that is written to the socket in this tick. */
function cork(socket) {
  if (typeof socket.cork !== 'function' || corked.has(socket)) return;
  sendOnExit();
  socket.cork();
  if (corked.size === 0) whenTickEnds(flushAll);
  corked.add(socket);
}

/** Counts the ticks at whose end something was sent. */
let ticks = 0;

function flushAll() {
  ticks++;
  for (const socket of corked) flush(socket);
}

/** Hands over what a socket holds back. */
function flush(socket) {
  if (corked.delete(socket)) callLast(() => socket.uncork());
}

/** A Buffer with `data` in it, and before that the room for a frame's head. */
function behindHead(data, length) {
  const target = Buffer.allocUnsafe(HEAD_ROOM + length);
  if (typeof data === 'string') target.utf8Write(data, HEAD_ROOM);
  else data.copy(target, HEAD_ROOM);
  return target;
}

/**
 * A frame for `data`, whatever was sent before it.
 *
 * @param {String|Buffer} data
 * @param {Number} flags see `native.flag`
 * @param {Buffer} [key] the masking key; it is drawn by default
 */
function frame(data, flags, key) {
  const target = behindHead(data, Buffer.byteLength(data));
  return target.subarray(native.frame(target, flags, key));
}

/** The head of such a frame, whose payload follows by itself and is not masked. */
function frameHead(length, flags) {
  const target = Buffer.allocUnsafe(HEAD_ROOM);
  return target.subarray(0, native.frameHead(target, length, flags));
}

module.exports = { FrameWriter, flush, frame, frameHead };
