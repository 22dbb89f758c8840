'use strict';

// The addon, or one error that says why it does not load and what to do.

const fs = require('fs');
const path = require('path');

const { version } = require('../package.json');
const LoadError = require('./LoadError');
const platform = require('./platform');

/** Where an environment keeps the addon, so that it is loaded once. */
const kNative = Symbol.for(`oxws ${version}`);

if (process[kNative] === undefined) {
  Object.defineProperty(process, kNative, { value: load() });
}
module.exports = process[kNative];

function load() {
  const name = platform();
  const native = fromCheckout(name) || fromPackage(name);
  if (native.VERSION !== version) {
    throw LoadError.ofVersion(name, native.VERSION);
  }
  return native;
}

/** The binary that `npm run build` made, in a checkout of the repository. */
function fromCheckout(name) {
  if (typeof __dirname === 'undefined') return null; // in a bundle
  const file = path.join(__dirname, '..', `oxws.${name}.node`);
  if (!fs.existsSync(file)) return null;
  try {
    // Not by `require`: bundlers would look for the file.
    const built = { exports: {} };
    process.dlopen(built, file);
    return built.exports;
  } catch (cause) {
    throw LoadError.of(name, cause);
  }
}

/**
 * The binary that was installed as an optional dependency.
 *
 * Bundlers need each name as a literal, and forgive those that are not installed only
 * inside of `try`.
 */
function fromPackage(name) {
  try {
    switch (name) {
      case 'darwin-arm64':
        return require('oxws-darwin-arm64');
      case 'darwin-x64':
        return require('oxws-darwin-x64');
      case 'linux-arm64-gnu':
        return require('oxws-linux-arm64-gnu');
      case 'linux-arm64-musl':
        return require('oxws-linux-arm64-musl');
      case 'linux-x64-gnu':
        return require('oxws-linux-x64-gnu');
      case 'linux-x64-musl':
        return require('oxws-linux-x64-musl');
      case 'win32-arm64-msvc':
        return require('oxws-win32-arm64-msvc');
      case 'win32-x64-msvc':
        return require('oxws-win32-x64-msvc');
    }
  } catch (cause) {
    throw LoadError.of(name, cause);
  }
  throw LoadError.ofPlatform(name);
}
