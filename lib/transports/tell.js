'use strict';

const { kind } = require('../native');

const { NUMBER, MASKED } = kind;
const { BINARY, CLOSE, END, ERROR, PING, PONG, TEXT, VIOLATION } = kind;

/**
 * Calls the method of `incoming` for an event of a connection.
 *
 * @param {Object} incoming see `open`
 * @param {WebSocket} ws the connection
 * @param {Number} what the event's kind and flags
 * @param {*} data its payload; a violation; the error of a connection that failed
 * @param {Number} wire the bytes on the wire that it took
 * @param {Number|Float64Array} extra the code of a close frame, or that to close with;
 *   where the fragments of a message end
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

/** The socket is closed, and nothing more comes: an event that is JavaScript's own. */
const CLOSED = 31;

module.exports = { CLOSED, tell };
