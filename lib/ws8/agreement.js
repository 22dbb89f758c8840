'use strict';

// What a server's answer agrees to.

const { parse } = require('./extension');
const PerMessageDeflate = require('./permessage-deflate');
const native = require('../native');

/**
 * Reads the `101` answer to a request.
 *
 * @param {Object} headers those of the answer
 * @param {Object} asked what the request had: `key`, `protocols` (a Set), and `deflate`,
 *   the extension that it offered, or null
 * @returns {Object} `protocol`, empty if there is none, and `extensions`, by name
 * @throws {Error} if the answer does not open the connection
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

/** The result of reading the header; what it throws tells of the header alone. */
function validly(read) {
  try {
    return read();
  } catch {
    throw new Error('Invalid Sec-WebSocket-Extensions header');
  }
}

module.exports = { agreementOf };
