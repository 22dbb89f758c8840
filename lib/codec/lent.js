'use strict';

// Memory for long frames, which is used again when a socket has written them. The system
// clears new memory page by page when it is first written to, which takes several times
// as long as to copy a payload into memory that is in use.

const net = require('net');

/** The minimum length of a frame in lent memory, in bytes. */
const MIN_LENT = 16 * 1024;

/** The maximum total length of the spare memory, in bytes. */
const MAX_BYTES = 4 * 1024 * 1024;

/** Memory is lent for a frame of at least this part of its length. */
const LEAST_USE = 1 / 4;

/** Node's own methods. */
const { _write, _writev, write } = net.Socket.prototype;

/** ArrayBuffers that nothing refers to. */
const spare = [];
let spareBytes = 0;

/**
 * Whether a frame of this length may be in lent memory. A socket of Node refers to no
 * chunk for which it has called back, but other streams, and functions of the program,
 * may keep what is written.
 */
function mayLend(socket, length) {
  return (
    length >= MIN_LENT &&
    socket instanceof net.Socket &&
    socket.write === write &&
    socket._write === _write &&
    socket._writev === _writev
  );
}

/** Returns a Buffer for a frame. */
function lend(length) {
  for (let i = spare.length - 1; i >= 0; i--) {
    const memory = spare[i];
    const size = memory.byteLength;
    if (length <= size && length >= LEAST_USE * size) {
      spare[i] = spare[spare.length - 1];
      spare.pop();
      spareBytes -= size;
      return Buffer.from(memory, 0, length);
    }
  }
  return Buffer.allocUnsafeSlow(length);
}

/** Takes back the memory of a frame that the socket has written. */
function giveBack({ buffer: memory }) {
  if (spareBytes + memory.byteLength > MAX_BYTES) return;
  spareBytes += memory.byteLength;
  spare.push(memory);
}

module.exports = { giveBack, lend, mayLend };
