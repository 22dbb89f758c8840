'use strict';

// Installs the packages that depend on ws, beside this file, with ws itself or with what
// takes its place.
//
// OXWS_TARBALLS names a folder with the tarballs of oxws8, of oxws and of this platform;
// without it, they are packed.

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

/** A folder with the tarballs, which may be made within another. */
function tarballsIn(folder) {
  if (process.env.OXWS_TARBALLS) return path.resolve(process.env.OXWS_TARBALLS);
  const tarballs = path.join(folder, 'tarballs');
  const script = path.join(root, 'scripts', 'pack.js');
  execFileSync(process.execPath, [script, tarballs]);
  return tarballs;
}

/** What is to be installed of the tarballs in a folder, and as what. */
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

/** The tree as its lock file has it, with ws. */
function installOriginal(app) {
  fs.cpSync(__dirname, app, { recursive: true });
  npm(['ci', '--ignore-scripts', '--prefer-offline'], app);
}

/**
 * Changes one dependency of such a tree: what `ws` is. The overrides of package.json have
 * all who ask for it follow, whichever versions they name.
 */
function installAlias(app, tarballs) {
  const manifest = read(app, 'package.json');
  Object.assign(manifest.dependencies, dependencies(tarballs));
  fs.writeFileSync(
    path.join(app, 'package.json'),
    JSON.stringify(manifest, null, 2),
  );
  // All else is there: no registry need be asked for packages of other platforms.
  npm(['install', '--ignore-scripts', '--offline'], app);
}

module.exports = { installAlias, installOriginal, read, tarballsIn };
