'use strict';

// Prepares a clone: installs the packages if needed, and builds the addon.

const { spawnSync } = require('child_process');
const path = require('path');

const isInstalled = require('./installed');

const root = path.join(__dirname, '..');

/** Runs a command with its output shown. Ends this process if the command fails. */
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
