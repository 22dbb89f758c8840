'use strict';

const PerMessageDeflate = require('./PerMessageDeflate');
const { notSent } = require('./errors');
const { closing, toBuffer } = require('./payload');
const { FrameWriter, frame } = require('../codec/FrameWriter');
const { controlPayload } = require('../codec/payload');
const { flag, kind } = require('../native');

const { FIN, MASK, RSV1 } = flag;
const { BINARY, CLOSE, PING, PONG, TEXT } = kind;

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
   * A frame for `data`, whatever was sent before it, as a list of Buffers.
   *
   * @param {*} data
   * @param {Object} options `opcode`, `fin`, `rsv1` and `mask`
   */
  static frame(data, options) {
    return [frame(toBuffer(data), flagsOfFrame(options))];
  }

  /** Whether all that is sent waits for a message that is being compressed. */
  get processing() {
    return this._writer.isCompressing;
  }

  set processing(isCompressing) {
    this._writer.isCompressing = isCompressing;
  }

  /** The bytes of all that waits, before compression. */
  get queuedBytes() {
    return this._writer.queuedBytes;
  }

  /**
   * Sends a message, or a fragment of one.
   *
   * @param {*} data
   * @param {Object} options `binary`, `compress`, `fin` and `mask`
   * @param {Function} [cb] called once the system has taken it, or with an error
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
   * @param {Number} [code] 1000 by default
   * @param {String|Buffer} [reason] at most 123 bytes
   * @param {Boolean} [mask]
   * @param {Function} [cb]
   * @throws {Error} on a code that must not be sent, and a reason that is too long
   */
  close(code, reason, mask, cb) {
    this._control(CLOSE, closing(code, reason), mask, cb);
  }

  _control(opcode, data, mask, cb) {
    const flags = opcode | FIN | (mask ? MASK : 0);
    this._writer.control(controlPayload(data), flags, cb);
  }

  /** Writes a frame that is what it is told to be, whatever was sent before it. */
  frameAndSend(opcode, data, readOnly, fin, mask, rsv1, cb) {
    this.sendFrame(Sender.frame(data, { opcode, fin, mask, rsv1 }), cb);
  }

  /** Writes a frame that is a list of Buffers, of which nothing is kept. */
  sendFrame(list, cb) {
    this._writer.write(Buffer.concat(list), cb);
  }
}

/** The flags of a message whose options are all given. */
function flagsOfMessage({ binary, compress, fin, mask }) {
  return (
    (binary ? BINARY : TEXT) |
    (fin ? FIN : 0) |
    (compress ? RSV1 : 0) |
    (mask ? MASK : 0)
  );
}

/** The flags of a frame. */
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
