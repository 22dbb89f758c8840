'use strict';

/** The smallest length, in bytes, of an ArrayBuffer that is allocated off the V8 heap. */
const OUTSIDE = 65;

/** How many bytes of external memory are handed over for each array below. */
const STEP = 64 * 1024;

/** The length of an array that takes 8 KiB in the V8 heap. */
const LENGTH = 1024;

/** The bytes handed over since the last array was created. */
let bytes = 0;

/** Holds the last array, so that the compiler does not remove the others. */
const garbage = [null];

/**
 * Has V8 consider freeing external memory: the native memory that backs a Buffer or a
 * string.
 *
 * V8 does not count external memory as an allocation. Without the arrays here, a program that
 * only receives long messages would hold 32 MiB of them before V8 frees one. These do not fit
 * into the processor's cache, so receiving takes longer. The arrays have V8 scavenge after
 * about 8 MiB, which takes a fraction of a millisecond, and the memory is then used again.
 *
 * If the young generation is large, V8 scavenges once young objects hold 32 MiB of external
 * memory. But V8 checks this limit only when it allocates external memory itself, and the
 * native code allocates this memory. Hence the small ArrayBuffer. Without it, only a full
 * collection frees the memory, which takes several times the work and half as much memory
 * again.
 *
 * @param {Buffer|String} data
 * @returns {Buffer|String} `data` itself
 */
function handedOver(data) {
  bytes += data.length;
  if (bytes >= STEP) {
    for (; bytes >= STEP; bytes -= STEP) garbage[0] = new Array(LENGTH);
    new ArrayBuffer(OUTSIDE);
  }
  return data;
}

module.exports = { handedOver };
