'use strict';

// Runs a test suite of ws on oxws, and compares the failures with those that are known:
//
//   npm run test:ws -- FOLDER
//
// FOLDER is a checkout of github.com/websockets/ws: for the API of 2016 at commit
// d93f69f7c0bbb6a11c6f1289d4d7a1add9173eda, otherwise of ws 8, known at commit
// a2f4e7c046c2112bbce6fef39a083dac77d6f0d2. In its tests, `require('..')` and
// `require('../lib/…')` return the modules of oxws. No file is changed.

const { spawnSync } = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');

const KNOWN = require('./test-ws-known');

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

/** For each major version of ws: the API of oxws, the mocha, and its options. */
const SUITES = {
  1: {
    entry: 'index.js',
    folder: 'lib/ws2016',
    // The suite needs this version: later ones report errors after the end of a test.
    mocha: 'mocha-3/bin/_mocha',
    options: [],
  },
  8: {
    entry: 'ws8/index.js',
    folder: 'lib/ws8',
    mocha: 'mocha/bin/_mocha',
    // A test that fails leaves its servers open.
    options: ['--exit'],
  },
};

const { version } = JSON.parse(
  fs.readFileSync(path.join(checkout, 'package.json'), 'utf8'),
);
const [major] = version.split('.');
const suiteOf = SUITES[major];
if (suiteOf === undefined) {
  console.error(`ws ${version} is none whose suite is known`);
  process.exit(1);
}

const folderOfResult = fs.mkdtempSync(path.join(os.tmpdir(), 'oxws-ws-'));
const resultFile = path.join(folderOfResult, 'result.json');

spawnSync(
  process.execPath,
  [
    '--no-deprecation',
    require.resolve(suiteOf.mocha),
    '--require',
    path.join(__dirname, 'test-ws-redirect.js'),
    '--reporter',
    path.join(__dirname, 'test-ws-reporter.js'),
    ...suiteOf.options,
    ...files,
  ],
  {
    cwd: checkout, // The tests read their fixtures relative to it.
    env: Object.assign({}, process.env, {
      OXWS_WS_CHECKOUT: checkout,
      OXWS_WS_ENTRY: suiteOf.entry,
      OXWS_WS_FOLDER: suiteOf.folder,
      OXWS_WS_RESULT: resultFile,
    }),
    stdio: 'inherit',
  },
);

const result = fs.existsSync(resultFile)
  ? JSON.parse(fs.readFileSync(resultFile, 'utf8'))
  : null;
fs.rmSync(folderOfResult, { recursive: true });
if (result === null) {
  console.error('the suite has not run to its end');
  process.exit(1);
}

const known = KNOWN[major].filter(({ where }) => where !== false);
const titles = known.map(({ title }) => title);
const passed = result.passed.filter((title) => !result.failed.includes(title));
const unexpected = [
  ...result.failed
    .filter((title) => !titles.includes(title))
    .map((title) => `fails: ${title}`),
  ...passed
    .filter((title) => titles.includes(title))
    .map((title) => `passes, though it is known to fail: ${title}`),
  ...titles
    .filter((title) => !result.failed.includes(title))
    .filter((title) => !passed.includes(title))
    .map((title) => `is known to fail, and has not run: ${title}`),
];
if (passed.length === 0) unexpected.push('has no test that passes');

console.log('Known to fail:');
for (const { title, reason } of known) console.log(`  ${title}: it ${reason}`);
for (const line of unexpected) console.error(`Unexpected: it ${line}`);
const { failed, pending } = result;
// Tests that are known to fail are not counted as failed in the last line.
console.log(
  `${passed.length} of ${passed.length + failed.length} tests of ws ${version} pass, ` +
    `${pending.length} are pending`,
);
console.log(
  `${passed.length} passed, ${unexpected.length} failed, ${pending.length} skipped`,
);
process.exitCode = unexpected.length === 0 ? 0 : 1;
