'use strict';

const { clearTimeout, setTimeout } = require('./environment');

/** How long a socket that is let go of may take to end, in milliseconds. */
const LINGER = 30 * 1000;

/** Ends a socket: what it has is sent, and what still comes is dropped. */
function linger(socket) {
  socket.on('error', () => socket.destroy());
  socket.end();
  if (socket.readableEnded && socket.writableFinished) {
    // Node would do so behind the listeners of 'end', one of which may throw.
    socket.destroy();
    return;
  }
  // What still comes is read, or the socket would never close.
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), LINGER);
  socket.once('close', () => clearTimeout(timer));
}

module.exports = { LINGER, linger };
