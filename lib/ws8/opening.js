'use strict';

// What a client asks for in its opening handshake, and what is wrong with it.

const extension = require('./extension');
const PerMessageDeflate = require('./permessage-deflate');
const subprotocol = require('./subprotocol');
const native = require('../native');

/**
 * The answers to what is wrong, by the part it is found in. `Connection` is not among
 * them: Node has seen to it, and requests that come from elsewhere do not need it.
 */
const REFUSALS = {
  method: [405, 'Invalid HTTP method'],
  upgrade: [400, 'Invalid Upgrade header'],
  key: [400, 'Missing or invalid Sec-WebSocket-Key header'],
  version: [
    400,
    'Missing or invalid Sec-WebSocket-Version header',
    { 'Sec-WebSocket-Version': '13, 8' },
  ],
  protocols: [400, 'Invalid Sec-WebSocket-Protocol header'],
  extensions: [400, 'Invalid or unacceptable Sec-WebSocket-Extensions header'],
};

/**
 * Judges whether a request is an opening handshake.
 *
 * @param {http.IncomingMessage} request
 * @returns {Object} the protocol's `version`; `refusal`: status, body and headers to
 *   refuse the request with, undefined if it is one
 */
function judge({ method, headers }) {
  const { faults, version } = native.verifyRequest({
    method: text(method) || '',
    upgrade: text(headers.upgrade),
    key: text(headers['sec-websocket-key']),
    version: text(headers['sec-websocket-version']),
  });
  const fault = faults.find((name) => name in REFUSALS);
  return { version, refusal: REFUSALS[fault] };
}

/**
 * Reads the offers of a request, and accepts what the options allow.
 *
 * @param {http.IncomingMessage} request
 * @param {Object} options those of the server
 * @returns {Object} the `protocols` that are offered, as a Set, and the `extensions` that
 *   are accepted, by name; or the `refusal` of them
 */
function negotiate({ headers }, options) {
  const protocols = attempt(() => offeredProtocols(headers));
  if (protocols === null) return { refusal: REFUSALS.protocols };
  const extensions = attempt(() => acceptedExtensions(headers, options));
  if (extensions === null) return { refusal: REFUSALS.extensions };
  return { extensions, protocols };
}

/** What a header is read as; null if it cannot be. */
function attempt(read) {
  try {
    return read();
  } catch {
    return null;
  }
}

function offeredProtocols({ 'sec-websocket-protocol': header }) {
  return header === undefined ? new Set() : subprotocol.parse(header);
}

function acceptedExtensions({ 'sec-websocket-extensions': header }, options) {
  const { maxPayload, perMessageDeflate } = options;
  if (!perMessageDeflate || header === undefined) return {};
  const name = PerMessageDeflate.extensionName;
  const offers = extension.parse(header)[name];
  if (!offers) return {};
  const deflate = new PerMessageDeflate({
    ...perMessageDeflate,
    isServer: true,
    maxPayload,
  });
  deflate.accept(offers);
  return { [name]: deflate };
}

/** A field as a text; in requests that Node did not make it may be a number. */
function text(value) {
  if (typeof value === 'number') return `${value}`;
  return typeof value === 'string' ? value : undefined;
}

module.exports = { judge, negotiate };
