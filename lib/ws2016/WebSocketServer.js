'use strict';

const EventEmitter = require('events');
const http = require('http');

const Extensions = require('./Extensions');
const PerMessageDeflate = require('./PerMessageDeflate');
const WebSocket = require('./WebSocket');
const { callLast } = require('../environment');
const native = require('../native');
const { whenDue } = require('../upgrade');

const DEFAULTS = {
  backlog: null, // Node's default: 511
  clientTracking: true,
  handleProtocols: null,
  host: null,
  maxPayload: 100 * 1024 * 1024,
  noServer: false,
  path: null,
  perMessageDeflate: true,
  port: null,
  server: null,
  verifyClient: null,
};

/**
 * A server for WebSocket connections: see api.md, Class: WebSocket.Server.
 *
 * A function rather than a class for the same reason as WebSocket.
 *
 * @param {Object} options one of `port`, `server` and `noServer` at least
 * @param {Function} [callback] called when the server listens; with `port` only
 * @throws {TypeError} without one of them
 */
function WebSocketServer(options, callback) {
  if (!(this instanceof WebSocketServer)) {
    return new WebSocketServer(options, callback);
  }
  EventEmitter.call(this);

  this.options = Object.assign({}, DEFAULTS, options);
  const { backlog, clientTracking, host, noServer, path, port, server } =
    this.options;
  if (isNone(port) && !server && !noServer) {
    throw new TypeError('missing or invalid options');
  }
  deflateFor(this.options); // Throws on an option that is out of its range.
  this.path = path;
  if (clientTracking) this.clients = new Set();

  this._server = null;
  if (!isNone(port)) {
    this._server = http.createServer(upgradeRequired);
    this._server.allowHalfOpen = false;
    attach(this);
    this._server.listen(port, host, backlog, callback);
  } else if (server) {
    this._server = server;
    attach(this);
  }
}

Object.setPrototypeOf(WebSocketServer, EventEmitter);
Object.setPrototypeOf(WebSocketServer.prototype, EventEmitter.prototype);

Object.assign(WebSocketServer.prototype, {
  /**
   * Terminates all clients, and closes the HTTP server if it is this server's own.
   *
   * @param {Function} [callback] called when that is done, with an error if there was
   *   one
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

  /** Whether this server handles a request: if its path is the option's. */
  shouldHandle(request) {
    const { path } = this.options;
    return !path || pathOf(request) === path;
  },

  /**
   * Answers an upgrade request.
   *
   * @param {http.IncomingMessage} request
   * @param {stream.Duplex} socket
   * @param {Buffer} head what was read behind the request
   * @param {Function} callback called with the WebSocket, if the handshake succeeds
   */
  handleUpgrade(request, socket, head, callback) {
    socket.on('error', destroy);
    whenDue(request, socket, head, (behind) => {
      if (behind === null) {
        refuse(socket, 400);
        return;
      }
      try {
        judge(this, { request, socket, head: behind }, callback);
      } catch (error) {
        // A function of the program's has thrown: nobody else would answer.
        refuse(socket, 500);
        throw error;
      }
    });
  },
});

/** Answers an upgrade request whose turn it is. */
function judge(wss, { request, socket, head }, callback) {
  const { headers } = request;
  const { status, version } = native.verifyRequest({
    method: text(request.method),
    upgrade: text(headers.upgrade),
    connection: text(headers.connection),
    key: text(headers['sec-websocket-key']),
    version: text(headers['sec-websocket-version']),
  });
  if (!wss.shouldHandle(request) || status) {
    refuse(socket, status || 400);
    return;
  }

  const { handleProtocols, verifyClient } = wss.options;
  const offered = native.parseSubprotocols(
    text(headers['sec-websocket-protocol']) || '',
  );
  const protocol = handleProtocols ? handleProtocols(offered) : offered[0];
  if (protocol === false) {
    refuse(socket, 401);
    return;
  }
  if (protocol && !isHeaderValue(protocol)) {
    refuse(socket, 500);
    return;
  }

  const accept = () => {
    const handshake = { head, protocol, request, socket, version };
    completeUpgrade(wss, handshake, callback);
  };
  if (!verifyClient) {
    accept();
    return;
  }
  const peer = request.connection || request.socket || socket;
  const info = {
    origin: headers[version === 8 ? 'sec-websocket-origin' : 'origin'],
    secure: !!(peer.authorized || peer.encrypted),
    req: request,
  };
  if (verifyClient.length !== 2) {
    if (verifyClient(info)) accept();
    else refuse(socket, 401);
    return;
  }
  let answered = false;
  verifyClient(info, (result, code, name) => {
    if (answered) return;
    answered = true;
    if (result) accept();
    else refuse(socket, code || 401, name);
  });
}

/** Listens to the events of the HTTP server, until `close`. */
function attach(wss) {
  wss._listeners = {
    error: (error) => wss.emit('error', error),
    listening: () => wss.emit('listening'),
    upgrade(request, socket, head) {
      wss.handleUpgrade(request, socket, head, (client) => {
        callLast(() => wss.emit(`connection${request.url}`, client));
        callLast(() => wss.emit('connection', client));
      });
    },
  };
  for (const [event, listener] of Object.entries(wss._listeners)) {
    wss._server.on(event, listener);
  }
}

/** Sends the answer that opens the connection, and makes the WebSocket. */
function completeUpgrade(wss, handshake, callback) {
  const { head, protocol, request, socket, version } = handshake;
  // The client may have gone while `verifyClient` was thinking.
  if (!socket.readable || !socket.writable) {
    socket.destroy();
    return;
  }
  let extension;
  try {
    extension = deflateFor(wss.options);
  } catch {
    refuse(socket, 500); // The options were changed since they were checked.
    return;
  }
  let extensions;
  try {
    extensions = acceptExtensions(extension, request);
  } catch {
    refuse(socket, 400);
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
    refuse(socket, 500);
    throw error;
  }
  socket.write(`${headers.join('\r\n')}\r\n\r\n`);

  const { maxFragments, maxPayload, strictMasking } = wss.options;
  const client = new WebSocket([request, socket, head], {
    extensions,
    maxFragments,
    maxPayload,
    protocol,
    protocolVersion: version,
    strictMasking,
  });
  if (wss.clients) {
    wss.clients.add(client);
    client._whenOver = () => wss.clients.delete(client);
  }
  socket.removeListener('error', destroy);
  callLast(callback, client);
}

/**
 * The extension for one more connection; null if the options do without.
 *
 * @throws {Error} on an option that is out of its range
 */
function deflateFor({ maxPayload, perMessageDeflate }) {
  if (!perMessageDeflate) return null;
  const options = perMessageDeflate === true ? {} : perMessageDeflate;
  return new PerMessageDeflate(options, true, maxPayload);
}

/**
 * Agrees on what the request offers.
 *
 * @returns {Object} the extensions agreed on, by name
 * @throws {Error} if an offer is invalid, or none of them is acceptable
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

/** Answers a request that is no opening handshake, on a server of `port`. */
function upgradeRequired(request, response) {
  const body = http.STATUS_CODES[426];
  response.writeHead(426, {
    'Content-Length': body.length,
    'Content-Type': 'text/plain',
  });
  response.end(body);
}

/**
 * Refuses a handshake. `name` is the reason phrase, as the documentation of ws has it,
 * and the body, as ws does; by default both are the status's own phrase.
 */
function refuse(socket, status, name) {
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
  socket.removeListener('error', destroy);
  socket.destroy();
}

/** A socket that fails during the handshake concerns nobody. */
function destroy() {
  this.destroy();
}

function isNone(value) {
  return value === undefined || value === null;
}

/** Whether a subprotocol stays within its header's line. */
function isHeaderValue(value) {
  return /^[\t\x20-\x7e\x80-\xff]*$/.test(value);
}

/** A header's value, or the like; requests that Node did not make may have numbers. */
function text(value) {
  if (typeof value === 'number') return `${value}`;
  return typeof value === 'string' ? value : undefined;
}

/** The path of a request, without scheme, authority and query. */
function pathOf({ url }) {
  return /^(?:[a-z][a-z0-9+.-]*:\/\/[^/?#]*)?([^?#]*)/i.exec(url)[1];
}

module.exports = WebSocketServer;
