'use strict';

const { Duplex } = require('stream');

const { nextTick } = require('../environment');

/**
 * A stream of a WebSocket's messages. What is written is sent; what is received is read,
 * and while nobody reads, the WebSocket is paused.
 *
 * The stream is destroyed once it has ended and finished, or with an error of the
 * WebSocket, and emits 'close' when the WebSocket has closed. To destroy it terminates
 * the WebSocket.
 *
 * @param {WebSocket} ws
 * @param {Object} [options] those of stream.Duplex, of which `readableObjectMode` keeps
 *   messages apart, and texts strings
 * @returns {stream.Duplex}
 */
function createWebSocketStream(ws, options) {
  /** Whether the WebSocket has failed, and closes by itself. */
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
      else if (ws.isPaused) ws.resume(); // Nobody else will, and its end is to come.
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

  // The program's listeners of the later of both find it destroyed.
  duplex.on('end', () => {
    if (duplex.writableFinished) duplex.destroy();
  });
  duplex.on('finish', () => {
    if (duplex.readableEnded) duplex.destroy();
  });

  duplex.once('error', (error) => {
    duplex.destroy();
    // An error that nobody else hears is thrown, as if nobody did.
    if (duplex.listenerCount('error') === 0) duplex.emit('error', error);
  });

  return duplex;
}

/** Calls back when the WebSocket is open, or has been. */
function whenOpen(ws, callback) {
  if (ws.readyState === ws.CONNECTING) ws.once('open', callback);
  else callback();
}

/** Closes the WebSocket, and calls back when all that was sent has gone out. */
function whenSent(ws, callback) {
  const { _socket: socket } = ws;
  if (ws.readyState === ws.CLOSED || (socket && socket.writableFinished)) {
    callback();
    return;
  }
  // The handshake has failed: the error that says so is still to come.
  if (!socket) return;
  // A socket that is destroyed does not finish.
  const done = () => {
    socket.removeListener('finish', done);
    ws.removeListener('close', done);
    callback();
  };
  socket.once('finish', done);
  ws.once('close', done);
  ws.close();
}

/** Calls back when the WebSocket has closed: with the error, or one that came until then. */
function whenClosed(ws, error, callback) {
  let reason = error;
  ws.once('error', (later) => {
    reason = later;
  });
  ws.once('close', () => callback(reason));
}

module.exports = createWebSocketStream;
