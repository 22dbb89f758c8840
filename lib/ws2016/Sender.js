'use strict';

const PerMessageDeflate = require('./PerMessageDeflate');
const { notSent } = require('./errors');
const { closing, toBuffer } = require('./payload');
const FrameWriter = require('../codec/FrameWriter');
const { frame } = require('../codec/frame');
const { controlPayload } = require('../codec/payload');
const { flag, kind } = require('../native');

const { FIN, MASK, RSV1 } = flag;
const { BINARY, CLOSE, PING, PONG, TEXT } = kind;

/** Encodes messages as frames and writes them to a socket. */
class Sender {
  /**
   * @param {stream.Writable} socket only its `write` method is required
   * @param {Object} [extensions] the negotiated extensions, by name
   */
  constructor(socket, extensions) {
    this.extensions = extensions || {};
    /**
     * A function that is called with an error for which there is no callback, or null.
     */
    this.onerror = null;
    const extension = this.extensions[PerMessageDeflate.extensionName];
    this._writer = new FrameWriter(
      socket,
      { deflate: extension && extension.forCodec },
      {
        notSent,
        lost: (error) => this.onerror && this.onerror(error),
      },
    );
  }

  /**
   * Returns a frame as a list of Buffers, independent of earlier frames.
   *
   * @param {*} data
   * @param {Object} options `opcode`, `fin`, `rsv1` and `mask`
   * @returns {Buffer[]}
   */
  static frame(data, options) {
    return [frame(toBuffer(data), flagsOfFrame(options))];
  }

  /** Set while a message is compressed on another thread. All later data is queued. */
  get processing() {
    return this._writer.isCompressing;
  }

  set processing(isCompressing) {
    this._writer.isCompressing = isCompressing;
  }

  /** The payload bytes of all queued data, before compression. */
  get queuedBytes() {
    return this._writer.queuedBytes;
  }

  /**
   * Sends a message, or a fragment of one.
   *
   * @param {*} data
   * @param {Object} options `binary`, `compress`, `fin` and `mask`; each is `false` if
   *   left out
   * @param {Function} [cb] called with null when the socket has written the data, or with
   *   an error
   */
  send(data, options, cb) {
    const payload = typeof data === 'string' ? data : toBuffer(data);
    this._writer.send(payload, flagsOfMessage(options), cb);
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
   * @param {Number} [code=1000]
   * @param {String|Buffer} [reason] at most 123 bytes of UTF-8
   * @param {Boolean} [mask=false]
   * @param {Function} [cb] as that of `send`
   * @throws {Error} if the code must not be sent (RFC 6455, 7.4)
   * @throws {RangeError} if the reason is too long
   * @throws {TypeError} if the reason is not valid UTF-8
   */
  close(code, reason, mask, cb) {
    this._control(CLOSE, closing(code, reason), mask, cb);
  }

  _control(opcode, data, mask, cb) {
    const flags = opcode | FIN | (mask ? MASK : 0);
    this._writer.control(controlPayload(data), flags, cb);
  }

  /** Writes a frame with exactly these flags, independent of earlier frames. */
  frameAndSend(opcode, data, readOnly, fin, mask, rsv1, cb) {
    this.sendFrame(Sender.frame(data, { opcode, fin, mask, rsv1 }), cb);
  }

  /** Writes a frame that is given as a list of Buffers. They are copied. */
  sendFrame(list, cb) {
    this._writer.write(Buffer.concat(list), cb);
  }
}

/** Returns the flags (`native.flag`) for the options of `send`. */
function flagsOfMessage({ binary, compress, fin, mask }) {
  return (
    (binary ? BINARY : TEXT) |
    (fin ? FIN : 0) |
    (compress ? RSV1 : 0) |
    (mask ? MASK : 0)
  );
}

/** Returns the flags (`native.flag`) for the options of `Sender.frame`. */
function flagsOfFrame({ opcode, fin, mask, rsv1 }) {
  return (
    (opcode & flag.OPCODE) |
    (fin ? FIN : 0) |
    (rsv1 ? RSV1 : 0) |
    (mask ? MASK : 0)
  );
}

Sender.flagsOfMessage = flagsOfMessage;

module.exports = Sender;
