'use strict';

// The open descriptors of this process; none where the system does not tell.

const fs = require('fs');

const FD = '/proc/self/fd';

/** How many there are. */
function descriptors() {
  return fs.existsSync(FD) ? fs.readdirSync(FD).length : 0;
}

/** Waits for their number to stay as it is for a while. */
async function rest() {
  for (let last = -1; last !== descriptors();) {
    last = descriptors();
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

module.exports = { descriptors, rest };
