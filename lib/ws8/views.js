'use strict';

const EventEmitter = require('events');

const { toBuffer } = require('./buffer-util');
const { EMPTY_BUFFER, kStatusCode, kWebSocket } = require('./constants');
const incoming = require('./incoming');
const { closing } = require('./payload');
const { controlPayload } = require('../codec/payload');
const { flag, kind } = require('../native');

const { FIN, MASK, RSV1 } = flag;
const { BINARY, CLOSE, PING, PONG, TEXT } = kind;

/**
 * The object that programs get as `ws._receiver`. A transport does not use a Receiver.
 * Once a view exists, received events are emitted by it, and its default listeners pass
 * them on to the WebSocket. Programs may remove these listeners.
 */
class ReceiverView extends EventEmitter {
  constructor(ws, options) {
    super();
    this[kWebSocket] = ws;
    this._allowSynchronousEvents = options.allowSynchronousEvents !== false;
    this._extensions = ws._extensions;
    this._isServer = ws._isServer;
    this._maxBufferedChunks = options.maxBufferedChunks | 0;
    this._maxFragments = options.maxFragments | 0;
    this._validates = !options.skipUTF8Validation;
    this._limit = options.maxPayload | 0;
    this.on('conclude', (code, reason) => incoming.takeClose(ws, code, reason));
    this.on('error', (error) => {
      incoming.takeError(ws, error, error[kStatusCode]);
    });
    this.on('message', (data, isBinary) => ws.emit('message', data, isBinary));
    this.on('ping', (data) => incoming.takePing(ws, data));
    this.on('pong', (data) => ws.emit('pong', data));
  }

  get _binaryType() {
    return this[kWebSocket].binaryType;
  }

  set _binaryType(type) {
    this[kWebSocket].binaryType = type;
  }

  /** Whether text and close reasons need not be valid UTF-8, from the next message on. */
  get _skipUTF8Validation() {
    return !this._validates;
  }

  set _skipUTF8Validation(skips) {
    this._validates = !skips;
    this[kWebSocket]._transport.setValidates(this._validates);
  }

  /** The maximum length of a message in bytes; 0 for no limit. */
  get _maxPayload() {
    return this._limit;
  }

  set _maxPayload(bytes) {
    this._limit = bytes | 0;
    this[kWebSocket]._transport.setMaxPayload(this._limit);
  }
}

/** The object that programs get as `ws._sender`. It sends through the transport. */
class SenderView {
  constructor(ws) {
    this[kWebSocket] = ws;
    this._extensions = ws._extensions;
  }

  get _socket() {
    return this[kWebSocket]._socket;
  }

  /**
   * The bytes in the BlobQueue, and those passed to `send` after the connection ended.
   */
  get _bufferedBytes() {
    const { _blobs: blobs, _bufferedAmount: bytes } = this[kWebSocket];
    return bytes + (blobs === null ? 0 : blobs.bytes);
  }

  set _bufferedBytes(bytes) {
    this[kWebSocket]._bufferedAmount += bytes - this._bufferedBytes;
  }

  /** Sends a message; `options` has `binary`, `compress`, `fin` and `mask`. */
  send(data, { binary, compress, fin, mask }, cb) {
    const flags =
      (binary ? BINARY : TEXT) |
      (fin ? FIN : 0) |
      (compress ? RSV1 : 0) |
      (mask ? MASK : 0);
    const payload =
      typeof data === 'string' ? data : toBuffer(data || EMPTY_BUFFER);
    this[kWebSocket]._transport.send(payload, flags, cb);
  }

  ping(data, mask, cb) {
    this._control(PING, toBuffer(data), mask, cb);
  }

  pong(data, mask, cb) {
    this._control(PONG, toBuffer(data), mask, cb);
  }

  close(code, data, mask, cb) {
    this._control(CLOSE, closing(code, data), mask, cb);
  }

  _control(opcode, payload, mask, cb) {
    const { _transport: transport } = this[kWebSocket];
    transport.control(opcode, controlPayload(payload), mask, cb);
  }

  /** Writes a frame that is given as a list, as returned by `Sender.frame`. */
  sendFrame(list, cb) {
    this[kWebSocket]._transport.writeList(list, cb);
  }
}

module.exports = { ReceiverView, SenderView };
