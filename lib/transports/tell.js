'use strict';

const { kind } = require('../native');

const { NUMBER, MASKED } = kind;
const { BINARY, CLOSE, END, ERROR, PING, PONG, TEXT, VIOLATION } = kind;

/**
 * Calls the method of `incoming` for an event of a connection.
 *
 * @param {Object} incoming see `open`
 * @param {WebSocket} ws
 * @param {Number} what the kind of the event and its flags, see `native.kind`
 * @param {*} data the payload; the violation; or the error of a failed connection
 * @param {Number} wire the number of bytes on the wire since the previous event
 * @param {Number|Float64Array} extra the code of a close frame; the code to close with
 *   after a violation; or the ends of a message's fragments
 */
function tell(incoming, ws, what, data, wire, extra) {
  switch (what & NUMBER) {
    case TEXT:
      incoming.message(ws, data, false, (what & MASKED) !== 0, wire, extra);
      break;
    case BINARY:
      incoming.message(ws, data, true, (what & MASKED) !== 0, wire, extra);
      break;
    case PING:
      incoming.ping(ws, data, (what & MASKED) !== 0, wire);
      break;
    case PONG:
      incoming.pong(ws, data, (what & MASKED) !== 0, wire);
      break;
    case CLOSE:
      incoming.close(ws, extra, data, (what & MASKED) !== 0, wire);
      break;
    case VIOLATION:
      incoming.violation(ws, data, extra, wire);
      break;
    case END:
      incoming.end(ws);
      break;
    case ERROR:
      incoming.failed(ws, data);
      break;
    case CLOSED:
      incoming.closed(ws);
  }
}

/**
 * The kind of the last event: the socket has closed. Only JavaScript uses it, so its
 * number is none of those in `native.kind`.
 */
const CLOSED = 31;

module.exports = { CLOSED, tell };
