'use strict';

const { promisify } = require('util');

const { NOOP } = require('./constants');
const { closing, lengthOf, toPayload } = require('./payload');
const PerMessageDeflate = require('./permessage-deflate');
const { isBlob } = require('./validation');
const Queue = require('../Queue');
const { frame, frameHead } = require('../codec/frame');
const { bytesOf, controlPayload } = require('../codec/payload');
const { bound } = require('../context');
const { callLast, nextTick } = require('../environment');
const { flag, kind } = require('../native');

const { FIN, MASK, OPCODE, RSV1 } = flag;
const { BINARY, CLOSE, PING, PONG, TEXT } = kind;

const CONTINUATION = 0;

/** Encodes messages as frames and writes them to a socket. */
class Sender {
  /**
   * @param {stream.Duplex} socket
   * @param {Object} [extensions] the negotiated extensions, by name
   * @param {Function} [generateMask] called with a Buffer of four bytes, which it fills
   *   with the masking key of a frame; by default the keys come from the system's
   *   random generator
   */
  constructor(socket, extensions, generateMask) {
    this._socket = socket;
    this._extensions = extensions || {};
    this._generateMask = generateMask;
    /** The payload bytes of all queued data, before compression. */
    this._bufferedBytes = 0;
    /** Called with the error if a Blob cannot be read, or a message not be compressed. */
    this.onerror = NOOP;

    /** Set from the first fragment of a message until its last one. */
    this._isWithinMessage = false;
    /** Whether the current message is compressed. */
    this._compresses = false;
    /** The queued frames. */
    this._jobs = new Queue();
    /** Set while the first frame's Blob is read or its data is compressed. */
    this._isBusy = false;
    /** The error after which nothing more is sent, or null. */
    this._error = null;
  }

  /**
   * Returns a frame, independent of earlier frames.
   *
   * @param {String|Uint8Array} data
   * @param {Object} options
   * @param {Number} options.opcode
   * @param {Boolean} [options.fin=false]
   * @param {Boolean} [options.rsv1=false]
   * @param {Boolean} [options.mask=false]
   * @param {Boolean} [options.readOnly=false] whether `data` must not be modified: it is
   *   copied for masking then, and masked in place otherwise
   * @param {Function} [options.generateMask] as that of the constructor
   * @param {Buffer} [options.maskBuffer] the Buffer with which `generateMask` is called
   * @returns {Buffer[]} the frame in one or two pieces
   * @throws {Error} if the opcode is reserved, or if the payload of a control frame is
   *   longer than 125 bytes
   */
  static frame(data, options) {
    const flags = flagsOf(options);
    const payload =
      typeof data === 'string' ? Buffer.from(data) : bytesOf(data);
    if (!options.mask) return withHead(payload, payload.length, flags);
    const whole = frame(payload, flags, keyOf(options));
    if (options.readOnly || payload.length === 0) return [whole];
    const head = whole.subarray(0, whole.length - payload.length);
    payload.set(whole.subarray(head.length));
    return [head, payload];
  }

  /**
   * Sends a message, or a fragment of one.
   *
   * @param {*} data a string, a Blob, or any value that `Buffer.from` accepts
   * @param {Object} options
   * @param {Boolean} [options.binary=false]
   * @param {Boolean} [options.compress=false] whether to compress the message; only
   *   that of the first fragment is used
   * @param {Boolean} [options.fin=false] whether this is the last fragment
   * @param {Boolean} [options.mask=false]
   * @param {Function} [cb] called when the socket has written the data, or with an error
   * @throws {TypeError} if the data cannot be converted to a Buffer
   */
  send(data, { binary, compress, fin, mask }, cb) {
    const payload = toPayload(data);
    const length = lengthOf(payload);
    let opcode = CONTINUATION;
    let rsv1 = false;
    if (!this._isWithinMessage) {
      opcode = binary ? BINARY : TEXT;
      rsv1 = !!compress && this._mayCompress(length);
      this._compresses = rsv1;
    }
    this._isWithinMessage = !fin;
    const flags = flagsOf({ opcode, fin, rsv1, mask });
    this._add(payload, length, flags, this._compresses, cb);
  }

  /**
   * Sends a ping.
   *
   * @param {*} data as that of `send`, at most 125 bytes
   * @param {Boolean} [mask=false]
   * @param {Function} [cb] as that of `send`
   * @throws {RangeError} if the data is too long
   * @throws {TypeError} if the data cannot be converted to a Buffer
   */
  ping(data, mask, cb) {
    this._control(PING, toPayload(data), mask, cb);
  }

  /** Sends a pong. The arguments are those of `ping`. */
  pong(data, mask, cb) {
    this._control(PONG, toPayload(data), mask, cb);
  }

  /**
   * Sends a close frame.
   *
   * @param {Number} [code] by default, the payload is empty
   * @param {String|Uint8Array} [reason] at most 123 bytes
   * @param {Boolean} [mask=false]
   * @param {Function} [cb] as that of `send`
   * @throws {TypeError} if the code must not be sent (RFC 6455, 7.4), or if the reason is
   *   neither a string nor a Uint8Array
   * @throws {RangeError} if the reason is too long
   */
  close(code, reason, mask, cb) {
    this._control(CLOSE, closing(code, reason), mask, cb);
  }

  /** Writes a frame at once. It has one or two pieces, as returned by `Sender.frame`. */
  sendFrame(list, cb) {
    const { _socket: socket } = this;
    const [first, second] = list;
    if (second === undefined) {
      socket.write(first, cb);
      return;
    }
    socket.cork();
    try {
      socket.write(first);
      socket.write(second, cb);
    } finally {
      socket.uncork();
    }
  }

  _control(opcode, payload, mask, cb) {
    const length = lengthOf(payload);
    const flags = flagsOf({ opcode, fin: true, mask });
    this._add(controlPayload(payload, length), length, flags, false, cb);
  }

  /** Whether a message may be compressed, given the length of its first fragment. */
  _mayCompress(length) {
    const extension = this._extensions[PerMessageDeflate.extensionName];
    if (!extension) return false;
    const { _isServer: isServer, _threshold: threshold, params } = extension;
    const end = isServer ? 'server' : 'client';
    // With context takeover, compression helps short messages, too.
    return !params[`${end}_no_context_takeover`] || length >= threshold;
  }

  /** Queues a frame. */
  _add(data, length, flags, compresses, cb) {
    if (this._error !== null) {
      if (cb) nextTick(cb, this._error);
      return;
    }
    this._bufferedBytes += length;
    this._jobs.push({ data, length, flags, compresses, cb: cb && bound(cb) });
    this._goOn();
  }

  /** Sends the queued frames up to the next one that has to be prepared. */
  _goOn() {
    let isDone = false;
    try {
      while (!this._isBusy && this._jobs.length > 0) this._step();
      isDone = true;
    } finally {
      // A function of the user has thrown: the following frames are still sent.
      if (!isDone) nextTick(() => this._goOn());
    }
  }

  _step() {
    const job = this._jobs.first;
    if (isBlob(job.data)) {
      this._await(read(job), 'the blob was being read');
    } else if (job.compresses) {
      const extension = this._extensions[PerMessageDeflate.extensionName];
      this._await(compress(job, extension), 'data was being compressed');
    } else {
      this._write(this._jobs.shift());
    }
  }

  /**
   * Waits for a promise that prepares the first job. `activity` is for the message of the
   * error if the socket closes meanwhile.
   */
  _await(promise, activity) {
    this._isBusy = true;
    // On the next tick, so that the promise does not catch what a callback throws.
    const come = (callback) => (value) => {
      nextTick(() => {
        this._isBusy = false;
        if (this._socket.destroyed) {
          this._fail(new Error(`The socket was closed while ${activity}`));
        } else {
          callback(value);
        }
      });
    };
    promise.then(
      come(() => this._goOn()),
      come((error) => {
        this._fail(error);
        this.onerror(error);
      }),
    );
  }

  _write({ data, length, flags, cb }) {
    this._bufferedBytes -= length;
    if (flags & MASK) {
      const key = keyOf({ generateMask: this._generateMask });
      this.sendFrame([frame(data, flags, key)], cb);
    } else {
      const size = typeof data === 'string' ? length : data.length;
      this.sendFrame(withHead(data, size, flags), cb);
    }
  }

  /**
   * Fails all queued and all later frames, since no frame of a stream may be left out.
   */
  _fail(error) {
    this._error = error;
    this._bufferedBytes = 0;
    for (const { cb } of this._jobs.clear()) if (cb) callLast(cb, error);
  }
}

/** Replaces the Blob of a job by its bytes. */
async function read(job) {
  job.data = bytesOf(await job.data.arrayBuffer());
}

/** Compresses the data of a job. */
async function compress(job, extension) {
  const compressed = promisify(extension.compress).bind(extension);
  job.data = await compressed(job.data, (job.flags & FIN) !== 0);
  job.compresses = false;
}

/** Returns the pieces of a frame that is not masked. */
function withHead(payload, length, flags) {
  const head = frameHead(length, flags);
  return length === 0 ? [head] : [head, payload];
}

function flagsOf({ opcode, fin, mask, rsv1 }) {
  return (
    (opcode & OPCODE) | (fin ? FIN : 0) | (rsv1 ? RSV1 : 0) | (mask ? MASK : 0)
  );
}

/** Returns the masking key from `generateMask`, or undefined without this function. */
function keyOf({ generateMask, maskBuffer = Buffer.alloc(4) }) {
  if (!generateMask) return undefined;
  generateMask(maskBuffer);
  return maskBuffer;
}

module.exports = Sender;
