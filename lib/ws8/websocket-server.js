'use strict';

const EventEmitter = require('events');
const http = require('http');

const { kOpen, kWebSocket } = require('./constants');
const extension = require('./extension');
const { judge, negotiate } = require('./opening');
const { DEFAULTS, check, connectionOptions } = require('./options');
const PerMessageDeflate = require('./permessage-deflate');
const { ask, isHeader, refuse } = require('./refusal');
const WebSocket = require('./websocket');
const { nextTick } = require('../environment');
const native = require('../native');
const broadcast = require('../server/broadcast');
const EngineUpgrade = require('../server/EngineUpgrade');
const listen = require('../server/listen');
const NodeUpgrade = require('../server/NodeUpgrade');

/** The states of a server, in their order. */
const RUNNING = 0;
const CLOSING = 1;
const CLOSED = 2;

const SERVER_DEFAULTS = {
  ...DEFAULTS,
  WebSocket,
  backlog: null, // The default of `net.Server#listen`: 511.
  clientTracking: true,
  handleProtocols: null,
  host: null,
  noServer: false,
  path: null,
  perMessageDeflate: false,
  port: null,
  reusePort: false,
  server: null,
  verifyClient: null,
};

/**
 * A WebSocket server, as documented in doc/ws.md of ws 8, Class: WebSocketServer.
 *
 * Events: `'connection' (websocket, request)`, `'headers' (lines, request)`,
 * `'wsClientError' (error, socket, request)`, `'listening'`, `'error'` and `'close'`.
 */
class WebSocketServer extends EventEmitter {
  /**
   * @param {Object} options exactly one of `port`, `server` and `noServer` is required
   * @param {Function} [callback] a listener for 'listening'; used only with `port`
   * @throws {TypeError} unless exactly one of the three is given
   * @throws {RangeError} if `highWaterMark` is out of range
   * @throws {Error} if an option of `perMessageDeflate` is out of range
   */
  constructor(options, callback) {
    super();

    this.options = { ...SERVER_DEFAULTS, ...options };
    const { clientTracking, noServer, perMessageDeflate, server } =
      this.options;
    const places = [ownsServer(this), server, noServer].filter(Boolean);
    if (places.length !== 1) {
      throw new TypeError(
        'One and only one of the "port", "server", or "noServer" options ' +
          'must be specified',
      );
    }
    check(this.options);
    if (perMessageDeflate === true) this.options.perMessageDeflate = {};
    // What is out of range throws now, and not at each handshake.
    if (perMessageDeflate)
      new PerMessageDeflate(this.options.perMessageDeflate);
    if (clientTracking) this.clients = new Set();
    /** Called when a client has closed. All clients share this function. */
    this._whenOver = (websocket) => leave(this, websocket);

    this._state = RUNNING;
    this._server = server || null;
    if (ownsServer(this)) this._server = newServer();
    this._detach = this._server === null ? () => {} : attach(this);
    if (ownsServer(this)) {
      const onUpgrade = (upgrade) => take(this, upgrade);
      listen(this._server, this.options, onUpgrade, callback);
    }
  }

  /**
   * Returns the address of the HTTP server, as `server.address()`; null after `close`.
   *
   * @throws {Error} with `noServer`
   */
  address() {
    if (this.options.noServer) {
      throw new Error('The server is operating in "noServer" mode');
    }
    return this._server && this._server.address();
  }

  /** Sends a message to all open clients, see `server/broadcast`. */
  broadcast(data, options, callback) {
    return broadcast(this.clients, data, options, callback);
  }

  /**
   * Stops accepting connections. Existing connections stay open. With `port`, also
   * closes the HTTP server, and `'close'` is emitted when that has closed. Otherwise
   * `'close'` is emitted when all clients have disconnected, or on the next tick if
   * `clientTracking` is false.
   *
   * @param {Function} [callback] a listener for `'close'`; called with an error if the
   *   server was already closed
   */
  close(callback) {
    if (this._state === CLOSED) {
      const error = new Error('The server is not running');
      if (callback) this.once('close', () => callback(error));
      nextTick(() => this.emit('close'));
      return;
    }
    if (callback) this.once('close', callback);
    if (this._state === CLOSING) return;

    this._state = CLOSING;
    const server = this._server;
    this._server = null;
    this._detach();
    if (ownsServer(this)) server.close(() => finish(this));
    else finishWhenLeft(this);
  }

  /**
   * Whether the path of a request is that of the option `path`, if given. Programs may
   * override this method.
   *
   * @param {http.IncomingMessage} request
   */
  shouldHandle({ url }) {
    const { path } = this.options;
    return !path || url.split('?', 1)[0] === path;
  }

  /**
   * Handles an upgrade request.
   *
   * @param {http.IncomingMessage} request
   * @param {stream.Duplex} socket
   * @param {Buffer} head the bytes that were read after the request
   * @param {Function} callback called with the WebSocket and the request if the handshake
   *   succeeds
   * @throws {Error} if the socket already belongs to a WebSocket
   */
  handleUpgrade(request, socket, head, callback) {
    const upgrade = new NodeUpgrade(request, socket, head);
    upgrade.guard();
    upgrade.whenDue((isDue) => {
      consider(this, upgrade, isDue, callback);
    });
  }

  /**
   * Sends the 101 response and opens the connection: the last step of `handleUpgrade`.
   *
   * @param {Object} extensions the accepted extensions, by name
   * @param {string} key the value of `Sec-WebSocket-Key`
   * @param {Set} protocols the offered subprotocols
   * @param {http.IncomingMessage} request
   * @param {stream.Duplex} socket
   * @param {Buffer} head the bytes that were read after the request
   * @param {Function} callback called with the WebSocket and the request
   * @throws {Error} if the socket already belongs to a WebSocket
   */
  completeUpgrade(extensions, key, protocols, request, socket, head, callback) {
    const upgrade = new NodeUpgrade(request, socket, head);
    if (upgrade.isOpen && socket[kWebSocket]) {
      upgrade.unguard();
      throw new Error(
        'server.handleUpgrade() was called more than once with the same ' +
          'socket, possibly due to a misconfiguration',
      );
    }
    complete(this, upgrade, { extensions, key, protocols }, callback);
  }
}

/** Accepts an upgrade request whose fields are valid. */
function complete(wss, upgrade, { extensions, key, protocols }, callback) {
  const { request } = upgrade;
  // The client may have disconnected meanwhile.
  if (!upgrade.isOpen) {
    upgrade.destroy();
    return;
  }
  if (wss._state !== RUNNING) {
    refuse(upgrade.socket, 503);
    return;
  }

  const protocol = ask(upgrade, () => choose(wss, protocols, request));
  if (protocol && !isHeader('Sec-WebSocket-Protocol', protocol)) {
    refuse(upgrade.socket, 500);
    return;
  }
  const lines = answer(key, protocol, extensions);
  const websocket = ask(upgrade, () => {
    const made = newWebSocket(wss);
    wss.emit('headers', lines, request);
    return made;
  });
  if (protocol) websocket._protocol = protocol;
  websocket._extensions = extensions;
  upgrade.respond(`${lines.join('\r\n')}\r\n\r\n`);
  open(wss, upgrade, websocket, callback);
}

function newWebSocket({ options }) {
  return new options.WebSocket(null, undefined, options);
}

/** Opens the WebSocket of an upgrade request that was accepted. */
function open(wss, upgrade, websocket, callback) {
  const options = connectionOptions(wss.options);
  track(wss, websocket);
  if (upgrade instanceof EngineUpgrade) {
    websocket[kOpen](upgrade, options);
  } else {
    upgrade.unguard();
    websocket.setSocket(upgrade.socket, upgrade.head, options);
  }
  callback(websocket, upgrade.request);
}

/** Handles an upgrade request that the engine has read and found valid. */
function take(wss, upgrade) {
  if (hasReplaced(wss) || !wss.shouldHandle(upgrade)) {
    upgrade.handOver();
    return;
  }
  const emit = (websocket, request) => {
    wss.emit('connection', websocket, request);
  };
  const { verifyClient } = wss.options;
  const isAsked =
    upgrade.offers || !!verifyClient || wss.listenerCount('headers') > 0;
  if (isAsked) {
    consider(wss, upgrade, true, emit);
    return;
  }
  const websocket = ask(upgrade, () => newWebSocket(wss));
  open(wss, upgrade, websocket, emit);
}

// The methods of these modules. Programs may replace those of the prototypes.
const { completeUpgrade, handleUpgrade, shouldHandle } =
  WebSocketServer.prototype;
const { setSocket } = WebSocket.prototype;

/** Whether the program has replaced a method that takes Node's socket. */
function hasReplaced(wss) {
  return (
    wss.handleUpgrade !== handleUpgrade ||
    wss.completeUpgrade !== completeUpgrade ||
    wss.shouldHandle !== shouldHandle ||
    wss.options.WebSocket.prototype.setSocket !== setSocket
  );
}

/** Whether the server creates, and closes, the HTTP server. */
function ownsServer({ options: { port } }) {
  return port !== undefined && port !== null;
}

/** Creates an HTTP server that responds with 426 to all requests but upgrades. */
function newServer() {
  return http.createServer((request, response) => {
    const body = http.STATUS_CODES[426];
    response.writeHead(426, {
      'Content-Length': body.length,
      'Content-Type': 'text/plain',
    });
    response.end(body);
  });
}

/** Adds listeners to the HTTP server. Returns a function that removes them. */
function attach(wss) {
  const server = wss._server;
  const listeners = Object.entries({
    error: (error) => wss.emit('error', error),
    listening: () => wss.emit('listening'),
    upgrade(request, socket, head) {
      wss.handleUpgrade(request, socket, head, (websocket) => {
        wss.emit('connection', websocket, request);
      });
    },
  });
  for (const [event, listener] of listeners) server.on(event, listener);
  return () => {
    for (const [event, listener] of listeners) {
      server.removeListener(event, listener);
    }
  };
}

/** Adds a WebSocket to `clients` until it has closed. */
function track(wss, websocket) {
  if (!wss.clients) return;
  wss.clients.add(websocket);
  // Not a listener for 'close': the program may remove all listeners.
  websocket._whenOver = wss._whenOver;
}

function leave(wss, websocket) {
  wss.clients.delete(websocket);
  if (wss._state === CLOSING && !ownsServer(wss)) finishWhenLeft(wss);
}

function finishWhenLeft(wss) {
  if (!wss.clients || wss.clients.size === 0) nextTick(finish, wss);
}

function finish(wss) {
  if (wss._state === CLOSED) return;
  wss._state = CLOSED;
  wss.emit('close');
}

/**
 * Checks an upgrade request, and accepts or refuses it. `isDue` is false if the frames
 * cannot be found, see `due`.
 */
function consider(wss, upgrade, isDue, callback) {
  const { request } = upgrade;
  const { refusal, version } = judge(request);
  if (refusal) {
    tell(wss, upgrade, refusal);
    return;
  }
  if (!ask(upgrade, () => wss.shouldHandle(request)) || !isDue) {
    refuse(upgrade.socket, 400);
    return;
  }
  const offer = negotiate(request, wss.options);
  if (offer.refusal) {
    tell(wss, upgrade, offer.refusal);
    return;
  }
  const key = request.headers['sec-websocket-key'];
  const { extensions, protocols } = offer;
  verify(wss, upgrade, version, () => {
    if (upgrade instanceof EngineUpgrade) {
      complete(wss, upgrade, { extensions, key, protocols }, callback);
      return;
    }
    const { head, socket } = upgrade;
    const args = [extensions, key, protocols, request, socket, head, callback];
    wss.completeUpgrade(...args);
  });
}

/**
 * Emits 'wsClientError' for an invalid request. Its listener has to close the socket. If
 * there is no listener, refuses the request.
 */
function tell(wss, { request, socket }, [status, message, headers]) {
  if (wss.listenerCount('wsClientError') === 0) {
    refuse(socket, status, message, headers);
    return;
  }
  try {
    wss.emit('wsClientError', new Error(message), socket, request);
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/** Calls `verifyClient`, if given, and then calls `accept` or refuses the request. */
function verify({ options }, upgrade, version, accept) {
  const { request } = upgrade;
  if (!options.verifyClient) {
    accept();
    return;
  }
  let isAnswered = false;
  const decide = (isVerified, status, message, headers) => {
    if (isAnswered) return;
    isAnswered = true;
    if (isVerified) accept();
    else refuse(upgrade.socket, status || 401, message, headers);
  };
  const origin = version === 8 ? 'sec-websocket-origin' : 'origin';
  const info = {
    origin: request.headers[origin],
    secure: upgrade.isSecure,
    req: request,
  };
  try {
    if (options.verifyClient.length === 2) options.verifyClient(info, decide);
    else decide(options.verifyClient(info));
  } catch (error) {
    decide(false, 500);
    throw error;
  }
}

/** Returns the subprotocol to use, or a falsy value for none. */
function choose({ options }, protocols, request) {
  if (protocols.size === 0) return undefined;
  if (options.handleProtocols) {
    return options.handleProtocols(protocols, request);
  }
  const [first] = protocols;
  return first;
}

/** Returns the lines of the 101 response. */
function answer(key, protocol, extensions) {
  const lines = [
    'HTTP/1.1 101 Switching Protocols',
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Accept: ${native.acceptKey(key)}`,
  ];
  if (protocol) lines.push(`Sec-WebSocket-Protocol: ${protocol}`);
  const name = PerMessageDeflate.extensionName;
  if (extensions[name]) {
    const value = extension.format({ [name]: [extensions[name].params] });
    lines.push(`Sec-WebSocket-Extensions: ${value}`);
  }
  return lines;
}

module.exports = WebSocketServer;
