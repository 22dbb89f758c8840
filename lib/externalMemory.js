'use strict';

/** The smallest length, in bytes, of an ArrayBuffer that is allocated off the V8 heap. */
const OUTSIDE = 65;

/**
 * Has V8 consider freeing external memory: the native memory that backs a Buffer or a
 * string.
 *
 * V8 starts a scavenge once young objects hold 32 MiB of external memory. A scavenge
 * takes a fraction of a millisecond. But V8 checks this limit only when it allocates
 * external memory itself, and the native code allocates this memory. Without the small
 * allocation here, only a full collection frees it, which takes several times the work
 * and half as much memory again.
 *
 * @param {Buffer|String} data
 * @returns {Buffer|String} `data` itself
 */
function handedOver(data) {
  new ArrayBuffer(OUTSIDE);
  return data;
}

module.exports = { handedOver };
