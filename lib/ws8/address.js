'use strict';

// Addresses that a client connects to.

const { unescape } = require('querystring');
const { URL } = require('url');

/** The schemes that stand for another. */
const SAME_SCHEME = { 'http:': 'ws:', 'https:': 'wss:' };

const SCHEMES = ['ws:', 'wss:', 'ws+unix:'];

/**
 * Reads an address; `http:` and `https:` become `ws:` and `wss:`.
 *
 * @param {string|URL} address
 * @param {string} [base] what it is relative to
 * @returns {URL} a URL of its own
 * @throws {SyntaxError} if it is no URL
 */
function parse(address, base) {
  let url;
  try {
    url = new URL(address, base);
  } catch {
    throw new SyntaxError(`Invalid URL: ${address}`);
  }
  if (url.protocol in SAME_SCHEME) url.protocol = SAME_SCHEME[url.protocol];
  return url;
}

/**
 * What a URL says of the connection: `isSecure`, `isIpc`; `peer`, which names the other
 * end; and, as `http.request` takes them, `auth`, `host`, `path`, `port` and `socketPath`.
 *
 * @param {URL} url
 * @throws {SyntaxError} if a WebSocket cannot have it
 */
function targetOf(url) {
  check(url);
  const isSecure = url.protocol === 'wss:';
  const isIpc = url.protocol === 'ws+unix:';
  const resource = `${url.pathname}${url.search}`;
  const { path, socketPath } = isIpc ? splitIpc(resource) : { path: resource };
  return {
    isSecure,
    isIpc,
    peer: isIpc ? socketPath : url.host,
    auth: userInfoOf(url),
    // An IPv6 address has brackets in a URL, and none elsewhere.
    host: url.hostname.replace(/^\[|\]$/g, ''),
    path,
    port: url.port || (isSecure ? 443 : 80),
    socketPath,
  };
}

function check({ hash, pathname, protocol }) {
  if (!SCHEMES.includes(protocol)) {
    throw new SyntaxError(
      'The URL\'s protocol must be one of "ws:", "wss:", ' +
        '"http:", "https:", or "ws+unix:"',
    );
  }
  if (protocol === 'ws+unix:' && !pathname) {
    throw new SyntaxError("The URL's pathname is empty");
  }
  if (hash) throw new SyntaxError('The URL contains a fragment identifier');
}

/** The socket's path, up to the first colon, and the request's, which may be empty. */
function splitIpc(resource) {
  const [socketPath] = resource.split(':', 1);
  return { path: resource.slice(socketPath.length + 1), socketPath };
}

/** User and password with a colon between them; undefined if there are none. */
function userInfoOf({ password, username }) {
  if (!username && !password) return undefined;
  return `${unescape(username)}:${unescape(password)}`;
}

module.exports = { parse, targetOf };
