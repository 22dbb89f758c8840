'use strict';

// What transports call for the connections of this API: see `transports/open`.

const inBinaryType = require('./binary-type');
const { EMPTY_BUFFER } = require('./constants');
const { errorOf } = require('./violations');
const { callLast, clearTimeout, setTimeout } = require('../environment');

const OPEN = 1;
const CLOSING = 2;
const CLOSED = 3;

/** The close code of a connection whose other end gave none (RFC 6455, 7.4.1). */
const NO_CODE = 1005;

module.exports = {
  message(ws, data, isBinary, isMasked, wire, ends) {
    const isAsItIs = !isBinary || ws._binaryType === 'nodebuffer';
    const message = isAsItIs ? data : inBinaryType(ws._binaryType, data, ends);
    if (ws._receiverView === null) ws.emit('message', message, isBinary);
    else ws._receiverView.emit('message', message, isBinary);
  },

  ping(ws, data) {
    if (ws._receiverView === null) takePing(ws, data);
    else ws._receiverView.emit('ping', data);
  },

  pong(ws, data) {
    if (ws._receiverView === null) ws.emit('pong', data);
    else ws._receiverView.emit('pong', data);
  },

  close(ws, code, reason) {
    if (ws._receiverView === null) takeClose(ws, code || NO_CODE, reason);
    else ws._receiverView.emit('conclude', code || NO_CODE, reason);
  },

  violation(ws, violation, closeCode) {
    const error = errorOf(violation, closeCode);
    ws._failed = true;
    if (ws._receiverView === null) takeError(ws, error, closeCode);
    else ws._receiverView.emit('error', error);
  },

  dropped() {},

  end(ws) {
    if (ws._readyState === CLOSED) return;
    ws._readyState = CLOSING;
    ws._transport.end();
  },

  // The errors of sockets are no 'error' events: 'close' tells the end.
  failed(ws, error) {
    if (ws._readyState === CLOSED) return;
    ws._readyState = CLOSING;
    ws._transport.destroy(error);
  },

  closing(ws) {
    if (ws._readyState === OPEN) ws._readyState = CLOSING;
  },

  wantsEnds: (ws) => ws._binaryType === 'fragments',

  closed(ws) {
    if (ws._readyState === CLOSED) return;
    ws._readyState = CLOSING;
    clearTimeout(ws._closeTimer);
    callLast(() => ws.emitClose());
  },

  moved(ws, transport) {
    ws._transport = transport;
  },

  notSent(cause, isCompressing) {
    if (cause) return cause;
    if (isCompressing) {
      const text = 'The socket was closed while data was being compressed';
      return new Error(text);
    }
    const text = 'Cannot call write after a stream was destroyed';
    return Object.assign(new Error(text), { code: 'ERR_STREAM_DESTROYED' });
  },

  /** Something cannot be sent, and nothing can follow it. */
  lost(ws, error) {
    if (ws._readyState === CLOSED) return;
    if (ws._readyState === OPEN) {
      ws._readyState = CLOSING;
      expectClose(ws);
    }
    ws._transport.end();
    emitError(ws, error);
  },

  emitError,
  expectClose,
  takeClose,
  takeError,
  takePing,
};

/** Destroys the socket unless it closes in time. */
function expectClose(ws) {
  ws._closeTimer = setTimeout(() => ws._transport.destroy(), ws._closeTimeout);
}

/** Emits 'error', once; if nobody listens it is thrown, but breaks off nothing. */
function emitError(ws, error) {
  if (ws._errorEmitted) return;
  ws._errorEmitted = true;
  callLast(() => ws.emit('error', error));
}

/** Takes a ping: answers it by the method that programs may replace. */
function takePing(ws, data) {
  if (ws._autoPong && ws.readyState === OPEN) {
    const { _maxPendingAutoPongs: most } = ws;
    if (most > 0 && ws._pendingAutoPongs >= most) {
      ws.terminate();
    } else {
      ws._pendingAutoPongs++;
      callLast(() => {
        ws.pong(data, !ws._isServer, () => {
          ws._pendingAutoPongs--;
        });
      });
    }
  }
  ws.emit('ping', data);
}

/** Takes the close frame of the other end. */
function takeClose(ws, code, reason) {
  ws._closeFrameReceived = true;
  ws._closeCode = code;
  // It must not keep the memory alive that it came in.
  ws._closeMessage =
    reason.length === 0 ? EMPTY_BUFFER : Uint8Array.from(reason);
  if (ws._closeMessage !== EMPTY_BUFFER) {
    ws._closeMessage = Buffer.from(ws._closeMessage.buffer);
  }
  if (ws._readyState === CLOSED) return;
  // Nobody needs to resume it any more.
  ws._transport.drop();
  if (code === NO_CODE) ws.close();
  else ws.close(code, ws._closeMessage);
}

/** Takes the error of a violation. */
function takeError(ws, error, closeCode) {
  ws._transport.drop();
  if (ws._readyState !== CLOSED) callLast(() => ws.close(closeCode));
  emitError(ws, error);
}
