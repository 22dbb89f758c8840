'use strict';

const { Duplex } = require('stream');

const { nextTick } = require('../environment');

/**
 * Creates a Duplex stream on top of a WebSocket. Each written chunk is sent as a message,
 * and received messages can be read. While the read buffer is full, the WebSocket is
 * paused.
 *
 * The stream is destroyed when both of its sides have ended, or with an error of the
 * WebSocket. It emits 'close' when the WebSocket has closed. Destroying the stream
 * terminates the WebSocket.
 *
 * @param {WebSocket} ws
 * @param {Object} [options] the options of stream.Duplex; with `readableObjectMode`, each
 *   message is read as one object, and text as a string
 * @returns {stream.Duplex}
 */
function createWebSocketStream(ws, options) {
  /** Set when the WebSocket has failed: it closes without `terminate`. */
  let hasFailed = false;

  const duplex = new Duplex({
    ...options,
    autoDestroy: false,
    emitClose: false,
    objectMode: false,
    writableObjectMode: false,

    read() {
      if (ws.isPaused) ws.resume();
    },

    write(chunk, encoding, callback) {
      whenOpen(ws, () => ws.send(chunk, callback));
    },

    final(callback) {
      whenOpen(ws, () => whenSent(ws, callback));
    },

    destroy(error, callback) {
      const done = (reason) => {
        callback(reason);
        nextTick(() => duplex.emit('close'));
      };
      if (ws.readyState === ws.CLOSED) {
        done(error);
        return;
      }
      whenClosed(ws, error, done);
      if (!hasFailed) ws.terminate();
      else if (ws.isPaused) ws.resume(); // Otherwise its 'close' would never come.
    },
  });

  ws.on('message', (data, isBinary) => {
    if (duplex.destroyed) return;
    const isText = !isBinary && duplex.readableObjectMode;
    if (!duplex.push(isText ? data.toString() : data)) ws.pause();
  });

  ws.once('error', (error) => {
    if (duplex.destroyed) return;
    hasFailed = true;
    duplex.destroy(error);
  });

  ws.once('close', () => {
    if (!duplex.destroyed) duplex.push(null);
  });

  // Destroy the stream before the listeners of the program are called.
  duplex.on('end', () => {
    if (duplex.writableFinished) duplex.destroy();
  });
  duplex.on('finish', () => {
    if (duplex.readableEnded) duplex.destroy();
  });

  duplex.once('error', (error) => {
    duplex.destroy();
    // Without another listener, throw the error, as if this listener did not exist.
    if (duplex.listenerCount('error') === 0) duplex.emit('error', error);
  });

  return duplex;
}

/** Calls back when the WebSocket is open, or at once if it is no longer connecting. */
function whenOpen(ws, callback) {
  if (ws.readyState === ws.CONNECTING) ws.once('open', callback);
  else callback();
}

/** Closes the WebSocket, and calls back when all sent data is written, or at 'close'. */
function whenSent(ws, callback) {
  const { _socket: socket } = ws;
  if (ws.readyState === ws.CLOSED || (socket && socket.writableFinished)) {
    callback();
    return;
  }
  // The handshake has failed: 'error' follows.
  if (!socket) return;
  // A destroyed socket emits no 'finish'.
  const done = () => {
    socket.removeListener('finish', done);
    ws.removeListener('close', done);
    callback();
  };
  socket.once('finish', done);
  ws.once('close', done);
  ws.close();
}

/** Calls back when the WebSocket has closed, with its own error if there is one. */
function whenClosed(ws, error, callback) {
  let reason = error;
  ws.once('error', (later) => {
    reason = later;
  });
  ws.once('close', () => callback(reason));
}

module.exports = createWebSocketStream;
