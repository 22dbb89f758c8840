'use strict';

// The opening handshake of a client, using Node's http and https.

const http = require('http');
const https = require('https');

const Extensions = require('./Extensions');
const PerMessageDeflate = require('./PerMessageDeflate');
const Sender = require('./Sender');
const { clearTimeout, once, setTimeout } = require('../environment');
const { closing } = require('./payload');
const { linger } = require('../linger');
const native = require('../native');

const { kind } = native;

const VERSIONS = [8, 13];

/** The options that configure TLS. If one is given, the request gets its own agent. */
const TLS_OPTIONS = [
  'ca',
  'cert',
  'checkServerIdentity',
  'ciphers',
  'key',
  'passphrase',
  'pfx',
  'rejectUnauthorized',
];

/**
 * Starts the opening handshake, and calls the handler.
 *
 * @param {String|URL|Object} address see `parseAddress`
 * @param {String|String[]} protocols the subprotocols to offer
 * @param {Object} options see ClientOptions in index.d.ts
 * @param {Object} handler
 * @param {Function} handler.start `(version)`, called before this function returns, once
 *   the arguments are known to be valid
 * @param {Function} handler.opened `(socket, head, protocol, extensions)`, called if the
 *   handshake succeeds
 * @param {Function} handler.failed `(error)`, called if the handshake fails
 * @param {Function} handler.unexpectedResponse `(request, response)`, called for a
 *   response other than 101; if it returns false, `failed` is called next
 * @returns {Function} aborts the handshake; afterwards the handler is not called
 * @throws {Error} if the address or an option is invalid
 */
function connect(address, protocols, options, handler) {
  const { protocolVersion: version = 13 } = options;
  if (!VERSIONS.includes(version)) {
    throw new Error('unsupported protocol version');
  }
  const target = parseAddress(address);
  const key = native.generateKey();
  const subprotocols = options.protocol || [].concat(protocols || []).join(',');
  const deflate = deflateOf(options);
  const request = requestOptions(target, options);
  request.headers = headersOf(target, options, {
    deflate,
    key,
    subprotocols,
    version,
  });

  handler.start(version);
  let aborted = false;
  const req = (target.isSecure ? https : http).get(request);
  let timer = null;
  if (options.handshakeTimeout > 0) {
    timer = setTimeout(() => {
      req.destroy(new Error('opening handshake has timed out'));
    }, options.handshakeTimeout);
  }

  req.on('error', (error) => {
    clearTimeout(timer);
    if (!aborted) handler.failed(error);
  });

  req.on('response', (res) => {
    clearTimeout(timer);
    if (handler.unexpectedResponse(req, res)) return;
    aborted = true;
    req.destroy();
    handler.failed(new Error(`unexpected server response (${res.statusCode})`));
  });

  req.on('upgrade', (res, socket, head) => {
    clearTimeout(timer);
    if (aborted) {
      socket.destroy();
      return;
    }
    let extensions;
    try {
      check(res.headers, key, subprotocols);
      extensions = agreedExtensions(res.headers, deflate);
    } catch (error) {
      linger(socket);
      handler.failed(error);
      return;
    }
    req.removeAllListeners();
    const protocol = res.headers['sec-websocket-protocol'];
    handler.opened(socket, head, protocol, extensions);
  });

  return () => {
    aborted = true;
    clearTimeout(timer);
    req.destroy();
  };
}

/** Closes a connection for which `close` was called during the handshake. */
function leave(socket, code, reason) {
  let payload;
  try {
    payload = closing(code, reason);
  } catch {
    payload = closing(); // The program gave an invalid code or reason.
  }
  const how = { opcode: kind.CLOSE, fin: true, rsv1: false, mask: true };
  for (const bytes of Sender.frame(payload, how)) socket.write(bytes);
  linger(socket);
}

/** Matches the scheme, the authority, and the path with query (RFC 3986, 3). */
const ADDRESS =
  /^\s*([a-z][a-z0-9+.-]*:)(?:\/\/([^/?#]*))?([^#]*?)\s*(?:#.*)?$/is;

/** Matches characters that a request's path must not contain. */
const UNSAFE = /[^\x21-\x7e]|["<>\\^`{|}]/gu;

/**
 * Splits an address into the parts that a request needs. User and password are
 * percent-decoded. The path is used as written, but characters that a request cannot
 * contain are percent-encoded.
 *
 * @param {String|URL|Object} address a string, or an object with `href`, as returned by
 *   `new URL` and `url.parse`
 * @throws {Error} if the address is invalid
 */
function parseAddress(address) {
  const isObject = typeof address === 'object' && address !== null;
  const found = ADDRESS.exec(isObject ? address.href : address);
  if (found === null) throw new Error('invalid url');
  const [, scheme, authority = '', rest] = found;
  const protocol = scheme.toLowerCase();
  const isUnix = protocol === 'ws+unix:';
  const isSecure = ['wss:', 'https:'].includes(protocol);
  const at = authority.lastIndexOf('@');
  const { hostname, port } = parseHost(authority.slice(at + 1), isSecure);
  if (hostname === '' && !isUnix) throw new Error('invalid url');
  return {
    auth: decoded(authority.slice(0, Math.max(at, 0))),
    hostname,
    isSecure,
    path: (rest.startsWith('/') ? rest : `/${rest}`).replace(UNSAFE, escaped),
    port: port || (isSecure ? 443 : 80),
    socketPath: isUnix ? rest.split('?')[0] : undefined,
  };
}

/**
 * Splits an authority into `hostname`, in lower case and ASCII, and `port`. The port is
 * empty if it is left out or the default.
 */
function parseHost(host, isSecure) {
  if (host === '') return { hostname: '', port: '' };
  try {
    return new URL(`${isSecure ? 'https' : 'http'}://${host}`);
  } catch {
    throw new Error('invalid url');
  }
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function escaped(character) {
  return [...Buffer.from(character)]
    .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`)
    .join('');
}

/** Returns the options for `http.get`, without the headers. */
function requestOptions(target, options) {
  const request = {
    // An IPv6 address has brackets only in a URL.
    host: target.hostname.replace(/^\[|\]$/g, ''),
    path: target.path,
    port: target.port,
  };
  if (target.auth) request.auth = target.auth;
  if (target.socketPath) request.socketPath = target.socketPath;
  if (options.localAddress) request.localAddress = options.localAddress;

  const given = TLS_OPTIONS.filter(
    (name) => options[name] !== undefined && options[name] !== null,
  );
  for (const name of given) request[name] = options[name];
  const { Agent, globalAgent } = target.isSecure ? https : http;
  if (options.agent) request.agent = options.agent;
  else if (given.length > 0) request.agent = new Agent(request);
  // A program may replace the global agent, for example by that of a proxy.
  else if (globalAgent.constructor === Agent) request.agent = agentOf(target);
  return request;
}

/**
 * Returns the agent used by default. Unlike Node's own, it does not keep the socket of a
 * request that was aborted before it was connected.
 */
function agentOf({ isSecure }) {
  return once(`ws2016 agent ${isSecure}`, () => {
    const { Agent } = isSecure ? https : http;
    return new Agent({ keepAlive: false });
  });
}

/** Returns the headers of the request. */
function headersOf(target, options, { deflate, key, subprotocols, version }) {
  const headers = Object.assign(
    {
      Host: buildHostHeader(target.isSecure, target.hostname, target.port),
      'Sec-WebSocket-Version': version,
      'Sec-WebSocket-Key': key,
      Connection: 'Upgrade',
      Upgrade: 'websocket',
    },
    options.headers,
  );
  if (deflate) {
    headers['Sec-WebSocket-Extensions'] = Extensions.format({
      [PerMessageDeflate.extensionName]: deflate.offer(),
    });
  }
  if (subprotocols) headers['Sec-WebSocket-Protocol'] = subprotocols;
  if (options.origin) {
    const name = version < 13 ? 'Sec-WebSocket-Origin' : 'Origin';
    headers[name] = options.origin;
  }
  if (options.host) headers.Host = options.host;
  return headers;
}

/** Returns the value of the `Host` header, without the port if it is the default. */
function buildHostHeader(isSecure, host, port) {
  const isDefault = Number(port) === (isSecure ? 443 : 80);
  return host && !isDefault ? `${host}:${port}` : host;
}

function deflateOf({ perMessageDeflate = true, maxPayload }) {
  if (!perMessageDeflate) return null;
  const options = perMessageDeflate === true ? {} : perMessageDeflate;
  return new PerMessageDeflate(options, false, maxPayload);
}

/**
 * Checks the headers of a 101 response. Throws if the handshake fails (RFC 6455, 4.1).
 */
function check(headers, key, subprotocols) {
  const problem = native.verifyResponse(key, subprotocols, {
    upgrade: headers.upgrade,
    accept: headers['sec-websocket-accept'],
    protocol: headers['sec-websocket-protocol'],
  });
  if (problem) throw new Error(problem);
}

/** Returns the extensions that the server has accepted, by name. */
function agreedExtensions(headers, deflate) {
  const answers = Extensions.parse(headers['sec-websocket-extensions']);
  const name = PerMessageDeflate.extensionName;
  const names = Object.keys(answers);
  if (names.length === 0) return {};
  // The client could not decode the frames of another extension (RFC 6455, 4.1).
  if (!deflate || names.some((each) => each !== name)) {
    throw new Error('server sent an extension that was not requested');
  }
  try {
    if (answers[name].length > 1) throw new Error('it is named twice');
    deflate.accept(answers[name]);
  } catch {
    throw new Error('invalid extension parameter');
  }
  return { [name]: deflate };
}

module.exports = { buildHostHeader, connect, leave };
