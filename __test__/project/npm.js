'use strict';

const { execFileSync } = require('child_process');

/** Runs npm in a folder. Returns what it prints. */
function npm(args, cwd) {
  return execFileSync('npm', args, {
    cwd,
    encoding: 'utf8',
    shell: process.platform === 'win32',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

module.exports = npm;
