'use strict';

const EventEmitter = require('events');

const { toBuffer } = require('./buffer-util');
const { BlobQueue, isWaitedFor } = require('./blob-queue');
const { abort, connect } = require('./connect');
const { BINARY_TYPES, EMPTY_BUFFER, kWebSocket } = require('./constants');
const { mixInto } = require('./event-target');
const incoming = require('./incoming');
const { closing, toPayload } = require('./payload');
const PerMessageDeflate = require('./permessage-deflate');
const { ReceiverView, SenderView } = require('./views');
const { orUnlimited } = require('../codec/limits');
const { controlPayload } = require('../codec/payload');
const { nextTick } = require('../environment');
const { flag, kind } = require('../native');
const diagnostics = require('../transports/diagnostics');
const open = require('../transports/open');

const { FIN, MASK, RSV1 } = flag;
const { BINARY, CLOSE, PING, PONG, TEXT } = kind;

const STATES = ['CONNECTING', 'OPEN', 'CLOSING', 'CLOSED'];
const [CONNECTING, OPEN, CLOSING, CLOSED] = STATES.keys();

/** A connection: see the documentation of ws 8, Class: WebSocket. */
class WebSocket extends EventEmitter {
  /**
   * @param {String|URL|null} address where to connect to; null for the server's side of
   *   a connection, which `setSocket` opens
   * @param {String|String[]} [protocols] the subprotocols to ask for
   * @param {Object} [options]
   * @throws {SyntaxError} on an invalid address or subprotocol
   * @throws {RangeError} on a version of the protocol that there is not
   */
  constructor(address, protocols, options) {
    super();
    this._binaryType = BINARY_TYPES[0];
    /** The bytes that were sent after the end. */
    this._bufferedAmount = 0;
    this._closeCode = 1006;
    this._closeFrameReceived = false;
    this._closeFrameSent = false;
    this._closeMessage = EMPTY_BUFFER;
    this._closeTimer = null;
    this._errorEmitted = false;
    this._extensions = {};
    /** The flags of a message that has no options. */
    this._flags = 0;
    this._isServer = address === null;
    this._paused = false;
    this._protocol = '';
    this._readyState = CONNECTING;
    this._socket = null;
    /** What carries the connection. */
    this._transport = null;
    /** What programs see as its Receiver and Sender, once they look. */
    this._receiverView = null;
    this._senderView = null;
    /** What is sent behind a Blob, while that is being read. */
    this._blobs = null;
    /** Whether the other end has violated the protocol: nothing more is read. */
    this._failed = false;
    this._options = null;
    /** What is done for the server that has it, when it is over. */
    this._whenOver = null;

    const used = this._isServer
      ? options
      : connect(this, address, protocols, options);
    this._autoPong = used.autoPong ? true : undefined;
    this._pendingAutoPongs = 0;
    this._maxPendingAutoPongs = used.maxPendingAutoPongs | 0;
    this._closeTimeout = used.closeTimeout;
  }

  /** What a binary message arrives as; what is none of BINARY_TYPES is ignored. */
  get binaryType() {
    return this._binaryType;
  }

  set binaryType(type) {
    if (BINARY_TYPES.includes(type)) this._binaryType = type;
  }

  /** The bytes that were sent and that the system has not yet taken. */
  get bufferedAmount() {
    const { _blobs: blobs, _transport: transport } = this;
    return (
      this._bufferedAmount +
      (blobs === null ? 0 : blobs.bytes) +
      (transport === null ? 0 : transport.bufferedAmount)
    );
  }

  /** The names of the extensions that both ends have agreed on. */
  get extensions() {
    return Object.keys(this._extensions).join();
  }

  /** Whether it is paused. */
  get isPaused() {
    return this._paused;
  }

  /** The subprotocol that the server has chosen. */
  get protocol() {
    return this._protocol;
  }

  /** The state of the connection. */
  get readyState() {
    return this._readyState;
  }

  /** The address that was connected to. */
  get url() {
    return this._url;
  }

  // What the original has as properties, and programs reach into.

  get _receiver() {
    if (this._receiverView === null && this._socket !== null) {
      this._receiverView = new ReceiverView(this, this._options);
    }
    return this._receiverView;
  }

  get _sender() {
    if (this._senderView === null && this._socket !== null) {
      this._senderView = new SenderView(this);
    }
    return this._senderView;
  }

  /**
   * Opens the connection over a socket on which both ends have agreed.
   *
   * @param {stream.Duplex} socket
   * @param {Buffer} head what was read of it already
   * @param {Object} options `allowSynchronousEvents`, `generateMask`,
   *   `maxBufferedChunks`, `maxFragments`, `maxPayload`, `skipUTF8Validation`
   */
  setSocket(socket, head, options) {
    const extension = this._extensions[PerMessageDeflate.extensionName];
    const { generateMask } = options;
    this._options = options;
    this._socket = socket;
    this._flags = FIN | (this._isServer ? 0 : MASK) | (extension ? RSV1 : 0);
    socket[kWebSocket] = this;
    open(this, socket, head, incoming, {
      deflate: extension ? deflateOf(this, extension) : null,
      limits: {
        maxPayload: options.maxPayload | 0,
        maxFragments: orUnlimited(options.maxFragments | 0),
        masked: this._isServer,
        validates: !options.skipUTF8Validation,
        keepsEnds: true,
      },
      masks: !this._isServer,
      textsAreStrings: false,
      answers: false,
      isStepwise: options.allowSynchronousEvents === false,
      endsEndPauses: true,
      maskKey: generateMask ? () => maskKey(generateMask) : null,
    });
    this._readyState = OPEN;
    this.emit('open');
  }

  /** Emits 'close', the last event. */
  emitClose() {
    const extension = this._extensions[PerMessageDeflate.extensionName];
    if (extension && this._socket !== null) extension.cleanup();
    if (this._receiverView !== null) this._receiverView.removeAllListeners();
    this._readyState = CLOSED;
    if (this._whenOver !== null) this._whenOver();
    this.emit('close', this._closeCode, this._closeMessage);
  }

  /**
   * Closes the connection with a closing handshake.
   *
   * @param {Number} [code]
   * @param {String|Buffer} [data] the reason, at most 123 bytes
   * @throws {TypeError|RangeError} on a code or reason that cannot be sent; nothing is
   *   closed then
   */
  close(code, data) {
    switch (this.readyState) {
      case CLOSED:
        return;
      case CONNECTING:
        giveUp(this);
        return;
      case CLOSING:
        endIfClosed(this);
        return;
    }
    const payload = closing(code, data);
    sendControl(this, CLOSE, payload, !this._isServer, (error) => {
      if (error) return;
      this._closeFrameSent = true;
      endIfClosed(this);
    });
    this._readyState = CLOSING;
    incoming.expectClose(this);
  }

  /** Stops reading; what was read already may still be emitted. */
  pause() {
    if (!hasSocket(this)) return;
    this._paused = true;
    this._transport.pause();
  }

  /** Goes on reading. */
  resume() {
    if (!hasSocket(this)) return;
    this._paused = false;
    this._transport.resume();
  }

  /**
   * Sends a ping.
   *
   * @param {*} [data] at most 125 bytes
   * @param {Boolean} [mask] whether to mask it; by default a client does
   * @param {Function} [cb] called once the system has taken it, or with an error
   * @throws {Error} while it is connecting
   * @throws {RangeError} if it is too long
   */
  ping(data, mask, cb) {
    control(this, PING, data, mask, cb);
  }

  /** Sends a pong: as `ping`. */
  pong(data, mask, cb) {
    control(this, PONG, data, mask, cb);
  }

  /**
   * Sends a message, or a fragment of one.
   *
   * @param {*} data
   * @param {Object} [options] `binary`, `compress`, `fin` and `mask`
   * @param {Function} [cb] called once the system has taken the data, or with an error
   * @throws {Error} while it is connecting
   * @throws {TypeError} on what cannot be sent
   */
  send(data, options, cb) {
    if (typeof options === 'function') {
      cb = options;
      options = undefined;
    }
    if (typeof data === 'number') data = `${data}`;
    if (this._readyState !== OPEN) {
      refuse(this, data, cb);
      return;
    }
    const flags = flagsOf(this, data, options);
    const isPlain = typeof data === 'string' || data instanceof Buffer;
    if (this._blobs === null && isPlain) {
      this._transport.send(data, flags, cb);
    } else if (this._blobs !== null || isWaitedFor(data)) {
      sendLater(this, data, flags, cb);
    } else {
      this._transport.send(toPayload(data || EMPTY_BUFFER), flags, cb);
    }
  }

  /** Ends the connection at once, without a closing handshake. */
  terminate() {
    if (this.readyState === CLOSED) return;
    if (this.readyState === CONNECTING) {
      giveUp(this);
      return;
    }
    if (this._transport === null) return;
    this._readyState = CLOSING;
    this._transport.destroy();
  }
}

STATES.forEach((name, value) => {
  for (const object of [WebSocket, WebSocket.prototype]) {
    Object.defineProperty(object, name, { enumerable: true, value });
  }
});

for (const name of [
  'binaryType',
  'bufferedAmount',
  'extensions',
  'isPaused',
  'protocol',
  'readyState',
  'url',
]) {
  Object.defineProperty(WebSocket.prototype, name, { enumerable: true });
}

mixInto(WebSocket.prototype);

/** What transports take of the extension. */
function deflateOf(ws, extension) {
  const { params } = extension;
  const own = ws._isServer
    ? params.server_no_context_takeover
    : params.client_no_context_takeover;
  // What follows on others gains by being compressed, however short it is.
  return {
    native: extension.native,
    threshold: own ? extension._threshold : 0,
  };
}

function maskKey(generateMask) {
  const key = Buffer.alloc(4);
  generateMask(key);
  return key;
}

function hasSocket({ readyState, _transport: transport }) {
  return (
    readyState !== CONNECTING && readyState !== CLOSED && transport !== null
  );
}

/** Gives up the opening handshake. */
function giveUp(ws) {
  const text = 'WebSocket was closed before the connection was established';
  abort(ws, ws._req, text);
}

/**
 * Ends this direction once both ends have sent a close frame (RFC 6455, 7.1.1), or the
 * connection has failed (RFC 6455, 7.1.7).
 */
function endIfClosed(ws) {
  const mayEnd = ws._closeFrameReceived || ws._failed;
  if (ws._closeFrameSent && mayEnd && ws._transport) ws._transport.end();
}

/** The flags of a message, as its options and its kind of data have them. */
function flagsOf(ws, data, options) {
  const isBinary = typeof data !== 'string';
  if (options === undefined || options === null) {
    return ws._flags | (isBinary ? BINARY : TEXT);
  }
  return (
    (given(options, 'binary', isBinary) ? BINARY : TEXT) |
    (given(options, 'fin', true) ? FIN : 0) |
    (given(options, 'compress', true) ? ws._flags & RSV1 : 0) |
    (given(options, 'mask', !ws._isServer) ? MASK : 0)
  );
}

/** An option, or its default where it is left out: `undefined` is as good as false. */
function given(options, name, byDefault) {
  const value = options[name];
  if (value !== undefined) return value;
  return Object.prototype.hasOwnProperty.call(options, name)
    ? value
    : byDefault;
}

/** Sends what the program gave as a ping or a pong. */
function control(ws, opcode, data, mask, cb) {
  if (typeof data === 'function') {
    cb = data;
    data = mask = undefined;
  } else if (typeof mask === 'function') {
    cb = mask;
    mask = undefined;
  }
  if (typeof data === 'number') data = `${data}`;
  if (ws._readyState !== OPEN) {
    refuse(ws, data, cb);
    return;
  }
  const masks = mask === undefined ? !ws._isServer : mask;
  sendControl(ws, opcode, data || EMPTY_BUFFER, masks, cb);
}

/** What waits for Blobs. */
function blobsOf(ws) {
  if (ws._blobs === null) {
    ws._blobs = new BlobQueue(ws, (error) => incoming.lost(ws, error));
  }
  return ws._blobs;
}

function sendControl(ws, opcode, data, mask, cb) {
  if (ws._blobs === null && !isWaitedFor(data)) {
    const payload = controlPayload(toBuffer(data));
    ws._transport.control(opcode, payload, mask, cb);
    return;
  }
  blobsOf(ws).add(data, cb, true, (payload) => {
    ws._transport.control(opcode, payload, mask, cb);
  });
}

/** Sends a Blob when it is read, or what comes behind one. */
function sendLater(ws, data, flags, cb) {
  blobsOf(ws).add(data || EMPTY_BUFFER, cb, false, (payload) => {
    ws._transport.send(payload, flags, cb);
  });
}

/** Sends nothing, for it is not open. */
function refuse(ws, data, cb) {
  const { readyState } = ws;
  const text = `WebSocket is not open: readyState ${readyState} (${STATES[readyState]})`;
  if (readyState === CONNECTING) throw new Error(text);
  if (data) {
    ws._bufferedAmount += isWaitedFor(data) ? data.size : toBuffer(data).length;
  }
  if (cb) nextTick(cb, new Error(text));
}

WebSocket.diagnostics = diagnostics;

module.exports = WebSocket;
