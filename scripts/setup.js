'use strict';

// Makes a fresh clone ready: installs what is missing, builds what has changed.

const { spawnSync } = require('child_process');
const fs = require('fs');
const path = require('path');

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

/** Whether node_modules is what the lock file asks for. */
function isInstalled() {
  const time = (file) => fs.statSync(path.join(root, file)).mtimeMs;
  try {
    return time('node_modules/.package-lock.json') >= time('package-lock.json');
  } catch {
    return false;
  }
}

if (!isInstalled()) {
  run('Installing packages', 'npm', ['ci', '--ignore-scripts', '--no-fund']);
}
run('Building the addon', process.execPath, [path.join(__dirname, 'build.js')]);
