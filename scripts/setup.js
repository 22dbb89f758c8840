'use strict';

// Makes a fresh clone ready: installs what is missing, builds what has changed.

const { spawnSync } = require('child_process');
const path = require('path');

const isInstalled = require('./installed');

const root = path.join(__dirname, '..');

/** Runs a command in the open; the process ends if it fails. */
function run(title, command, args) {
  console.log(`\n${title}`);
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
  if (error) console.error(String(error));
  if (status !== 0) process.exit(status || 1);
}

if (!isInstalled(root)) {
  run('Installing packages', 'npm', ['ci', '--ignore-scripts', '--no-fund']);
}
run('Building the addon', process.execPath, [path.join(__dirname, 'build.js')]);
