'use strict';

// Runs the test suite of the original ws on oxws:
//
//   npm run test:ws -- FOLDER
//
// FOLDER is a checkout of github.com/websockets/ws at the commit that README names.
// Its tests' `require('..')` and `require('../lib/…')` give oxws; no file is changed.

const { spawnSync } = require('child_process');
const fs = require('fs');
const path = require('path');

const [folder] = process.argv.slice(2);
if (!folder) {
  console.log('skipped: give the folder of a checkout of ws');
  process.exit(0);
}

const checkout = path.resolve(folder);
const suite = path.join(checkout, 'test');
if (!fs.existsSync(suite)) {
  console.error(`there is no folder test in ${folder}`);
  process.exit(1);
}
const files = fs
  .readdirSync(suite)
  .filter((name) => name.endsWith('.test.js'))
  .map((name) => path.join(suite, name));

/** The suites that there are: which API of ours, and mocha's version. */
const SUITES = {
  1: {
    entry: 'index.js',
    folder: 'lib/ws2016',
    // Its own version: later ones judge errors after a test's end.
    mocha: 'mocha-3/bin/_mocha',
  },
  8: { entry: 'ws8/index.js', folder: 'lib/ws8', mocha: 'mocha/bin/_mocha' },
};

const { version } = JSON.parse(
  fs.readFileSync(path.join(checkout, 'package.json'), 'utf8'),
);
const suiteOf = SUITES[version.split('.')[0]];
if (suiteOf === undefined) {
  console.error(`ws ${version} is none whose suite is known`);
  process.exit(1);
}

const { status } = spawnSync(
  process.execPath,
  [
    '--no-deprecation',
    require.resolve(suiteOf.mocha),
    '--require',
    path.join(__dirname, 'test-ws-redirect.js'),
    ...files,
  ],
  {
    cwd: checkout, // Its tests read their fixtures from here.
    env: Object.assign({}, process.env, {
      OXWS_WS_CHECKOUT: checkout,
      OXWS_WS_ENTRY: suiteOf.entry,
      OXWS_WS_FOLDER: suiteOf.folder,
    }),
    stdio: 'inherit',
  },
);
process.exit(status === null ? 1 : status);
