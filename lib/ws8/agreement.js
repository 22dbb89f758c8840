'use strict';

// Checks a server's 101 response, and determines the negotiated subprotocol and
// extensions.

const { parse } = require('./extension');
const PerMessageDeflate = require('./permessage-deflate');
const native = require('../native');

/**
 * Checks the headers of a 101 response (RFC 6455, 4.1).
 *
 * @param {Object} headers the headers of the response
 * @param {Object} asked the contents of the request: `key`, `protocols` (a Set), and
 *   `deflate`, the extension that it offered, or null
 * @returns {Object} `protocol`, `''` if there is none, and `extensions`, by name
 * @throws {Error} if the handshake fails
 */
function agreementOf(headers, { deflate, key, protocols }) {
  const { upgrade } = headers;
  if (upgrade === undefined || upgrade.toLowerCase() !== 'websocket') {
    throw new Error('Invalid Upgrade header');
  }
  if (headers['sec-websocket-accept'] !== native.acceptKey(key)) {
    throw new Error('Invalid Sec-WebSocket-Accept header');
  }
  return {
    protocol: chosenProtocol(headers['sec-websocket-protocol'], protocols),
    extensions: agreedExtensions(headers['sec-websocket-extensions'], deflate),
  };
}

function chosenProtocol(chosen, protocols) {
  if (chosen === undefined) {
    if (protocols.size > 0) throw new Error('Server sent no subprotocol');
    return '';
  }
  if (protocols.size === 0) {
    throw new Error('Server sent a subprotocol but none was requested');
  }
  if (!protocols.has(chosen)) {
    throw new Error('Server sent an invalid subprotocol');
  }
  return chosen;
}

function agreedExtensions(header, deflate) {
  if (header === undefined) return {};
  if (deflate === null) {
    throw new Error(
      'Server sent a Sec-WebSocket-Extensions header but no extension ' +
        'was requested',
    );
  }
  const answers = validly(() => parse(header));
  const { extensionName } = PerMessageDeflate;
  const names = Object.keys(answers);
  if (names.length !== 1 || names[0] !== extensionName) {
    throw new Error('Server indicated an extension that was not requested');
  }
  validly(() => deflate.accept(answers[extensionName]));
  return { [extensionName]: deflate };
}

/** Calls `read`. Replaces any error with the one for an invalid header. */
function validly(read) {
  try {
    return read();
  } catch {
    throw new Error('Invalid Sec-WebSocket-Extensions header');
  }
}

module.exports = { agreementOf };
