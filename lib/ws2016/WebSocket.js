'use strict';

const EventEmitter = require('events');

const EventTarget = require('./EventTarget');
const PerMessageDeflate = require('./PerMessageDeflate');
const { buildHostHeader, connect, leave } = require('./connect');
const { notSent } = require('./errors');
const { check } = require('./options');
const { closing, isBinary, toBuffer } = require('./payload');
const { ReceiverView, SenderView } = require('./views');
const errorOf = require('./violations');
const { controlPayload } = require('../codec/payload');
const {
  callLast,
  clearTimeout,
  nextTick,
  setTimeout,
} = require('../environment');
const keepCompactly = require('../listeners');
const { flag, kind } = require('../native');
const PreparedMessage = require('../PreparedMessage');
const NodeUpgrade = require('../server/NodeUpgrade');
const Upgrade = require('../server/Upgrade');
const UpgradeRequest = require('../server/UpgradeRequest');
const diagnostics = require('../transports/diagnostics');
const { highWaterMarkOf } = require('../transports/highWaterMark');

const { FIN, MASK, RSV1 } = flag;
const { BINARY, CLOSE, PING, PONG, TEXT } = kind;

/** The maximum duration of the closing handshake, in milliseconds. */
const CLOSE_TIMEOUT = 30 * 1000;

/** The default of a client's `maxPayload`, in bytes. */
const CLIENT_MAX_PAYLOAD = 256 * 1024 * 1024;

const CONNECTING = 0;
const OPEN = 1;
const CLOSING = 2;
const CLOSED = 3;

const BINARY_TYPES = ['nodebuffer', 'arraybuffer'];

const noop = () => {};

/**
 * A WebSocket connection. Its options and events are documented in index.d.ts.
 *
 * This is a function and not a class, so that it can be called without `new`, and on an
 * object that inherits from it (`util.inherits`).
 *
 * @param {String|URL|Object|Array|Upgrade} address the URL to connect to; or, on a server,
 *   `[request, socket, head]` of an upgrade request for which the 101 response is sent,
 *   or an Upgrade
 * @param {String|String[]} [protocols] the subprotocols to offer
 * @param {Object} [options]
 * @throws {Error} if the address or an option is invalid
 */
function WebSocket(address, protocols, options) {
  if (!(this instanceof WebSocket)) {
    return new WebSocket(address, protocols, options);
  }
  EventEmitter.call(this);
  keepCompactly(this);

  if (isOptions(protocols)) {
    options = protocols;
    protocols = [];
  }

  this.bytesReceived = 0;
  this.extensions = {};
  this.readyState = CONNECTING;
  this._binaryType = BINARY_TYPES[0];
  this._closeCode = undefined;
  this._closeMessage = undefined;
  this._closeReceived = false;
  this._closeSent = false;
  this._closeTimer = null;
  /** Set when the other end has violated the protocol: nothing more is read. */
  this._failed = false;
  /** Set when 'close' is emitted. */
  this._isOver = false;
  /** Set by the server: called with this WebSocket when the connection is over. */
  this._whenOver = null;
  /** The flags of a message without options. */
  this._flags = 0;
  this._isServer = Array.isArray(address) || address instanceof Upgrade;
  /** Aborts the opening handshake; null if none is in progress. */
  this._abort = null;
  /** Created when a program first reads `_receiver` or `_sender`. */
  this._receiverView = null;
  this._senderView = null;
  /**
   * On a server, the upgrade request, or its head as a string, until the request is
   * first read; null for a client.
   */
  this._request = null;
  /** The queue of what is sent during `stream()`; null if no stream is in progress. */
  this._queue = null;
  this._transport = null;

  // A server has checked its options itself.
  if (!(address instanceof Upgrade)) check(options || {});
  if (this._isServer) {
    acceptClient(this, address, options || {});
  } else {
    connectTo(this, address, protocols, options || {});
  }
}

Object.setPrototypeOf(WebSocket, EventEmitter);
Object.setPrototypeOf(WebSocket.prototype, EventEmitter.prototype);

for (const object of [WebSocket, WebSocket.prototype]) {
  Object.assign(object, { CONNECTING, OPEN, CLOSING, CLOSED });
}

Object.assign(WebSocket.prototype, {
  /**
   * Starts the closing handshake (RFC 6455, 7.1.2).
   *
   * With an invalid code or reason, 'error' is emitted and the connection stays open.
   *
   * @param {Number} [code=1000]
   * @param {String|Buffer} [data] the reason, at most 123 bytes of UTF-8
   */
  close(code, data) {
    switch (this.readyState) {
      case CLOSED:
        return;
      case CONNECTING:
        // The opening handshake continues. The close frame is sent after it.
        this.readyState = CLOSED;
        this._closeCode = code;
        this._closeMessage = data;
        finishLater(this);
        return;
      case CLOSING:
        if (mayEndNow(this)) this.terminate();
        return;
    }
    let payload;
    try {
      payload = closing(code, data);
    } catch (error) {
      this.emit('error', error);
      return;
    }
    this._transport.control(CLOSE, payload, !this._isServer, (error) => {
      if (this.readyState === CLOSED) return;
      this._closeSent = true;
      if (error) fail(this);
      else if (mayEndNow(this)) this.terminate();
    });
    this.readyState = CLOSING;
    this._closeCode = code;
    this._closeMessage = data;
    finishLater(this);
    this._transport.drop();
  },

  /** Ends the connection at once, without a closing handshake. */
  terminate() {
    if (this._isOver) return;
    if (this._transport === null) {
      fail(this);
      return;
    }
    this.readyState = CLOSING;
    finishLater(this);
    this._transport.end();
    this._transport.drop();
  },

  /**
   * Stops reading. No events for received data are emitted until `resume`.
   *
   * @throws {Error} if the connection is not open
   */
  pause() {
    mustBeOpen(this);
    this._transport.pause();
  },

  /**
   * Continues reading.
   *
   * @throws {Error} if the connection is not open
   */
  resume() {
    mustBeOpen(this);
    this._transport.resume();
  },

  /**
   * Sends a ping.
   *
   * @param {*} [data] at most 125 bytes
   * @param {Object} [options] `mask`
   * @param {Boolean} [dontFailWhenClosed=false] if true, do nothing if the connection is
   *   not open
   * @throws {Error} if the connection is not open
   * @throws {RangeError} if the data is too long
   */
  ping(data, options, dontFailWhenClosed) {
    if (dontFailWhenClosed === true && this.readyState !== OPEN) return;
    mustBeOpen(this);
    sendControl(this, PING, data, options);
  },

  /** Sends a pong. The arguments are those of `ping`. */
  pong(data, options, dontFailWhenClosed) {
    if (dontFailWhenClosed === true && this.readyState !== OPEN) return;
    mustBeOpen(this);
    sendControl(this, PONG, data, options);
  },

  /**
   * Sends a message, or a fragment of one.
   *
   * @param {*} data also a PreparedMessage
   * @param {Object} [options] `binary`, `compress`, `fin` and `mask`
   * @param {Function} [cb] called with null when the data is handed to the operating
   *   system, or with an error
   * @throws {Error} if the connection is not open and there is no callback
   */
  send(data, options, cb) {
    if (typeof options === 'function') {
      cb = options;
      options = undefined;
    }
    if (this.readyState !== OPEN) {
      if (!cb) mustBeOpen(this);
      cb(notOpened());
      return;
    }
    if (typeof data === 'object' && data instanceof PreparedMessage) {
      sendPrepared(this, data, options, cb);
      return;
    }
    const flags = flagsOf(this, data, options);
    if (this._queue === null) {
      this._transport.send(payloadOf(data), flags, cb);
      return;
    }
    // The caller may reuse the memory of `data` while it is queued.
    enqueue(this, typeof data === 'string' ? data : copyOf(data), flags, cb);
    this._transport.watch();
  },

  /**
   * Sends a message in fragments.
   *
   * Messages that are sent meanwhile by `send` and `stream` are queued until the last
   * fragment is sent.
   *
   * @param {Object} [options] `binary`, `compress` and `mask`
   * @param {Function} cb called on the next tick, and again on the tick after each
   *   fragment but the last, with `null` and a function `send(data, final)`; or with an
   *   error
   * @throws {Error} if `cb` is not a function
   */
  stream(options, cb) {
    if (typeof options === 'function') {
      cb = options;
      options = undefined;
    }
    if (typeof cb !== 'function') throw new Error('callback must be provided');
    if (this.readyState !== OPEN) {
      cb(notOpened());
      return;
    }
    if (this._queue !== null) {
      this._queue.push(() => this.stream(options, cb), cb, 0);
      return;
    }
    this._queue = new Waiting();
    const send = (data, final) => {
      if (this.readyState !== OPEN) {
        cb(notOpened());
        return;
      }
      const fin = final === true;
      const fragment = Object.assign({ binary: false }, options, { fin });
      try {
        const flags = flagsOf(this, data, fragment);
        this._transport.send(payloadOf(data), flags);
      } catch (error) {
        cb(error);
        return;
      }
      if (!fin) {
        nextTick(cb, null, send);
        return;
      }
      const waiting = this._queue;
      this._queue = null;
      waiting.run();
    };
    nextTick(cb, null, send);
  },
});

Object.defineProperties(WebSocket.prototype, {
  /** The bytes sent but not yet handed to the operating system. */
  bufferedAmount: {
    configurable: true,
    enumerable: true,
    get() {
      if (this._transport === null || this._isOver) return 0;
      return this._transport.queuedBytes;
    },
  },

  /**
   * Whether 'drain' follows: more than `highWaterMark` bytes were queued, and some still
   * are.
   */
  writableNeedDrain: {
    configurable: true,
    enumerable: true,
    get() {
      if (this._transport === null || this._isOver) return false;
      return this._transport.needsDrain;
    },
  },

  /** The upgrade request, on a server. */
  upgradeReq: {
    configurable: true,
    enumerable: true,
    get() {
      if (typeof this._request === 'string') {
        this._request = new UpgradeRequest(this._request, () => this._socket);
      }
      return this._request === null ? undefined : this._request;
    },
    set(request) {
      this._request = request;
    },
  },

  /** The type of binary data for `onmessage` and `addEventListener`. */
  binaryType: {
    configurable: true,
    enumerable: true,
    get() {
      return this._binaryType;
    },
    set(type) {
      if (!BINARY_TYPES.includes(type)) {
        throw new SyntaxError(
          'unsupported binaryType: must be either "nodebuffer" or "arraybuffer"',
        );
      }
      this._binaryType = type;
    },
  },
});

// Properties that ws does not document, but that programs use.
Object.defineProperties(WebSocket.prototype, {
  /** Node's socket, or null before the connection is open and after it has ended. */
  _socket: {
    configurable: true,
    get() {
      return this._transport === null ? null : this._transport.socket;
    },
  },

  _receiver: {
    configurable: true,
    get() {
      if (this._transport === null) return null;
      if (this._receiverView === null) {
        const carrier = () => this._transport;
        const { extensions, maxPayload } = this;
        this._receiverView = new ReceiverView(carrier, extensions, maxPayload);
      }
      return this._receiverView;
    },
  },

  _sender: {
    configurable: true,
    get() {
      if (this._transport === null) return null;
      if (this._senderView === null) {
        const carrier = () => this._transport;
        this._senderView = new SenderView(carrier, this.extensions);
      }
      return this._senderView;
    },
  },
});

EventTarget.mixInto(WebSocket.prototype);

/** The calls that are queued during `stream()`, each with its callback. */
class Waiting {
  constructor() {
    this._all = [];
    /** The bytes of all queued messages. */
    this.bytes = 0;
  }

  push(run, cb, bytes) {
    this._all.push({ run, cb });
    this.bytes += bytes;
  }

  run() {
    for (const { run } of this._all) callLast(run);
  }

  fail() {
    for (const { cb } of this._all) if (cb) nextTick(cb, notOpened());
  }
}

/** Queues a message until the stream in progress has ended. */
function enqueue(ws, data, flags, cb) {
  const run = () => sendLater(ws, data, flags, cb);
  ws._queue.push(run, cb, Buffer.byteLength(data));
}

/** Sends a queued message, or queues it again if another stream has started. */
function sendLater(ws, data, flags, cb) {
  if (ws.readyState !== OPEN) {
    if (cb) cb(notOpened());
  } else if (ws._queue !== null) {
    enqueue(ws, data, flags, cb);
  } else {
    ws._transport.send(data, flags, cb);
  }
}

/**
 * Sends a PreparedMessage. With options, or during `stream()`, it is sent as its data
 * would be.
 */
function sendPrepared(ws, message, options, cb) {
  if (ws._queue === null && !options) {
    ws._transport.sendPrepared(message, message.flagsFor(ws._flags), cb);
    return;
  }
  const { compress, data, isBinary: binary } = message;
  ws.send(data, Object.assign({ binary, compress }, options), cb);
}

/** Converts data to the string or Buffer that a transport sends. */
function payloadOf(data) {
  return typeof data === 'string' ? data : toBuffer(data);
}

function sendControl(ws, opcode, data, options) {
  const payload = controlPayload(toBuffer(data));
  ws._transport.control(opcode, payload, masks(ws, options));
}

/** Returns a copy of the bytes of `data`. */
function copyOf(data) {
  return Buffer.from(toBuffer(data));
}

function isOptions(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function notOpened() {
  return new Error('not opened');
}

function mustBeOpen(ws) {
  if (ws.readyState !== OPEN) throw notOpened();
}

/** Whether to mask a frame. By default, a client masks and a server does not. */
function masks(ws, options) {
  return options && options.mask !== undefined ? !!options.mask : !ws._isServer;
}

/** Returns the flags (`native.flag`) of a message for its options and type of data. */
function flagsOf(ws, data, options) {
  if (options === undefined || options === null) {
    return ws._flags | (isBinary(data) ? BINARY : TEXT);
  }
  const { binary = isBinary(data), compress = true, fin } = options;
  return (
    (binary ? BINARY : TEXT) |
    (fin === false ? 0 : FIN) |
    (compress ? ws._flags & RSV1 : 0) |
    (masks(ws, options) ? MASK : 0)
  );
}

/** Emits an error that the other end has caused, unless there is no listener for it. */
function emitIfHeard(ws, error) {
  if (ws.listenerCount('error') > 0) ws.emit('error', error);
}

/** The methods that a transport calls, see `transports/open`. */
const incoming = {
  message(ws, data, binary, masked, wire) {
    ws.bytesReceived += wire;
    ws.emit('message', data, { masked, binary });
  },

  ping(ws, data, masked, wire) {
    ws.bytesReceived += wire;
    ws.emit('ping', data, { masked, binary: true });
  },

  pong(ws, data, masked, wire) {
    ws.bytesReceived += wire;
    ws.emit('pong', data, { masked, binary: true });
  },

  // A close frame without a code is reported as 1000 (normal closure).
  close(ws, code, reason, masked, wire) {
    ws.bytesReceived += wire;
    ws._closeReceived = true;
    ws.close(code || 1000, reason.toString());
  },

  violation(ws, violation, closeCode, wire) {
    ws.bytesReceived += wire;
    ws._failed = true;
    ws.close(closeCode, '');
    emitIfHeard(ws, errorOf(violation));
  },

  dropped(ws, wire) {
    ws.bytesReceived += wire;
  },

  end(ws) {
    finish(ws, false);
  },

  // As in ws, no 'error' is emitted for an error of the socket, only 'close'.
  failed(ws) {
    finish(ws, true);
  },

  closing() {},

  closed(ws) {
    finish(ws, true);
  },

  wantsEnds: () => false,

  hasSocket() {},

  moved(ws, transport) {
    ws._transport = transport;
  },

  heldBytes: (ws) => (ws._queue === null ? 0 : ws._queue.bytes),

  drained(ws) {
    if (!ws._isOver) ws.emit('drain');
  },

  notSent,
};

/** Opens a connection that a server has accepted. */
function acceptClient(ws, from, options) {
  const upgrade = from instanceof Upgrade ? from : new NodeUpgrade(...from);
  ws.protocolVersion =
    options.protocolVersion ||
    +upgrade.request.headers['sec-websocket-version'];
  ws.extensions = options.extensions || {};
  ws.maxPayload = options.maxPayload;
  ws.protocol = options.protocol;
  ws._request = upgrade.requestOrHead;
  establish(ws, upgrade, options);
}

/** Starts the opening handshake of a client. */
function connectTo(ws, address, protocols, given) {
  const { maxPayload } = given;
  const isGiven = maxPayload !== undefined && maxPayload !== null;
  const options = isGiven
    ? given
    : Object.assign({}, given, { maxPayload: CLIENT_MAX_PAYLOAD });
  ws._abort = connect(address, protocols, options, {
    start(version) {
      ws.protocolVersion = version;
      ws.url = address;
      ws.maxPayload = options.maxPayload;
    },

    opened(socket, head, protocol, extensions) {
      if (ws.readyState !== CONNECTING) {
        leave(socket, ws._closeCode, ws._closeMessage);
        finish(ws, false);
        return;
      }
      if (protocol) ws.protocol = protocol;
      ws.extensions = extensions;
      establish(ws, new NodeUpgrade(null, socket, head), options);
    },

    failed(error) {
      if (ws.readyState === CONNECTING) callLast(() => ws.emit('error', error));
      fail(ws);
    },

    unexpectedResponse(request, response) {
      if (ws.readyState !== CONNECTING) return false;
      if (!ws.listenerCount('unexpected-response')) return false;
      callLast(() => ws.emit('unexpected-response', request, response));
      finish(ws, false);
      return true;
    },
  });
}

/** Opens the connection after the handshake: `upgrade` opens its transport. */
function establish(ws, upgrade, options) {
  const extension = ws.extensions[PerMessageDeflate.extensionName];
  ws._flags = FIN | (ws._isServer ? 0 : MASK) | (extension ? RSV1 : 0);
  upgrade.open(ws, incoming, transportOptions(ws, extension, options));
  ws._abort = null;
  ws.readyState = OPEN;
  ws.emit('open');
}

/**
 * The options of the last transport without permessage-deflate. Connections with the same
 * options share them.
 */
let last = null;

/** Returns the options for the transport, see `transports/open`. */
function transportOptions(ws, extension, options) {
  const { _isServer: isServer, maxPayload } = ws;
  const { maxFragments, strictMasking } = options;
  const highWaterMark = highWaterMarkOf(options);
  const limits = { maxPayload, maxFragments };
  if (strictMasking) limits.masked = isServer;
  const isLast =
    last !== null &&
    last.masks === !isServer &&
    last.highWaterMark === highWaterMark &&
    last.limits.maxPayload === maxPayload &&
    last.limits.maxFragments === maxFragments &&
    last.limits.masked === limits.masked;
  if (extension === undefined && isLast) return last;
  const made = {
    deflate: extension ? extension.forCodec : null,
    limits,
    highWaterMark,
    masks: !isServer,
    textsAreStrings: true,
    answers: true,
  };
  if (extension === undefined) last = made;
  return made;
}

/**
 * Whether this end may end the socket now. A server does so when both ends have sent a
 * close frame (RFC 6455, 7.1.1). After a violation, either end does so when it has sent
 * its close frame (RFC 6455, 7.1.7).
 */
function mayEndNow(ws) {
  return ws._closeSent && (ws._failed || (ws._closeReceived && ws._isServer));
}

/** Ends the connection after `CLOSE_TIMEOUT` if the other end has not ended it. */
function finishLater(ws) {
  clearTimeout(ws._closeTimer);
  ws._closeTimer = setTimeout(fail, CLOSE_TIMEOUT, ws);
}

/** Ends the connection at once, in any state. */
function fail(ws) {
  if (ws._abort !== null) ws._abort();
  finish(ws, true);
}

/**
 * Ends the connection: emits 'close', which is the last event, and releases all
 * resources. The socket is destroyed if `atOnce` is true, and otherwise ended after its
 * queued data is sent.
 */
function finish(ws, atOnce) {
  if (ws._isOver) return;
  ws._isOver = true;
  ws.readyState = CLOSED;
  clearTimeout(ws._closeTimer);
  ws._closeTimer = null;
  // Without a close frame of the other end the code is 1006 (RFC 6455, 7.1.5).
  if (!ws._closeReceived) ws._closeCode = 1006;
  const waiting = ws._queue;
  ws._queue = null;
  if (waiting !== null) waiting.fail();
  if (ws._whenOver !== null) ws._whenOver(ws);
  callLast(() => {
    ws.emit('close', ws._closeCode || 1000, ws._closeMessage || '');
  });
  if (ws._transport !== null) ws._transport.release(atOnce);
  for (const extension of Object.values(ws.extensions)) extension.cleanup();
  ws._abort = null;
  ws._transport = null;
  ws._receiverView = null;
  ws._senderView = null;
  ws.extensions = {};
  ws.removeAllListeners();
  // Ignore errors from here on.
  ws.on('error', noop);
}

WebSocket.diagnostics = diagnostics;

WebSocket.buildHostHeader = buildHostHeader;

module.exports = WebSocket;
