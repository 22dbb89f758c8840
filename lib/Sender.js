'use strict';

const { types } = require('util');

const PerMessageDeflate = require('./PerMessageDeflate');
const Queue = require('./Queue');
const { bound, whenTickEnds } = require('./context');
const { atExit, callLast, nextTick, once } = require('./environment');
const flags = require('./flags');
const native = require('./native');

const { CLOSE, FIN, MASK, PING, PONG, RSV1 } = flags;
const { HEAD_ROOM } = native;

/** The longest payload of a control frame, in bytes (RFC 6455, 5.5). */
const MAX_CONTROL = 125;

/** Payloads at least this long, in bytes, are compressed on another thread. */
const COMPRESS_ASYNC = 64 * 1024;

/** Turns messages into frames, and writes them to a socket. */
class Sender {
  /**
   * @param {stream.Writable} socket only its `write` is needed
   * @param {Object} [extensions] the extensions agreed on, by name
   */
  constructor(socket, extensions) {
    this.extensions = extensions || {};
    /** Called with an error that no callback takes. */
    this.onerror = null;
    /** Whether all that is sent waits for a message that is being compressed. */
    this.processing = false;
    /** The bytes of all that waits, before compression. */
    this.queuedBytes = 0;

    const extension = this.extensions[PerMessageDeflate.extensionName];
    this._encoder = extension
      ? new native.Encoder(extension.native, Number(extension.threshold) || 0)
      : new native.Encoder();
    this._mayCompress = extension !== undefined;
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
   * A frame for `data`, whatever was sent before it, as a list of Buffers.
   *
   * @param {*} data
   * @param {Object} options `opcode`, `fin`, `rsv1` and `mask`
   */
  static frame(data, { opcode, fin, rsv1, mask }) {
    const flags =
      (opcode & 0x0f) | (fin ? FIN : 0) | (rsv1 ? RSV1 : 0) | (mask ? MASK : 0);
    const target = behindHead(toBuffer(data));
    return [target.subarray(native.frame(target, flags))];
  }

  /**
   * Sends a message, or a fragment of one.
   *
   * @param {*} data
   * @param {Object} options `binary`, `compress`, `fin` and `mask`
   * @param {Function} [cb] called once the system has taken it, or with an error
   */
  send(data, options, cb) {
    this.post(data, flags.ofMessage(options), cb);
  }

  /** As `send`, with the options as flags. The data may be changed at once. */
  post(data, flags, cb) {
    if (cb) cb = bound(cb);
    if (typeof data !== 'string') data = toBuffer(data);
    if (this._socket === null) {
      this._fail(notSent(), cb);
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

  /** Sends a ping; `options` has `mask`. */
  ping(data, { mask }, cb) {
    this._control(PING, toBuffer(data), mask, cb);
  }

  /** Sends a pong; `options` has `mask`. */
  pong(data, { mask }, cb) {
    this._control(PONG, toBuffer(data), mask, cb);
  }

  /**
   * Sends a close frame.
   *
   * @param {Number} [code] 1000 by default
   * @param {String|Buffer} [reason] at most 123 bytes
   * @param {Boolean} [mask]
   * @param {Function} [cb]
   * @throws {Error} on a code that must not be sent, and a reason that is too long
   */
  close(code, reason, mask, cb) {
    this._control(CLOSE, closePayload(code, reason), mask, cb);
  }

  /** Writes a frame that is what it is told to be, whatever was sent before it. */
  frameAndSend(opcode, data, readOnly, fin, mask, rsv1, cb) {
    this.sendFrame(Sender.frame(data, { opcode, fin, mask, rsv1 }), cb);
  }

  /** Writes a frame that is a list of Buffers, of which nothing is kept. */
  sendFrame(list, cb) {
    this._write(Buffer.concat(list), cb);
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
    if (!this.processing) this._encoder.close();
    this._fail(notSent(), this._compressing);
    this._compressing = null;
    for (const { cb } of waiting) this._fail(notSent(), cb);
  }

  /** Whether the next fragment will be compressed. */
  _compresses(length, flags) {
    return this._mayCompress && this._encoder.compresses(length, flags);
  }

  get _mustWait() {
    return this.processing || this._queue.length > 0;
  }

  _control(opcode, data, mask, cb) {
    if (data.length > MAX_CONTROL) {
      throw new RangeError('The data size must not be greater than 125 bytes');
    }
    const target = behindHead(data);
    const flags = opcode | FIN | (mask ? MASK : 0);
    const frame = target.subarray(native.frame(target, flags));
    if (this._mustWait) {
      this._enqueue(frame.length, cb, () => this._write(frame, cb));
    } else {
      this._write(frame, cb);
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
    while (!this.processing && this._queue.length > 0) {
      const { bytes, run } = this._queue.shift();
      this.queuedBytes -= bytes;
      run();
    }
  }

  _message(data, length, flags, cb) {
    const isWhole = !this._isWithinMessage && (flags & FIN) !== 0;
    this._isWithinMessage = (flags & FIN) === 0;
    if (this._compresses(length, flags)) {
      this._compress(toBuffer(data), flags, cb);
      return;
    }
    const target = behindHead(data, length);
    // What does not depend on the encoder is done without it, in half the time.
    const start = isWhole
      ? native.frame(target, flags & ~RSV1)
      : this._encoder.frame(target, flags);
    this._write(target.subarray(start), cb);
  }

  _compress(data, flags, cb) {
    if (data.length < COMPRESS_ASYNC) {
      let frame;
      try {
        frame = this._encoder.compress(data, flags);
      } catch (error) {
        this._fail(error, cb);
        return;
      }
      this._write(frame, cb);
      return;
    }
    this.processing = true;
    this.queuedBytes += data.length;
    this._compressing = cb || noop;
    const come = (callback) => (value) => nextTick(() => callback(value));
    this._encoder.compressAsync(data, flags).then(
      come((compressed) => this._comeBack(compressed, data.length, cb)),
      come((error) => this._lose(error)),
    );
  }

  /** Takes what was compressed on another thread. */
  _comeBack(compressed, length, cb) {
    this._encoder.restore(compressed);
    this.processing = false;
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
  _lose(error) {
    this.processing = false;
    if (this._socket === null) return;
    this.abort();
    if (this.onerror) this.onerror(error);
  }

  _write(frame, cb) {
    const socket = this._socket;
    if (socket === null || socket.writable === false) {
      this._fail(notSent(), cb);
      return;
    }
    cork(socket);
    try {
      if (cb) socket.write(frame, this._calledBack(socket, cb));
      else socket.write(frame);
    } catch (error) {
      this._fail(error, cb);
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
      nextTick(cb, isSent ? null : notSent(error || socket.errored));
    };
    this._written.add(done);
    return done;
  }

  _fail(error, cb) {
    if (cb) nextTick(cb, error);
    else if (this.onerror && error.code !== NOT_SENT) this.onerror(error);
  }
}

const noop = () => {};

const NOT_SENT = 'ERR_OXWS_NOT_SENT';

/** The error for data that was still waiting when the connection ended. */
function notSent(cause) {
  const text = 'the connection ended before the data was sent';
  const error = cause ? new Error(text, { cause }) : new Error(text);
  error.code = NOT_SENT;
  return error;
}

/** Senders whose queue is to be drained on the next tick. */
const scheduled = once('scheduled', () => new Set());

/** Sockets that hold back what is written until the current tick ends. */
const corked = once('corked', () => new Set());

/** Has what is sent last before `process.exit()` go out as well. */
function sendOnExit() {
  once('sendOnExit', () => {
    atExit(() => {
      for (const sender of scheduled) sender._drain();
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

function flushAll() {
  for (const socket of corked) flush(socket);
}

/** Hands over what a socket holds back. */
function flush(socket) {
  if (corked.delete(socket)) callLast(() => socket.uncork());
}

/** A Buffer with `data` in it, and before that the room for a frame's head. */
function behindHead(data, length = data.length) {
  const target = Buffer.allocUnsafe(HEAD_ROOM + length);
  if (typeof data === 'string') target.utf8Write(data, HEAD_ROOM);
  else data.copy(target, HEAD_ROOM);
  return target;
}

/**
 * The bytes of whatever is sent; those of a Buffer or a view are not copied. What another
 * realm has made is binary data as well.
 */
function toBuffer(data) {
  if (Buffer.isBuffer(data)) return data;
  if (!data) return Buffer.alloc(0);
  if (ArrayBuffer.isView(data)) {
    return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  }
  return Buffer.from(typeof data === 'number' ? `${data}` : data);
}

/** Whether something is binary data, whichever realm has made it. */
function isBinary(data) {
  return (
    typeof data === 'object' &&
    (ArrayBuffer.isView(data) || types.isAnyArrayBuffer(data))
  );
}

/** The payload of a close frame (RFC 6455, 5.5.1). */
function closePayload(code = 1000, reason = '') {
  if (typeof code !== 'number' || !native.isValidCloseCode(code)) {
    throw new Error('first argument must be a valid error code number');
  }
  const isBytes = isBinary(reason);
  const text = isBytes ? toBuffer(reason) : Buffer.from(`${reason || ''}`);
  if (text.length > MAX_CONTROL - 2) {
    throw new RangeError('The message must not be greater than 123 bytes');
  }
  if (!native.isValidUTF8(text)) {
    throw new TypeError('The message must be valid UTF-8');
  }
  const payload = Buffer.alloc(2 + text.length);
  payload.writeUInt16BE(code, 0);
  text.copy(payload, 2);
  return payload;
}

Sender.closePayload = closePayload;
Sender.flush = flush;
Sender.isBinary = isBinary;
Sender.notSent = notSent;
Sender.toBuffer = toBuffer;

module.exports = Sender;
