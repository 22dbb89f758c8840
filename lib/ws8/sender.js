'use strict';

const { promisify } = require('util');

const { NOOP } = require('./constants');
const { closing, lengthOf, toPayload } = require('./payload');
const PerMessageDeflate = require('./permessage-deflate');
const { isBlob } = require('./validation');
const Queue = require('../Queue');
const { frame, frameHead } = require('../codec/FrameWriter');
const { bytesOf, controlPayload } = require('../codec/payload');
const { bound } = require('../context');
const { callLast, nextTick } = require('../environment');
const { flag, kind } = require('../native');

const { FIN, MASK, OPCODE, RSV1 } = flag;
const { BINARY, CLOSE, PING, PONG, TEXT } = kind;

const CONTINUATION = 0;

/** Turns messages into frames, and writes them to a socket. */
class Sender {
  /**
   * @param {stream.Duplex} socket
   * @param {Object} [extensions] the extensions agreed on, by name
   * @param {Function} [generateMask] fills the Buffer that it is given, of four bytes, with
   *   the masking key of a frame; by default they are drawn from the system's generator
   */
  constructor(socket, extensions, generateMask) {
    this._socket = socket;
    this._extensions = extensions || {};
    this._generateMask = generateMask;
    /** The bytes of all that waits, before compression. */
    this._bufferedBytes = 0;
    /** Called when a Blob cannot be read, or a message not be compressed. */
    this.onerror = NOOP;

    /** Whether fragments of a message are sent, and its last is not; its compression. */
    this._isWithinMessage = false;
    this._compresses = false;
    /** The frames to be sent: the first may be made ready for that, and the rest wait. */
    this._jobs = new Queue();
    this._isBusy = false;
    /** What ended it all. */
    this._error = null;
  }

  /**
   * A frame for `data`, whatever was sent before it.
   *
   * @param {String|Uint8Array} data
   * @param {Object} options
   * @param {Number} options.opcode
   * @param {Boolean} [options.fin=false]
   * @param {Boolean} [options.rsv1=false]
   * @param {Boolean} [options.mask=false]
   * @param {Boolean} [options.readOnly=false] whether `data` must not be changed, and is to
   *   be copied if it has to be masked
   * @param {Function} [options.generateMask] as that of a Sender
   * @param {Buffer} [options.maskBuffer] the Buffer that it is given
   * @returns {Buffer[]} its pieces: one or two
   * @throws {Error} on a reserved opcode, and on a control frame of more than 125 bytes
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
   * @param {*} data a string, a Blob, or what `Buffer.from` takes
   * @param {Object} options
   * @param {Boolean} [options.binary=false]
   * @param {Boolean} [options.compress=false] whether it is to be compressed; the first
   *   fragment decides for all
   * @param {Boolean} [options.fin=false] whether it ends its message
   * @param {Boolean} [options.mask=false]
   * @param {Function} [cb] called once the system has taken it, or with an error
   * @throws {TypeError} on what has no bytes
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
   * @param {*} data as that of `send`
   * @param {Boolean} [mask=false]
   * @param {Function} [cb] as that of `send`
   * @throws {RangeError} on more than 125 bytes
   * @throws {TypeError} on what has no bytes
   */
  ping(data, mask, cb) {
    this._control(PING, toPayload(data), mask, cb);
  }

  /** Sends a pong; as `ping`. */
  pong(data, mask, cb) {
    this._control(PONG, toPayload(data), mask, cb);
  }

  /**
   * Sends a close frame.
   *
   * @param {Number} [code] none by default: the frame is empty
   * @param {String|Uint8Array} [reason] at most 123 bytes
   * @param {Boolean} [mask=false]
   * @param {Function} [cb] as that of `send`
   * @throws {TypeError|RangeError} on a code or reason that must not be sent
   */
  close(code, reason, mask, cb) {
    this._control(CLOSE, closing(code, reason), mask, cb);
  }

  /** Writes a frame in one or two pieces, as `Sender.frame` gives it, at once. */
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

  /** Whether a message is compressed whose first fragment has this length. */
  _mayCompress(length) {
    const extension = this._extensions[PerMessageDeflate.extensionName];
    if (!extension) return false;
    const { _isServer: isServer, _threshold: threshold, params } = extension;
    const end = isServer ? 'server' : 'client';
    // Short ones are worth it where they take over what was sent before.
    return !params[`${end}_no_context_takeover`] || length >= threshold;
  }

  /** Sends a frame in its turn. */
  _add(data, length, flags, compresses, cb) {
    if (this._error !== null) {
      if (cb) nextTick(cb, this._error);
      return;
    }
    this._bufferedBytes += length;
    this._jobs.push({ data, length, flags, compresses, cb: cb && bound(cb) });
    this._goOn();
  }

  /** Sends what can be sent now. */
  _goOn() {
    let isDone = false;
    try {
      while (!this._isBusy && this._jobs.length > 0) this._step();
      isDone = true;
    } finally {
      // What the program's functions throw holds up nothing behind it.
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

  /** Has all wait for the first job, which this promise makes ready. */
  _await(promise, activity) {
    this._isBusy = true;
    // Outside of the promise, which would catch what a callback throws.
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

  /** Fails all that waits, and all that is to come: what is missing cannot be skipped. */
  _fail(error) {
    this._error = error;
    this._bufferedBytes = 0;
    for (const { cb } of this._jobs.clear()) if (cb) callLast(cb, error);
  }
}

/** Has a job's Blob replaced by its bytes. */
async function read(job) {
  job.data = bytesOf(await job.data.arrayBuffer());
}

/** Has a job's data compressed. */
async function compress(job, extension) {
  const compressed = promisify(extension.compress).bind(extension);
  job.data = await compressed(job.data, (job.flags & FIN) !== 0);
  job.compresses = false;
}

/** The pieces of a frame that is not masked. */
function withHead(payload, length, flags) {
  const head = frameHead(length, flags);
  return length === 0 ? [head] : [head, payload];
}

function flagsOf({ opcode, fin, mask, rsv1 }) {
  return (
    (opcode & OPCODE) | (fin ? FIN : 0) | (rsv1 ? RSV1 : 0) | (mask ? MASK : 0)
  );
}

/** The masking key that the program's function gives, if there is one. */
function keyOf({ generateMask, maskBuffer = Buffer.alloc(4) }) {
  if (!generateMask) return undefined;
  generateMask(maskBuffer);
  return maskBuffer;
}

module.exports = Sender;
