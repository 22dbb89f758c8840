'use strict';

// The client's opening handshake, over Node's http and https.

const http = require('http');
const https = require('https');

const Extensions = require('./Extensions');
const PerMessageDeflate = require('./PerMessageDeflate');
const native = require('./native');

const VERSIONS = [8, 13];

/** Options that configure TLS; any of them needs an agent of its own. */
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
 * Connects, and calls the handler: `start(version)` once the arguments are found
 * valid, then one of `opened(socket, head, protocol, extensions)`, `failed(error)`
 * and `unexpectedResponse(request, response)`, which tells whether it took care of
 * the response.
 *
 * @returns {Function} aborts the handshake; no handler is called after it
 * @throws {Error} on an invalid address or option
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
      socket.on('error', () => socket.destroy());
      socket.end();
      socket.resume();
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

/** The parts of an address that a request needs. */
function parseAddress(address) {
  const url = parse(address);
  const isUnix = url !== null && url.protocol === 'ws+unix:';
  if (url === null || (!url.hostname && !isUnix))
    throw new Error('invalid url');
  const isSecure = ['wss:', 'https:'].includes(url.protocol);
  return {
    auth: [url.username, url.password]
      .filter((part) => part !== '')
      .map(decodeURIComponent)
      .join(':'),
    hostname: url.hostname,
    isSecure,
    path: isUnix ? '/' : `${url.pathname || '/'}${url.search}`,
    port: url.port || (isSecure ? 443 : 80),
    socketPath: isUnix ? decodeURIComponent(url.pathname) : undefined,
  };
}

function parse(address) {
  try {
    return new URL(address);
  } catch {
    return null;
  }
}

/** What `http.get` is called with, but for the headers. */
function requestOptions(target, options) {
  const request = {
    // An IPv6 address has brackets in a URL, and none elsewhere.
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
  if (options.agent) {
    request.agent = options.agent;
  } else if (given.length > 0) {
    const { Agent } = target.isSecure ? https : http;
    request.agent = new Agent(request);
  }
  return request;
}

/** The headers of the request. */
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

/** The value of the `Host` header: without the port where that is the default. */
function buildHostHeader(isSecure, host, port) {
  const isDefault = Number(port) === (isSecure ? 443 : 80);
  return host && !isDefault ? `${host}:${port}` : host;
}

function deflateOf({ perMessageDeflate = true, maxPayload }) {
  if (!perMessageDeflate) return null;
  const options = perMessageDeflate === true ? {} : perMessageDeflate;
  return new PerMessageDeflate(options, false, maxPayload);
}

/** Throws if the answer does not open the connection. */
function check(headers, key, subprotocols) {
  const problem = native.verifyResponse(key, subprotocols, {
    upgrade: headers.upgrade,
    accept: headers['sec-websocket-accept'],
    protocol: headers['sec-websocket-protocol'],
  });
  if (problem) throw new Error(problem);
}

/** The extensions that the server agreed to, by name. */
function agreedExtensions(headers, deflate) {
  const answers = Extensions.parse(headers['sec-websocket-extensions']);
  const name = PerMessageDeflate.extensionName;
  if (!deflate || !Object.prototype.hasOwnProperty.call(answers, name)) {
    return {};
  }
  try {
    deflate.accept(answers[name]);
  } catch {
    throw new Error('invalid extension parameter');
  }
  return { [name]: deflate };
}

module.exports = { buildHostHeader, connect };
