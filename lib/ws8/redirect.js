'use strict';

// What a client keeps to itself when a redirect leads it elsewhere. The rules are curl's.

const CREDENTIALS = ['authorization', 'cookie'];

/**
 * The options of a request without what only the first target may see. That is also so
 * for another port or a subdomain, and on the way from TLS to plain text.
 *
 * @param {Object} options those of `http.request`, with `headers`
 * @param {Object} first the target of the first request, see address.js
 * @param {Object} target that of this one
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
 * The headers for the requests behind this one: the first user info that there is becomes
 * theirs, unless they have an `Authorization`.
 *
 * @param {Object} headers
 * @param {string} [auth] user and password of this request
 * @returns {Object} the headers to use
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
