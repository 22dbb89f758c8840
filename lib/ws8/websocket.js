'use strict';

const EventEmitter = require('events');

const { toBuffer } = require('./buffer-util');
const { BlobQueue, isWaitedFor } = require('./blob-queue');
const { abort, connect } = require('./connect');
const {
  BINARY_TYPES,
  EMPTY_BUFFER,
  kOpen,
  kWebSocket,
} = require('./constants');
const { mixInto } = require('./event-target');
const incoming = require('./incoming');
const { closing, toPayload } = require('./payload');
const PerMessageDeflate = require('./permessage-deflate');
const { ReceiverView, SenderView } = require('./views');
const { orUnlimited } = require('../codec/limits');
const { controlPayload } = require('../codec/payload');
const { nextTick } = require('../environment');
const keepCompactly = require('../listeners');
const { flag, kind } = require('../native');
const PreparedMessage = require('../PreparedMessage');
const NodeUpgrade = require('../server/NodeUpgrade');
const diagnostics = require('../transports/diagnostics');
const { highWaterMarkOf } = require('../transports/highWaterMark');

const { FIN, MASK, RSV1 } = flag;
const { BINARY, CLOSE, PING, PONG, TEXT } = kind;

/** The extensions of all connections that have none. */
const NO_EXTENSIONS = Object.freeze({});

const STATES = ['CONNECTING', 'OPEN', 'CLOSING', 'CLOSED'];
const [CONNECTING, OPEN, CLOSING, CLOSED] = STATES.keys();

/** A WebSocket connection, as documented in doc/ws.md of ws 8, Class: WebSocket. */
class WebSocket extends EventEmitter {
  /**
   * @param {String|URL|null} address the URL to connect to; null for a connection of a
   *   server, which `setSocket` opens
   * @param {String|String[]} [protocols] the subprotocols to offer
   * @param {Object} [options]
   * @throws {SyntaxError} if the address or a subprotocol is invalid
   * @throws {RangeError} if the protocol version is not supported, or if `highWaterMark` is
   *   out of range
   */
  constructor(address, protocols, options) {
    super();
    keepCompactly(this);
    this._binaryType = BINARY_TYPES[0];
    /** The bytes passed to `send` and others after the connection has ended. */
    this._bufferedAmount = 0;
    this._closeCode = 1006;
    this._closeFrameReceived = false;
    this._closeFrameSent = false;
    this._closeMessage = EMPTY_BUFFER;
    this._closeTimer = null;
    this._errorEmitted = false;
    this._extensions = NO_EXTENSIONS;
    /** The flags of a message without options. */
    this._flags = 0;
    this._isServer = address === null;
    this._paused = false;
    this._protocol = '';
    this._readyState = CONNECTING;
    this._transport = null;
    /** Created when a program first reads `_receiver` or `_sender`. */
    this._receiverView = null;
    this._senderView = null;
    /** The BlobQueue; null if no Blob is being sent. */
    this._blobs = null;
    /** Set when the other end has violated the protocol: nothing more is read. */
    this._failed = false;
    this._options = null;
    /** Set by the server: called with this WebSocket when the connection has closed. */
    this._whenOver = null;

    const used = this._isServer
      ? options
      : connect(this, address, protocols, options);
    this._autoPong = used.autoPong ? true : undefined;
    this._pendingAutoPongs = 0;
    this._maxPendingAutoPongs = used.maxPendingAutoPongs | 0;
    this._closeTimeout = used.closeTimeout;
  }

  /** The type of binary messages. Setting a value not in BINARY_TYPES has no effect. */
  get binaryType() {
    return this._binaryType;
  }

  set binaryType(type) {
    if (BINARY_TYPES.includes(type)) this._binaryType = type;
  }

  /** The bytes sent but not yet handed to the operating system. */
  get bufferedAmount() {
    const { _bufferedAmount: refused, _transport: transport } = this;
    return refused + (transport === null ? 0 : transport.queuedBytes);
  }

  /** The names of the negotiated extensions, separated by commas. */
  get extensions() {
    return Object.keys(this._extensions).join();
  }

  /** Whether the connection is paused. */
  get isPaused() {
    return this._paused;
  }

  /** The subprotocol that the server has selected; `''` if none. */
  get protocol() {
    return this._protocol;
  }

  /** The state: `CONNECTING`, `OPEN`, `CLOSING` or `CLOSED`. */
  get readyState() {
    return this._readyState;
  }

  /** The URL of the server; undefined for a connection of a server. */
  get url() {
    return this._url;
  }

  /**
   * Whether 'drain' follows: more than `highWaterMark` bytes were queued, and some still
   * are.
   */
  get writableNeedDrain() {
    const { _readyState: state, _transport: transport } = this;
    return state !== CLOSED && transport !== null && transport.needsDrain;
  }

  // Properties that ws does not document, but that programs use.

  /** Node's socket, or null before the connection is open. */
  get _socket() {
    return this._transport === null ? null : this._transport.socket;
  }

  get _receiver() {
    if (this._receiverView === null && this._transport !== null) {
      this._receiverView = new ReceiverView(this, this._options);
    }
    return this._receiverView;
  }

  get _sender() {
    if (this._senderView === null && this._transport !== null) {
      this._senderView = new SenderView(this);
    }
    return this._senderView;
  }

  /**
   * Opens the connection after the handshake.
   *
   * @param {stream.Duplex} socket
   * @param {Buffer} head the bytes that were read after the handshake
   * @param {Object} options `allowSynchronousEvents`, `generateMask`, `highWaterMark`,
   *   `maxBufferedChunks`, `maxFragments`, `maxPayload`, `skipUTF8Validation`
   */
  setSocket(socket, head, options) {
    socket[kWebSocket] = this;
    this[kOpen](new NodeUpgrade(null, socket, head), options);
  }

  /** Opens the connection with an Upgrade. The options are those of `setSocket`. */
  [kOpen](upgrade, options) {
    const extension = this._extensions[PerMessageDeflate.extensionName];
    this._options = options;
    this._flags = FIN | (this._isServer ? 0 : MASK) | (extension ? RSV1 : 0);
    upgrade.open(this, incoming, transportOptions(this, extension, options));
    this._readyState = OPEN;
    this.emit('open');
  }

  /** Emits 'close', the last event. */
  emitClose() {
    const extension = this._extensions[PerMessageDeflate.extensionName];
    if (extension && this._transport !== null) extension.cleanup();
    if (this._receiverView !== null) this._receiverView.removeAllListeners();
    this._readyState = CLOSED;
    if (this._whenOver !== null) this._whenOver(this);
    this.emit('close', this._closeCode, this._closeMessage);
  }

  /**
   * Starts the closing handshake (RFC 6455, 7.1.2). If this throws, the connection stays
   * open.
   *
   * @param {Number} [code] by default, the close frame is empty
   * @param {String|Uint8Array} [data] the reason, at most 123 bytes
   * @throws {TypeError} if the code must not be sent (RFC 6455, 7.4), or if the reason is
   *   neither a string nor a Uint8Array
   * @throws {RangeError} if the reason is too long
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

  /**
   * Stops reading. Received events are queued until `resume`. A close frame or a
   * violation that was already received ends the pause.
   */
  pause() {
    if (!hasSocket(this)) return;
    this._paused = true;
    this._transport.pause();
  }

  /** Continues reading. */
  resume() {
    if (!hasSocket(this)) return;
    this._paused = false;
    this._transport.resume();
  }

  /**
   * Sends a ping.
   *
   * @param {*} [data] at most 125 bytes
   * @param {Boolean} [mask] whether to mask the frame; by default, a client masks and a
   *   server does not
   * @param {Function} [cb] called with null when the frame is handed to the operating
   *   system, or with an error
   * @throws {Error} if the connection is still connecting
   * @throws {RangeError} if the data is too long
   * @throws {TypeError} if the data cannot be converted to a Buffer
   */
  ping(data, mask, cb) {
    control(this, PING, data, mask, cb);
  }

  /** Sends a pong. The arguments are those of `ping`. */
  pong(data, mask, cb) {
    control(this, PONG, data, mask, cb);
  }

  /**
   * Sends a message, or a fragment of one.
   *
   * @param {*} data a string, a number, a Blob, a PreparedMessage, or any value that
   *   `Buffer.from` accepts
   * @param {Object} [options] `binary`, `compress`, `fin` and `mask`
   * @param {Function} [cb] called with null when the data is handed to the operating
   *   system, or with an error
   * @throws {Error} if the connection is still connecting
   * @throws {TypeError} if the data cannot be converted to a Buffer
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
    } else if (data instanceof PreparedMessage) {
      sendPrepared(this, data, options, cb);
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
  'writableNeedDrain',
]) {
  Object.defineProperty(WebSocket.prototype, name, { enumerable: true });
}

mixInto(WebSocket.prototype);

/**
 * The options for the transports of servers, by the options of `setSocket`. Those that
 * `connectionOptions` returns are shared by connections, and so these are.
 */
const ofServers = new WeakMap();

/** Returns the options for the transport, see `transports/open`. */
function transportOptions(ws, extension, options) {
  const isShared =
    ws._isServer && extension === undefined && Object.isFrozen(options);
  if (isShared && ofServers.has(options)) return ofServers.get(options);
  const { generateMask } = options;
  const made = {
    deflate: extension ? deflateOf(ws, extension) : null,
    limits: {
      maxPayload: options.maxPayload | 0,
      maxFragments: orUnlimited(options.maxFragments | 0),
      masked: ws._isServer,
      validates: !options.skipUTF8Validation,
      keepsEnds: true,
    },
    highWaterMark: highWaterMarkOf(options),
    masks: !ws._isServer,
    textsAreStrings: false,
    answers: false,
    isStepwise: options.allowSynchronousEvents === false,
    endsEndPauses: true,
    maskKey: generateMask ? () => maskKey(generateMask) : null,
  };
  if (isShared) ofServers.set(options, made);
  return made;
}

/** Returns the option `deflate` for transports, see `transports/open`. */
function deflateOf(ws, extension) {
  const { params } = extension;
  const own = ws._isServer
    ? params.server_no_context_takeover
    : params.client_no_context_takeover;
  // With context takeover, compression helps short messages, too.
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

/** Aborts the opening handshake. */
function giveUp(ws) {
  const text = 'WebSocket was closed before the connection was established';
  abort(ws, ws._req, text);
}

/**
 * Ends this direction if this end has sent a close frame, and the other end has sent one,
 * too (RFC 6455, 7.1.1), or has violated the protocol (RFC 6455, 7.1.7).
 */
function endIfClosed(ws) {
  const mayEnd = ws._closeFrameReceived || ws._failed;
  if (ws._closeFrameSent && mayEnd && ws._transport) ws._transport.end();
}

/** Returns the flags (`native.flag`) of a message for its options and type of data. */
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

/**
 * Returns an option, or its default if it is left out. A property with the value
 * `undefined` is not left out, and counts as false.
 */
function given(options, name, byDefault) {
  const value = options[name];
  if (value !== undefined) return value;
  return Object.prototype.hasOwnProperty.call(options, name)
    ? value
    : byDefault;
}

/** Sends a ping or a pong with the arguments of `ping` and `pong`. */
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

/** Returns the BlobQueue of a WebSocket, which is created if needed. */
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
  ws._transport.watch();
}

/**
 * Sends a PreparedMessage. With options, or after a Blob, it is sent as its data would be.
 */
function sendPrepared(ws, message, options, cb) {
  if (ws._blobs === null && !options) {
    ws._transport.sendPrepared(message, message.flagsFor(ws._flags), cb);
    return;
  }
  const { compress, data, isBinary: binary } = message;
  ws.send(data, { binary, compress, ...options }, cb);
}

/** Sends a Blob, or data sent after a Blob, through the BlobQueue. */
function sendLater(ws, data, flags, cb) {
  blobsOf(ws).add(data || EMPTY_BUFFER, cb, false, (payload) => {
    ws._transport.send(payload, flags, cb);
  });
  ws._transport.watch();
}

/**
 * Handles data passed to a WebSocket that is not open: throws if it is connecting,
 * otherwise adds the length to `bufferedAmount` and calls back with an error.
 */
function refuse(ws, data, cb) {
  const { readyState } = ws;
  const text = `WebSocket is not open: readyState ${readyState} (${STATES[readyState]})`;
  if (readyState === CONNECTING) throw new Error(text);
  if (data instanceof PreparedMessage) {
    ws._bufferedAmount += data.length;
  } else if (data) {
    ws._bufferedAmount += isWaitedFor(data) ? data.size : toBuffer(data).length;
  }
  if (cb) nextTick(cb, new Error(text));
}

WebSocket.diagnostics = diagnostics;

module.exports = WebSocket;
