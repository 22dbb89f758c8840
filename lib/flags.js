'use strict';

// What a frame is to be, as bits of a number: the low eight are the first byte of its
// head (RFC 6455, 5.2), the others are ours. The native side has the same.

/** Opcodes. */
exports.TEXT = 0x1;
exports.BINARY = 0x2;
exports.CLOSE = 0x8;
exports.PING = 0x9;
exports.PONG = 0xa;

/** The message ends here. */
exports.FIN = 0x80;
/** The message is to be compressed, if it is long enough. */
exports.RSV1 = 0x40;
/** The payload is to be masked. */
exports.MASK = 0x100;
/** The engine is to tell when the system has taken it. */
exports.ACK = 0x200;
/** It was taken back. */
exports.SKIP = 0x400;
/** It is written as it is, without a frame around it. */
exports.RAW = 0x800;

/** The flags of a message whose options are all given. */
exports.ofMessage = function ofMessage({ binary, compress, fin, mask }) {
  return (
    (binary ? exports.BINARY : exports.TEXT) |
    (fin ? exports.FIN : 0) |
    (compress ? exports.RSV1 : 0) |
    (mask ? exports.MASK : 0)
  );
};
