'use strict';

// Installs the packages that depend on ws (package.json in this folder), with ws itself
// or with oxws8 in its place.

const fs = require('fs');
const path = require('path');

const npm = require('../project/npm');

function read(...names) {
  return JSON.parse(fs.readFileSync(path.join(...names), 'utf8'));
}

/** Installs the packages of the lock file, with ws itself. */
function installOriginal(app) {
  fs.cpSync(__dirname, app, { recursive: true });
  npm(['ci', '--ignore-scripts', '--prefer-offline'], app);
}

/**
 * Replaces `ws` in an installed folder with oxws8, from packed `Tarballs`. Through the overrides in
 * package.json, all packages that depend on any version of ws get oxws8.
 */
function installAlias(app, tarballs) {
  const manifest = read(app, 'package.json');
  Object.assign(manifest.dependencies, {
    oxws: `file:${tarballs.oxws}`,
    [tarballs.platform]: `file:${tarballs.binary}`,
    ws: `file:${tarballs.oxws8}`,
  });
  fs.writeFileSync(
    path.join(app, 'package.json'),
    JSON.stringify(manifest, null, 2),
  );
  // Everything else is installed. Offline, npm asks no registry for packages of other
  // platforms.
  npm(['install', '--ignore-scripts', '--offline'], app);
}

module.exports = { installAlias, installOriginal, read };
