'use strict';

// The opening handshake of a client, using Node's http and https.

const http = require('http');
const https = require('https');
const net = require('net');
const tls = require('tls');

const { parse, targetOf } = require('./address');
const { agreementOf } = require('./agreement');
const { format } = require('./extension');
const { DEFAULTS, check, connectionOptions } = require('./options');
const PerMessageDeflate = require('./permessage-deflate');
const { remember, withhold } = require('./redirect');
const { callLast, nextTick } = require('../environment');
const native = require('../native');

const VERSIONS = [8, 13];

const CLIENT_DEFAULTS = {
  ...DEFAULTS,
  followRedirects: false,
  maxRedirects: 10,
  perMessageDeflate: true,
  protocolVersion: 13,
};

/** Matches the name of a subprotocol: a token (RFC 9110, 5.6.2). */
const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/;

/**
 * Starts the opening handshake of a client: creates and, without `finishRequest`, sends
 * the request. The handshake ends with a call of `websocket.setSocket`, or with
 * `'error'` and `'close'`. Meanwhile, `websocket._req` is the current request, and
 * `websocket._redirects` is the number of redirects followed.
 *
 * @param {WebSocket} websocket
 * @param {string|URL} address
 * @param {string|string[]|Object} [protocols] the subprotocols to offer; or the
 *   options, if this argument is left out
 * @param {Object} [options]
 * @returns {Object} the options, completed by the defaults
 * @throws {RangeError} if the protocol version is not supported, or if `highWaterMark` is
 *   out of range
 * @throws {SyntaxError} if the address or a subprotocol is invalid
 */
function connect(websocket, address, protocols, options) {
  const { given, names } = argumentsOf(protocols, options);
  const settings = { ...CLIENT_DEFAULTS, ...given };
  if (!VERSIONS.includes(settings.protocolVersion)) {
    throw new RangeError(
      `Unsupported protocol version: ${settings.protocolVersion} ` +
        `(supported versions: ${VERSIONS.join(', ')})`,
    );
  }
  check(settings);
  const handshake = {
    websocket,
    settings,
    names,
    /** The additional headers of each request. */
    headers: settings.headers,
    /** The target of the first request; null before it is sent. */
    first: null,
  };
  websocket._redirects = 0;
  request(handshake, parse(address));
  return settings;
}

/**
 * Aborts a handshake. Emits `'error'` and `'close'` on the next tick.
 *
 * @param {WebSocket} websocket
 * @param {http.ClientRequest|stream.Duplex} [stream] the request or, after the upgrade,
 *   the socket
 * @param {string} message the message of the error
 */
function abort(websocket, stream, message) {
  const error = new Error(message);
  websocket._readyState = websocket.CLOSING;
  websocket._req = null;
  if (stream) discard(stream, error);
  nextTick(fail, websocket, error);
}

function discard(stream, error) {
  stream.on('error', () => {}); // There may be no other listener.
  stream.destroy(error);
  // Destroying a request does not destroy its socket after an upgrade.
  if (stream.setHeader && stream.socket) discard(stream.socket, error);
}

/** Emits `'error'` and `'close'`: the handshake has failed. */
function fail(websocket, error) {
  websocket._readyState = websocket.CLOSING;
  try {
    websocket.emit('error', error);
  } finally {
    websocket.emitClose();
  }
}

/** Returns the options (`given`) and the subprotocols (`names`) of the arguments. */
function argumentsOf(protocols, options) {
  const isLeftOut =
    typeof protocols === 'object' &&
    protocols !== null &&
    !Array.isArray(protocols);
  const given = isLeftOut ? protocols : options;
  let names = isLeftOut ? undefined : protocols;
  if (names === undefined && given) names = given.protocols;
  return { given, names: names === undefined ? [] : [].concat(names) };
}

function uniqueProtocols(names) {
  const unique = new Set(names);
  const isToken = (name) => typeof name === 'string' && TOKEN.test(name);
  if (unique.size !== names.length || !names.every(isToken)) {
    throw new SyntaxError('An invalid or duplicated subprotocol was specified');
  }
  return unique;
}

/** Sends a request. If this throws, no request is in progress. */
function request(handshake, url) {
  const { settings, websocket } = handshake;
  websocket._url = url.href;
  const target = targetOf(url);
  if (handshake.first === null) handshake.first = target;
  const asked = {
    deflate: deflateFor(settings),
    key: native.generateKey(),
    protocols: uniqueProtocols(handshake.names),
  };
  const options = requestOptions(handshake, target, asked);
  const req = (target.isSecure ? https : http).request(options);
  websocket._req = req;
  listen(handshake, req, asked);
  try {
    if (websocket._redirects > 0) websocket.emit('redirect', url.href, req);
    if (settings.finishRequest) settings.finishRequest(req, websocket);
    else req.end();
  } catch (error) {
    websocket._req = null;
    req.destroy();
    throw error;
  }
}

/** Returns the options for `http.request`: those given, with the parts of the URL. */
function requestOptions(handshake, target, asked) {
  const { first, settings, websocket } = handshake;
  const { isSecure } = target;
  const options = {
    ...settings,
    auth: target.auth || settings.auth,
    createConnection:
      settings.createConnection || (isSecure ? connectTls : connectPlain),
    defaultPort: settings.defaultPort || (isSecure ? 443 : 80),
    headers: headersFor(handshake, asked),
    highWaterMark: undefined, // That of the socket is left to Node.
    host: target.host,
    hostname: undefined,
    method: 'GET',
    path: target.path,
    port: target.port,
    protocol: undefined,
    protocols: undefined,
    socketPath: target.socketPath,
    timeout: settings.handshakeTimeout,
  };
  if (!settings.followRedirects) return options;
  // With a listener for 'redirect', removing credentials is left to the program.
  const isWatched = websocket.listenerCount('redirect') > 0;
  const shown = isWatched ? options : withhold(options, first, target);
  handshake.headers = remember(handshake.headers || {}, shown.auth);
  return shown;
}

function headersFor({ headers: given, settings }, { deflate, key, protocols }) {
  const { origin, protocolVersion: version } = settings;
  const headers = {
    ...given,
    'Sec-WebSocket-Version': version,
    'Sec-WebSocket-Key': key,
    Connection: 'Upgrade',
    Upgrade: 'websocket',
  };
  if (deflate !== null) {
    headers['Sec-WebSocket-Extensions'] = format({
      [PerMessageDeflate.extensionName]: deflate.offer(),
    });
  }
  if (protocols.size > 0) {
    headers['Sec-WebSocket-Protocol'] = [...protocols].join(',');
  }
  if (origin) {
    headers[version < 13 ? 'Sec-WebSocket-Origin' : 'Origin'] = origin;
  }
  return headers;
}

function deflateFor({ maxPayload, perMessageDeflate }) {
  if (!perMessageDeflate) return null;
  return new PerMessageDeflate({
    ...perMessageDeflate,
    isServer: false,
    maxPayload,
  });
}

/** Connects without the path of the request, which is the path of a socket to `net`. */
function connectPlain(options) {
  return net.connect({ ...options, path: options.socketPath });
}

function connectTls(options) {
  const { host } = options;
  let { servername } = options;
  // An empty name means that no server name is sent.
  if (!servername && servername !== '') servername = net.isIP(host) ? '' : host;
  return tls.connect({ ...options, path: undefined, servername });
}

/** Adds listeners to a request. They ignore events of a request that was given up. */
function listen(handshake, req, asked) {
  const { settings, websocket } = handshake;
  const isOver = () => websocket._req !== req;

  req.on('error', (error) => {
    if (isOver()) return;
    websocket._req = null;
    fail(websocket, error);
  });

  if (settings.handshakeTimeout) {
    req.on('timeout', () => {
      if (!isOver()) abort(websocket, req, 'Opening handshake has timed out');
    });
  }

  req.on('response', (res) => {
    if (isOver()) return;
    if (settings.followRedirects && isRedirect(res)) {
      follow(handshake, req, res.headers.location);
    } else if (!websocket.emit('unexpected-response', req, res)) {
      const message = `Unexpected server response: ${res.statusCode}`;
      abort(websocket, req, message);
    }
  });

  req.on('upgrade', (res, socket, head) => {
    if (isOver()) {
      socket.destroy();
      return;
    }
    callLast(() => websocket.emit('upgrade', res));
    if (isOver()) return; // The listener may have closed the WebSocket.
    websocket._req = null;
    open(websocket, { asked, head, res, settings, socket });
  });
}

function isRedirect({ headers, statusCode }) {
  return headers.location && statusCode >= 300 && statusCode < 400;
}

/** Follows a redirect, unless there are too many: sends a new request. */
function follow(handshake, req, location) {
  const { settings, websocket } = handshake;
  websocket._redirects++;
  if (websocket._redirects > settings.maxRedirects) {
    abort(websocket, req, 'Maximum redirects exceeded');
    return;
  }
  websocket._req = null;
  req.destroy();
  try {
    request(handshake, parse(location, websocket._url));
  } catch (error) {
    // A listener that has closed the WebSocket may have thrown.
    if (websocket.readyState !== websocket.CONNECTING) throw error;
    fail(websocket, error);
  }
}

/** Opens the WebSocket if the response is valid, and aborts the handshake otherwise. */
function open(websocket, { asked, head, res, settings, socket }) {
  let agreement;
  try {
    agreement = agreementOf(res.headers, asked);
  } catch (error) {
    abort(websocket, socket, error.message);
    return;
  }
  websocket._protocol = agreement.protocol;
  websocket._extensions = agreement.extensions;
  websocket.setSocket(socket, head, {
    ...connectionOptions(settings),
    generateMask: settings.generateMask,
  });
}

module.exports = { abort, connect };
