'use strict';

const EventEmitter = require('events');
const http = require('http');

const Extensions = require('./Extensions');
const { check } = require('./options');
const PerMessageDeflate = require('./PerMessageDeflate');
const WebSocket = require('./WebSocket');
const { callLast } = require('../environment');
const native = require('../native');
const broadcast = require('../server/broadcast');
const listen = require('../server/listen');
const NodeUpgrade = require('../server/NodeUpgrade');
const { HIGH_WATER_MARK } = require('../transports/highWaterMark');

const { STATUS_SHIFT, VERSION } = native.verdict;

const DEFAULTS = {
  backlog: null, // The default of `net.Server#listen`: 511.
  clientTracking: true,
  handleProtocols: null,
  highWaterMark: HIGH_WATER_MARK,
  host: null,
  maxPayload: 100 * 1024 * 1024, // In bytes.
  noServer: false,
  path: null,
  perMessageDeflate: true,
  port: null,
  reusePort: false,
  server: null,
  verifyClient: null,
};

/**
 * A WebSocket server. Its options and events are documented in index.d.ts.
 *
 * This is a function and not a class, so that it can be called without `new` and on an
 * inheriting object, as WebSocket.
 *
 * @param {Object} options at least one of `port`, `server` and `noServer` is required
 * @param {Function} [callback] a listener for 'listening'; used only with `port`
 * @throws {TypeError} if none of the three is given
 * @throws {RangeError} if `highWaterMark` is out of range
 * @throws {Error} if an option of `perMessageDeflate` is out of range
 */
function WebSocketServer(options, callback) {
  if (!(this instanceof WebSocketServer)) {
    return new WebSocketServer(options, callback);
  }
  EventEmitter.call(this);

  this.options = Object.assign({}, DEFAULTS, options);
  const { clientTracking, noServer, path, port, server } = this.options;
  if (isNone(port) && !server && !noServer) {
    throw new TypeError('missing or invalid options');
  }
  check(this.options);
  deflateFor(this.options); // Throws if an option is out of range.
  this.path = path;
  if (clientTracking) this.clients = new Set();
  /** Called when a client's connection is over. All clients share this function. */
  this._whenOver = (client) => this.clients.delete(client);

  this._server = null;
  if (!isNone(port)) {
    this._server = http.createServer(upgradeRequired);
    this._server.allowHalfOpen = false;
    attach(this);
    const onUpgrade = (upgrade) => takeUpgrade(this, upgrade);
    listen(this._server, this.options, onUpgrade, callback);
  } else if (server) {
    this._server = server;
    attach(this);
  }
}

Object.setPrototypeOf(WebSocketServer, EventEmitter);
Object.setPrototypeOf(WebSocketServer.prototype, EventEmitter.prototype);

Object.assign(WebSocketServer.prototype, {
  /**
   * Terminates all clients, unless `clientTracking` is false, and stops handling
   * upgrades. With `port`, also closes the HTTP server.
   *
   * @param {Function} [callback] called when the HTTP server has closed, or at once if it
   *   is not closed; called with an error if the HTTP server was not open
   */
  close(callback) {
    if (this.clients) {
      for (const client of this.clients) client.terminate();
    }
    const server = this._server;
    if (server) {
      for (const [event, listener] of Object.entries(this._listeners)) {
        server.removeListener(event, listener);
      }
      this._server = null;
      if (!isNone(this.options.port)) {
        server.close(callback);
        return;
      }
    }
    if (callback) callback();
  },

  /** Sends a message to all open clients, see `server/broadcast`. */
  broadcast(data, options, callback) {
    return broadcast(this.clients, data, options, callback);
  },

  /** Whether the path of a request is that of the option `path`, if given. */
  shouldHandle(request) {
    const { path } = this.options;
    return !path || pathOf(request) === path;
  },

  /**
   * Handles an upgrade request.
   *
   * @param {http.IncomingMessage} request
   * @param {stream.Duplex} socket
   * @param {Buffer} head the bytes that were read after the request
   * @param {Function} callback called with the WebSocket if the handshake succeeds
   */
  handleUpgrade(request, socket, head, callback) {
    const upgrade = new NodeUpgrade(request, socket, head);
    upgrade.guard();
    upgrade.whenDue((isDue) => {
      if (isDue) consider(this, upgrade, callback);
      else refuse(upgrade, 400);
    });
  },
});

/** Adds listeners to the HTTP server. `close` removes them. */
function attach(wss) {
  wss._listeners = {
    error: (error) => wss.emit('error', error),
    listening: () => wss.emit('listening'),
    upgrade(request, socket, head) {
      wss.handleUpgrade(request, socket, head, (client) => {
        emitConnection(wss, client, request.url);
      });
    },
  };
  for (const [event, listener] of Object.entries(wss._listeners)) {
    wss._server.on(event, listener);
  }
}

function emitConnection(wss, client, url) {
  callLast(() => wss.emit(`connection${url}`, client));
  callLast(() => wss.emit('connection', client));
}

// The methods of this module. Programs may replace those of the prototype.
const { handleUpgrade, shouldHandle } = WebSocketServer.prototype;

/** Handles an upgrade request that the engine has read and found valid. */
function takeUpgrade(wss, upgrade) {
  const isOwn =
    wss.handleUpgrade === handleUpgrade && wss.shouldHandle === shouldHandle;
  // A method that the program has replaced takes Node's objects.
  if (!isOwn || !wss.shouldHandle(upgrade)) {
    upgrade.handOver();
    return;
  }
  const emit = (client) => emitConnection(wss, client, upgrade.url);
  const { handleProtocols, verifyClient } = wss.options;
  const isAsked =
    upgrade.offers ||
    !!handleProtocols ||
    !!verifyClient ||
    wss.listenerCount('headers') > 0;
  if (isAsked) {
    consider(wss, upgrade, emit);
    return;
  }
  const { version } = upgrade;
  accept(wss, upgrade, { extensions: {}, protocol: '', version }, emit);
}

/** Checks an upgrade request, and accepts or refuses it. */
function consider(wss, upgrade, callback) {
  try {
    judge(wss, upgrade, callback);
  } catch (error) {
    // A function of the user has thrown: the request would get no response.
    refuse(upgrade, 500);
    throw error;
  }
}

function judge(wss, upgrade, callback) {
  const { request } = upgrade;
  const { headers } = request;
  const verdict = native.verifyRequest(
    text(request.method),
    text(headers.upgrade),
    text(headers.connection),
    text(headers['sec-websocket-key']),
    text(headers['sec-websocket-version']),
  );
  const status = verdict >> STATUS_SHIFT;
  const version = verdict & VERSION || undefined;
  if (!wss.shouldHandle(request) || status) {
    refuse(upgrade, status || 400);
    return;
  }

  const { handleProtocols, verifyClient } = wss.options;
  const offer = text(headers['sec-websocket-protocol']);
  const offered = offer ? native.parseSubprotocols(offer) : [''];
  const protocol = handleProtocols ? handleProtocols(offered) : offered[0];
  if (protocol === false) {
    refuse(upgrade, 401);
    return;
  }
  if (protocol && !isHeaderValue(protocol)) {
    refuse(upgrade, 500);
    return;
  }

  const accept = () => {
    completeUpgrade(wss, upgrade, { protocol, version }, callback);
  };
  if (!verifyClient) {
    accept();
    return;
  }
  const info = {
    origin: headers[version === 8 ? 'sec-websocket-origin' : 'origin'],
    secure: upgrade.isSecure,
    req: request,
  };
  if (verifyClient.length !== 2) {
    if (verifyClient(info)) accept();
    else refuse(upgrade, 401);
    return;
  }
  let answered = false;
  verifyClient(info, (result, code, name) => {
    if (answered) return;
    answered = true;
    if (result) accept();
    else refuse(upgrade, code || 401, name);
  });
}

/** Sends the 101 response and creates the WebSocket. */
function completeUpgrade(wss, upgrade, { protocol, version }, callback) {
  const { request } = upgrade;
  // The client may have disconnected before `verifyClient` called back.
  if (!upgrade.isOpen) {
    upgrade.destroy();
    return;
  }
  let extension;
  try {
    extension = deflateFor(wss.options);
  } catch {
    // The options were changed after the constructor checked them.
    refuse(upgrade, 500);
    return;
  }
  let extensions;
  try {
    extensions = acceptExtensions(extension, request);
  } catch {
    refuse(upgrade, 400);
    return;
  }

  const key = native.acceptKey(request.headers['sec-websocket-key']);
  const headers = [
    'HTTP/1.1 101 Switching Protocols',
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Accept: ${key}`,
  ];
  if (protocol) headers.push(`Sec-WebSocket-Protocol: ${protocol}`);
  const agreed = Object.entries(extensions).map(([name, { params }]) => [
    name,
    params,
  ]);
  if (agreed.length > 0) {
    const value = Extensions.format(Object.fromEntries(agreed));
    headers.push(`Sec-WebSocket-Extensions: ${value}`);
  }
  try {
    wss.emit('headers', headers, request);
  } catch (error) {
    refuse(upgrade, 500);
    throw error;
  }
  upgrade.respond(`${headers.join('\r\n')}\r\n\r\n`);
  accept(wss, upgrade, { extensions, protocol, version }, callback);
}

/** Creates the WebSocket for an upgrade. */
function accept(wss, upgrade, { extensions, protocol, version }, callback) {
  const { highWaterMark, maxFragments, maxPayload, strictMasking } =
    wss.options;
  const client = new WebSocket(upgrade, {
    extensions,
    highWaterMark,
    maxFragments,
    maxPayload,
    protocol,
    protocolVersion: version,
    strictMasking,
  });
  if (wss.clients) {
    wss.clients.add(client);
    client._whenOver = wss._whenOver;
  }
  callLast(callback, client);
}

/**
 * Creates the permessage-deflate extension for a connection; null if it is disabled.
 *
 * @throws {Error} if an option is out of range
 */
function deflateFor({ maxPayload, perMessageDeflate }) {
  if (!perMessageDeflate) return null;
  const options = perMessageDeflate === true ? {} : perMessageDeflate;
  return new PerMessageDeflate(options, true, maxPayload);
}

/**
 * Negotiates the extensions that a request offers.
 *
 * @returns {Object} the accepted extensions, by name
 * @throws {Error} if an offer is invalid, or none is acceptable
 */
function acceptExtensions(extension, { headers }) {
  const name = PerMessageDeflate.extensionName;
  const header = text(headers['sec-websocket-extensions']);
  if (extension === null || !header) return {};
  const offers = Extensions.parse(header);
  if (!Object.prototype.hasOwnProperty.call(offers, name)) return {};
  extension.accept(offers[name]);
  return { [name]: extension };
}

/** Responds with 426 to a request that is not an upgrade, on a server with `port`. */
function upgradeRequired(request, response) {
  const body = http.STATUS_CODES[426];
  response.writeHead(426, {
    'Content-Length': body.length,
    'Content-Type': 'text/plain',
  });
  response.end(body);
}

/**
 * Refuses a handshake. `name` is used as the reason phrase, as ws documents, and as the
 * body, as ws implements it. By default, both are the standard phrase of the status.
 */
function refuse(upgrade, status, name) {
  const { socket } = upgrade;
  const own = http.STATUS_CODES[status] || '';
  const content = isNone(name) ? own : `${name}`;
  const phrase = isHeaderValue(content) ? content : own;
  if (socket.writable) {
    socket.write(
      `HTTP/1.1 ${status} ${phrase}\r\n` +
        'Connection: close\r\n' +
        'Content-Type: text/html\r\n' +
        `Content-Length: ${Buffer.byteLength(content)}\r\n` +
        (status === 400 ? 'Sec-WebSocket-Version: 13, 8\r\n' : '') +
        `\r\n${content}`,
    );
  }
  upgrade.unguard();
  socket.destroy();
}

function isNone(value) {
  return value === undefined || value === null;
}

/** Whether a value may be put into a header line or a status line. */
function isHeaderValue(value) {
  return /^[\t\x20-\x7e\x80-\xff]*$/.test(value);
}

/**
 * Returns a field of a request as a string, or undefined. Requests that Node did not
 * create may have numbers.
 */
function text(value) {
  if (typeof value === 'number') return `${value}`;
  return typeof value === 'string' ? value : undefined;
}

/** Returns the path of a request, without scheme, authority, query and fragment. */
function pathOf({ url }) {
  return /^(?:[a-z][a-z0-9+.-]*:\/\/[^/?#]*)?([^?#]*)/i.exec(url)[1];
}

module.exports = WebSocketServer;
