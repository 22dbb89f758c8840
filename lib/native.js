'use strict';

// The addon, or one error that says why it is not there and what to do about it.

const fs = require('fs');
const path = require('path');

const { version } = require('../package.json');

/** Where the environment has the addon: it is not loaded twice. */
const kNative = Symbol.for(`oxws ${version}`);

if (process[kNative] === undefined) {
  Object.defineProperty(process, kNative, { value: load() });
}
module.exports = process[kNative];

function load() {
  try {
    return require('../native.js');
  } catch (error) {
    throw explain(error);
  }
}

/** The error for an addon that did not load. */
function explain(cause) {
  const platform = `${process.platform}-${process.arch}${libc()}`;
  const fromSource = fs.existsSync(path.join(__dirname, '..', 'Cargo.toml'));
  const error = new Error(
    [
      `oxws has no native binary that loads on ${platform} ` +
        `(Node.js ${process.version}, ABI ${process.versions.modules}).`,
      'The loader answered:',
      ...answers(cause).map((answer) => `  - ${answer}`),
      fromSource
        ? 'Build it, with Rust installed: npm run build'
        : `Install the package of this platform: npm install oxws-${platform}` +
          '\n(npm leaves it out with --omit=optional, and with a lock file that' +
          ' another platform wrote.)\nWithout one for this platform, build oxws' +
          ' from its repository, with Rust installed: npm run build',
    ].join('\n'),
    { cause },
  );
  error.code = 'ERR_OXWS_NO_BINARY';
  return error;
}

/** What each attempt to load said, each once and on one line. */
function answers(error) {
  const found = new Set();
  for (let at = error; at && !found.has(at.message); at = at.cause) {
    for (const each of [at, ...(at.errors || [])]) {
      found.add(String(each.message).split('\n')[0]);
    }
  }
  return [...found];
}

/** The C library, as the packages' names have it. */
function libc() {
  if (process.platform === 'win32') return '-msvc';
  if (process.platform !== 'linux') return '';
  const { header } = process.report.getReport();
  return header.glibcVersionRuntime ? '-gnu' : '-musl';
}
