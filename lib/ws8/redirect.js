'use strict';

// The headers and credentials that a client does not send after a redirect. The rules are
// those of curl.

const CREDENTIALS = ['authorization', 'cookie'];

/**
 * Removes credentials from the options of a request, unless its target has the same host
 * and port as the first target (a subdomain is another host) and uses TLS if the first
 * target did. For another host or port, the header `Host` is removed, too.
 *
 * @param {Object} options the options for `http.request`, with `headers`
 * @param {Object} first the target of the first request, see address.js
 * @param {Object} target the target of this request
 * @returns {Object} the options to use
 */
function withhold(options, first, target) {
  const isSamePeer = target.isIpc === first.isIpc && target.peer === first.peer;
  const isAsSecure = target.isSecure || !first.isSecure;
  if (isSamePeer && isAsSecure) return options;
  const withheld = isSamePeer ? CREDENTIALS : [...CREDENTIALS, 'host'];
  const headers = Object.entries(options.headers).filter(
    ([name]) => !withheld.includes(name.toLowerCase()),
  );
  return { ...options, auth: undefined, headers: Object.fromEntries(headers) };
}

/**
 * Returns the headers for the requests that may follow by redirects. The credentials of
 * this request are added as an `Authorization` header, unless there is one already.
 *
 * @param {Object} headers
 * @param {string} [auth] the credentials of this request, `user:password`
 * @returns {Object}
 */
function remember(headers, auth) {
  const has = Object.entries(headers).some(
    ([name, value]) => name.toLowerCase() === 'authorization' && value,
  );
  if (!auth || has) return headers;
  const credentials = Buffer.from(auth).toString('base64');
  return { ...headers, authorization: `Basic ${credentials}` };
}

module.exports = { remember, withhold };
