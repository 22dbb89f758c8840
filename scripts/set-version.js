'use strict';

// Writes a new version to all files that contain the version.
//
//   npm run set-version -- 1.2.3 [8.23.4]
//
// The second version is that of oxws8. Its major and minor version are those of the ws
// whose API it has, and its patch counts our releases. By default, the patch goes up by
// one.

const fs = require('fs');
const path = require('path');

const root = path.join(__dirname, '..');

/** Replaces a pattern in a file. Throws if the file does not match it. */
function change(file, pattern, replacement) {
  const at = path.join(root, file);
  const text = fs.readFileSync(at, 'utf8');
  const changed = text.replace(pattern, replacement);
  if (changed === text && !pattern.test(text)) {
    throw new Error(`${file} has nothing that looks like ${pattern}`);
  }
  fs.writeFileSync(at, changed);
}

function main([version, given]) {
  const VERSION = /^\d+\.\d+\.\d+(-[\w.]+)?$/;
  if (!VERSION.test(version) || (given && !VERSION.test(given))) {
    console.error('usage: npm run set-version -- VERSION [VERSION OF OXWS8]');
    process.exit(2);
  }
  const { version: last } = require('../oxws8/package.json');
  const next = last.replace(/\d+$/, (patch) => Number(patch) + 1);
  const first = /("version": )"[^"]+"/;

  change('package.json', first, `$1"${version}"`);
  // The lock file has the version twice: at the top, and for the package at its root.
  change(
    'package-lock.json',
    /("name": "oxws",\s+"version": )"[^"]+"/g,
    `$1"${version}"`,
  );
  for (const name of fs.readdirSync(path.join(root, 'npm'))) {
    change(`npm/${name}/package.json`, first, `$1"${version}"`);
  }
  change('Cargo.toml', /^version = "[^"]+"/m, `version = "${version}"`);
  change(
    'Cargo.lock',
    /(name = "oxws[\w-]*"\nversion = )"[^"]+"/g,
    `$1"${version}"`,
  );
  change('oxws8/package.json', first, `$1"${given || next}"`);
  change('oxws8/package.json', /("oxws": )"[^"]+"/, `$1"${version}"`);
  console.log(`oxws ${version}, oxws8 ${given || next}`);
}

main(process.argv.slice(2));
