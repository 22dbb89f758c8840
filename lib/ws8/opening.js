'use strict';

// Checks the upgrade request of a client, and negotiates its offers.

const extension = require('./extension');
const PerMessageDeflate = require('./permessage-deflate');
const subprotocol = require('./subprotocol');
const native = require('../native');

const { KEY, METHOD, UNSUPPORTED, UPGRADE, VERSION } = native.verdict;

/**
 * The responses that refuse an invalid request: status, body and headers. `Connection` is
 * not checked: Node has already done so, and requests that Node did not create may lack
 * it.
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

/** The faults of a request and their refusals. The first one counts. */
const FAULTS = [
  [METHOD, REFUSALS.method],
  [UPGRADE, REFUSALS.upgrade],
  [KEY, REFUSALS.key],
  [UNSUPPORTED, REFUSALS.version],
];

/**
 * Checks whether a request is a valid opening handshake (RFC 6455, 4.2.1).
 *
 * @param {http.IncomingMessage} request
 * @returns {Object} `version`: the protocol version; `refusal`: the status, body and
 *   headers with which to refuse the request, or undefined if it is valid
 */
function judge({ method, headers }) {
  const verdict = native.verifyRequest(
    text(method) || '',
    text(headers.upgrade),
    undefined,
    text(headers['sec-websocket-key']),
    text(headers['sec-websocket-version']),
  );
  const fault = FAULTS.find(([bit]) => verdict & bit);
  return { version: verdict & VERSION, refusal: fault && fault[1] };
}

/**
 * Parses the subprotocols and extensions that a request offers, and accepts the
 * extensions that the options allow.
 *
 * @param {http.IncomingMessage} request
 * @param {Object} options the options of the server
 * @returns {Object} `protocols`: the offered subprotocols, a Set; and `extensions`: the
 *   accepted extensions, by name; or only `refusal`, as that of `judge`
 */
function negotiate({ headers }, options) {
  const protocols = attempt(() => offeredProtocols(headers));
  if (protocols === null) return { refusal: REFUSALS.protocols };
  const extensions = attempt(() => acceptedExtensions(headers, options));
  if (extensions === null) return { refusal: REFUSALS.extensions };
  return { extensions, protocols };
}

/** Calls `read`. Returns null if it throws. */
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

/**
 * Returns a field of a request as a string, or undefined. Requests that Node did not
 * create may have numbers.
 */
function text(value) {
  if (typeof value === 'number') return `${value}`;
  return typeof value === 'string' ? value : undefined;
}

module.exports = { judge, negotiate };
