'use strict';

const fs = require('fs');
const path = require('path');

/** Whether the node_modules of a folder is at least as new as its lock file. */
function isInstalled(folder) {
  const time = (file) => fs.statSync(path.join(folder, file)).mtimeMs;
  try {
    return time('node_modules/.package-lock.json') >= time('package-lock.json');
  } catch {
    return false;
  }
}

module.exports = isInstalled;
