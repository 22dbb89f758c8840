'use strict';

const { clearTimeout, setTimeout } = require('./environment');

/** How long a socket may take to close after `linger`, in milliseconds. */
const LINGER = 30 * 1000;

/**
 * Ends a socket. Queued data is still sent, and received data is discarded. The socket
 * is destroyed if it has not closed after `LINGER` milliseconds.
 */
function linger(socket) {
  socket.on('error', () => socket.destroy());
  socket.end();
  if (socket.readableEnded && socket.writableFinished) {
    // Node destroys the socket after the 'end' listeners, but one of these may throw.
    socket.destroy();
    return;
  }
  // Read until the other end has ended: otherwise the socket never closes.
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), LINGER);
  socket.once('close', () => clearTimeout(timer));
}

module.exports = { LINGER, linger };
