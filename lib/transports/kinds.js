'use strict';

// What an event of the engine is: a number in the low bits, which for a frame is its
// opcode, and bits above it. The native side has the same, in `inbox.rs`.

const { BINARY, CLOSE, PING, PONG, TEXT } = require('../flags');

module.exports = {
  /** The bits of the number. */
  KIND: 0xff,

  TEXT,
  BINARY,
  CLOSE,
  PING,
  PONG,
  /** A violation of the protocol. */
  VIOLATION: 16,
  /** The other end sends no more. */
  END: 17,
  /** The connection failed. */
  ERROR: 18,
  /** The system has taken messages. */
  SENT: 19,
  /** All is sent that was to be, and the connection is let go of. */
  RELEASED: 20,

  /** The frame was masked. */
  MASKED: 0x100,
  /** The payload is in memory of its own. */
  LARGE: 0x200,
  /** A violation is a `RangeError`. */
  RANGE: 0x400,
  /** A text is known to be ASCII. */
  ASCII: 0x800,
  /** It was writing that failed. */
  WRITE: 0x1000,
};
