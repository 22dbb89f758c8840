'use strict';

// The methods that transports call for connections of this API, see `transports/open`.

const inBinaryType = require('./binary-type');
const { EMPTY_BUFFER, kWebSocket } = require('./constants');
const { errorOf } = require('./violations');
const { callLast, clearTimeout, setTimeout } = require('../environment');

const OPEN = 1;
const CLOSING = 2;
const CLOSED = 3;

/** The code that is reported for a close frame without a code (RFC 6455, 7.1.5). */
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

  // No 'error' is emitted for an error of the socket, only 'close'.
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

  hasSocket(ws, socket) {
    socket[kWebSocket] = ws;
  },

  moved(ws, transport) {
    ws._transport = transport;
  },

  heldBytes: (ws) => (ws._blobs === null ? 0 : ws._blobs.bytes),

  drained(ws) {
    if (ws._readyState !== CLOSED) ws.emit('drain');
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

  /** Called when data cannot be sent, so that nothing after it can be sent either. */
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

/** Destroys the socket if it does not close within `closeTimeout` milliseconds. */
function expectClose(ws) {
  ws._closeTimer = setTimeout(() => ws._transport.destroy(), ws._closeTimeout);
}

/** Emits 'error' once. Without a listener, the error is thrown on the next tick. */
function emitError(ws, error) {
  if (ws._errorEmitted) return;
  ws._errorEmitted = true;
  callLast(() => ws.emit('error', error));
}

/** Handles a ping. It is answered by the method `pong`, which programs may replace. */
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

/** Handles a close frame of the other end. */
function takeClose(ws, code, reason) {
  ws._closeFrameReceived = true;
  ws._closeCode = code;
  // Copy the reason, so that it does not keep the memory alive in which it arrived.
  ws._closeMessage =
    reason.length === 0 ? EMPTY_BUFFER : Uint8Array.from(reason);
  if (ws._closeMessage !== EMPTY_BUFFER) {
    ws._closeMessage = Buffer.from(ws._closeMessage.buffer);
  }
  if (ws._readyState === CLOSED) return;
  // A paused connection closes without `resume`.
  ws._transport.drop();
  if (code === NO_CODE) ws.close();
  else ws.close(code, ws._closeMessage);
}

/** Handles the error of a violation. */
function takeError(ws, error, closeCode) {
  ws._transport.drop();
  if (ws._readyState !== CLOSED) callLast(() => ws.close(closeCode));
  emitError(ws, error);
}
