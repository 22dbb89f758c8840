'use strict';

// Builds the addon; cargo decides what is to be done, and shows how far it is.

const { spawnSync } = require('child_process');
const path = require('path');

const root = path.join(__dirname, '..');

if (spawnSync('cargo', ['--version']).error) {
  console.error(
    'oxws: building the addon needs Rust, and there is no cargo on the PATH.\n' +
      'Install it (https://rustup.rs), then run: npm run build',
  );
  process.exit(1);
}

const { status } = spawnSync('npm', ['run', 'build'], {
  cwd: root,
  stdio: 'inherit',
  shell: process.platform === 'win32',
});
process.exit(status === null ? 1 : status);
