'use strict';

// How a server says no to an opening handshake.

const http = require('http');

/**
 * Answers a handshake that fails, and closes the connection.
 *
 * @param {stream.Duplex} socket
 * @param {number} status the HTTP status
 * @param {string} [content] the body; by default the status's own phrase
 * @param {Object} [headers] more headers, or others in the place of the usual ones
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

/** Whether a header stays within its line. */
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
 * Calls a function of the program. Where it throws, nobody else would answer: the
 * handshake is refused, and the error goes on.
 */
function ask(socket, hook) {
  try {
    return hook();
  } catch (error) {
    refuse(socket, 500);
    throw error;
  }
}

module.exports = { ask, isHeader, refuse };
