'use strict';

const { closing, toBuffer } = require('./payload');
const Sender = require('./Sender');
const { controlPayload } = require('../codec/payload');
const { toLimit } = require('../codec/limits');
const { kind } = require('../native');

const { CLOSE, PING, PONG } = kind;

/**
 * The object that programs get as `ws._receiver`. A transport does not use a Receiver:
 * this one passes a change of `maxPayload` on to it.
 */
class ReceiverView {
  constructor(transport, extensions, maxPayload) {
    this._transport = transport;
    this.extensions = extensions;
    this._limit = toLimit(maxPayload);
  }

  /** The maximum length of a message in bytes; 0 for no limit. */
  get maxPayload() {
    return this._limit;
  }

  set maxPayload(bytes) {
    this._limit = toLimit(bytes);
    this._transport().setMaxPayload(this._limit);
  }

  get _maxPayload() {
    return this.maxPayload;
  }

  set _maxPayload(bytes) {
    this.maxPayload = bytes;
  }
}

/** The object that programs get as `ws._sender`. It sends through the transport. */
class SenderView {
  constructor(transport, extensions) {
    this._transport = transport;
    this.extensions = extensions;
  }

  send(data, options, cb) {
    const payload = typeof data === 'string' ? data : toBuffer(data);
    this._transport().send(payload, Sender.flagsOfMessage(options), cb);
  }

  ping(data, { mask }, cb) {
    this._control(PING, toBuffer(data), mask, cb);
  }

  pong(data, { mask }, cb) {
    this._control(PONG, toBuffer(data), mask, cb);
  }

  close(code, reason, mask, cb) {
    this._control(CLOSE, closing(code, reason), mask, cb);
  }

  _control(opcode, data, mask, cb) {
    this._transport().control(opcode, controlPayload(data), mask, cb);
  }

  frameAndSend(opcode, data, readOnly, fin, mask, rsv1, cb) {
    this.sendFrame(Sender.frame(data, { opcode, fin, mask, rsv1 }), cb);
  }

  sendFrame(list, cb) {
    this._transport().writeList(list, cb);
  }
}

module.exports = { ReceiverView, SenderView };
