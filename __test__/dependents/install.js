'use strict';

// Installs the packages that depend on ws (package.json in this folder), with ws itself
// or with oxws8 in its place.
//
// OXWS_TARBALLS is a folder with the tarballs of oxws8, of oxws and of the binary for
// this platform. Without it, they are packed.

const assert = require('node:assert/strict');
const { execFileSync } = require('child_process');
const fs = require('fs');
const path = require('path');

const root = path.join(__dirname, '..', '..');

function npm(args, cwd) {
  return execFileSync('npm', args, {
    cwd,
    encoding: 'utf8',
    shell: process.platform === 'win32',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

function read(...names) {
  return JSON.parse(fs.readFileSync(path.join(...names), 'utf8'));
}

/** Returns a folder with the tarballs. They may have to be packed into `folder`. */
function tarballsIn(folder) {
  if (process.env.OXWS_TARBALLS) return path.resolve(process.env.OXWS_TARBALLS);
  const tarballs = path.join(folder, 'tarballs');
  const script = path.join(root, 'scripts', 'pack.js');
  execFileSync(process.execPath, [script, tarballs]);
  return tarballs;
}

/** Returns the dependencies for the tarballs in a folder. oxws8 has the name `ws`. */
function dependencies(folder) {
  const entries = fs
    .readdirSync(folder)
    .filter((file) => file.endsWith('.tgz'))
    .map((file) => {
      const name = file.replace(/-\d+\.\d+\.\d+.*$/, '');
      const spec = `file:${path.join(folder, file)}`;
      return [name === 'oxws8' ? 'ws' : name, spec];
    });
  const found = Object.fromEntries(entries);
  assert.ok(found.ws, `no tarball of oxws8 is in ${folder}`);
  assert.ok(found.oxws, `no tarball of oxws is in ${folder}`);
  assert.equal(entries.length, 3, `three tarballs are to be in ${folder}`);
  return found;
}

/** Installs the packages of the lock file, with ws itself. */
function installOriginal(app) {
  fs.cpSync(__dirname, app, { recursive: true });
  npm(['ci', '--ignore-scripts', '--prefer-offline'], app);
}

/**
 * Replaces `ws` in an installed folder with oxws8. Through the overrides in
 * package.json, all packages that depend on any version of ws get oxws8.
 */
function installAlias(app, tarballs) {
  const manifest = read(app, 'package.json');
  Object.assign(manifest.dependencies, dependencies(tarballs));
  fs.writeFileSync(
    path.join(app, 'package.json'),
    JSON.stringify(manifest, null, 2),
  );
  // Everything else is installed. Offline, npm asks no registry for packages of other
  // platforms.
  npm(['install', '--ignore-scripts', '--offline'], app);
}

module.exports = { installAlias, installOriginal, read, tarballsIn };
