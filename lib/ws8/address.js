'use strict';

// The addresses that a client connects to.

const { unescape } = require('querystring');
const { URL } = require('url');

/** Schemes that are replaced by another one. */
const SAME_SCHEME = { 'http:': 'ws:', 'https:': 'wss:' };

const SCHEMES = ['ws:', 'wss:', 'ws+unix:'];

/**
 * Parses an address. `http:` and `https:` are replaced by `ws:` and `wss:`.
 *
 * @param {string|URL} address
 * @param {string} [base] the URL to which a relative address is resolved
 * @returns {URL} a new URL
 * @throws {SyntaxError} if the address is not a valid URL
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
 * Returns the target of a connection: `isSecure`; `isIpc`; `peer`, the host and port or
 * the path of the socket; and `auth`, `host`, `path`, `port` and `socketPath` for
 * `http.request`.
 *
 * @param {URL} url
 * @returns {Object}
 * @throws {SyntaxError} if the scheme is not supported, if the path of a `ws+unix:` URL
 *   is empty, or if there is a fragment
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
    // An IPv6 address has brackets only in a URL.
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

/**
 * Splits the path of a `ws+unix:` URL at the first colon into the path of the socket and
 * the path of the request, which may be empty.
 */
function splitIpc(resource) {
  const [socketPath] = resource.split(':', 1);
  return { path: resource.slice(socketPath.length + 1), socketPath };
}

/** Returns `user:password`, percent-decoded; undefined if the URL has neither. */
function userInfoOf({ password, username }) {
  if (!username && !password) return undefined;
  return `${unescape(username)}:${unescape(password)}`;
}

module.exports = { parse, targetOf };
