'use strict';

// Counts the open descriptors of this process, on Linux.

const fs = require('fs');

const FD = '/proc/self/fd';

/** Returns the number of open descriptors; 0 on other systems. */
function descriptors() {
  return fs.existsSync(FD) ? fs.readdirSync(FD).length : 0;
}

/** Resolves when the number has not changed for 100 ms. */
async function rest() {
  for (let last = -1; last !== descriptors();) {
    last = descriptors();
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

module.exports = { descriptors, rest };
