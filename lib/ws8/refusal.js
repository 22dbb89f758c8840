'use strict';

// The responses with which a server refuses an opening handshake.

const http = require('http');

/**
 * Refuses a handshake with a response, and closes the connection.
 *
 * @param {stream.Duplex} socket
 * @param {number} status the HTTP status
 * @param {string} [content] the body; by default, the standard phrase of the status
 * @param {Object} [headers] headers to add to the default ones or to replace them
 */
function refuse(socket, status, content, headers) {
  const given = Object.entries(headers || {});
  if (!given.every(([name, value]) => isHeader(name, value))) {
    refuse(socket, 500);
    return;
  }
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const phrase = http.STATUS_CODES[status] || '';
  const body = `${content || phrase}`;
  const all = {
    Connection: 'close',
    'Content-Type': 'text/html',
    'Content-Length': Buffer.byteLength(body),
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
  socket.once('finish', () => socket.destroy());
  socket.end(
    `HTTP/1.1 ${status} ${phrase}\r\n${lines.join('\r\n')}\r\n\r\n${body}`,
  );
}

/** Whether a header's name and value are valid, so that they cannot add other lines. */
function isHeader(name, value) {
  try {
    http.validateHeaderName(name);
    http.validateHeaderValue(name, value);
    return true;
  } catch {
    return false;
  }
}

/**
 * Calls a function of the user during the handshake. If it throws, the handshake is
 * refused with 500, since the request would get no response otherwise, and the error is
 * rethrown.
 */
function ask(upgrade, hook) {
  try {
    return hook();
  } catch (error) {
    refuse(upgrade.socket, 500);
    throw error;
  }
}

module.exports = { ask, isHeader, refuse };
