'use strict';

// Runs Autobahn's test suite with servers and clients of oxws. The suite is installed
// from PyPI into `target/`, and needs Python 2.7.
//
//   npm run test:autobahn                cases 1-7, 9, 10, and a sample of 12 and 13
//   npm run test:autobahn -- --full      all 517 cases, which takes hours
//   npm run test:autobahn -- --quick     cases 1-5, 7, 10, and a sample of 6, 9, 12, 13
//   npm run test:autobahn -- --write     also writes the table of docs/conformance.md
//   npm run test:autobahn -- inline      only the ways whose title has this word
//
// Words may be combined with options: `-- --full oxws/ws8 server`. The table has the last
// result of each way. Prints a line for each way, and at the end the line
// `N passed, N failed, N skipped`, which has the cases of all ways.

const fs = require('fs');
const path = require('path');

const Suite = require('./autobahn/Suite');
const KNOWN = require('./autobahn/known');
const conformance = require('./conformance');
const { ENTRIES, nameOf } = require('./ways');

/** The results of the last runs. */
const results = path.join(
  __dirname,
  '..',
  'target',
  'autobahn',
  'results.json',
);

/** Without most of 6, where only the validation of UTF-8 differs from case to case. */
const QUICK = [
  ...['1.*', '2.*', '3.*', '4.*', '5.*', '6.1.*', '6.2.*', '6.3.*', '6.4.*'],
  ...['7.*', '9.3.1', '9.4.1', '10.*', '12.1.1', '13.1.1'],
];

/** Of 12 and 13, one case of each group: of sizes, and of negotiated parameters. */
const SAMPLE = [
  ...['1.*', '2.*', '3.*', '4.*', '5.*', '6.*', '7.*', '9.*', '10.*'],
  ...['12.1.1', '12.2.4', '12.3.7', '12.4.10', '12.5.13'],
  ...['13.1.2', '13.2.4', '13.3.6', '13.4.8', '13.5.10', '13.6.12', '13.7.14'],
];

const FULL = ['*'];

/** The number of ways at a time. They wait about as much as they compute. */
const AT_ONCE = 3;

/** All runs: the API, the way and the role of oxws. */
const RUNS = ENTRIES.flatMap((entry) =>
  ['server', 'client'].map((role) => ({ ...entry, role })),
);

const titleOf = ({ api, env, role }) => `${api} ${nameOf(env)} ${role}`;

/** Returns whether a case has the result that it should have. */
function isExpected([name, { behavior, behaviorClose }]) {
  const known = KNOWN.find((each) => each.name === name);
  return [behavior, behaviorClose].every(
    (result) =>
      result === 'OK' || (known !== undefined && result === known.behavior),
  );
}

/** Runs the cases one way, prints the result, and returns it. */
async function report(suite, way, cases) {
  const title = titleOf(way);
  const start = Date.now();
  const all = Object.entries(await suite.run(way, cases));
  const count = (behavior) =>
    all.filter(([, result]) => result.behavior === behavior).length;
  const unexpected = all.filter((each) => !isExpected(each));
  const result = {
    title,
    date: new Date().toISOString().slice(0, 10),
    minutes: (Date.now() - start) / 60000,
    cases: all.length,
    ok: count('OK'),
    informational: count('INFORMATIONAL'),
    failed: unexpected.map(([name, { behavior, behaviorClose }]) =>
      [name, behavior, behaviorClose].join(' '),
    ),
  };
  const { ok, informational, failed } = result;
  console.log(
    `${title}: ${all.length} cases, ${ok} OK, ${informational} informational, ` +
      `${failed.length} failed, ${result.minutes.toFixed(1)} min`,
  );
  for (const line of failed) console.log(`  ${line}`);
  return result;
}

/** Returns the results of former runs, by the title of their way. */
function saved() {
  return fs.existsSync(results)
    ? JSON.parse(fs.readFileSync(results, 'utf8'))
    : {};
}

/** Saves the result of a way beside those of the others. */
function save(result) {
  const all = { ...saved(), [result.title]: result };
  fs.writeFileSync(results, JSON.stringify(all, null, 2));
}

/** Writes the table of all ways that have results. */
function write(suite, all) {
  const rows = RUNS.map((way) => all[titleOf(way)])
    .filter((result) => result !== undefined)
    .map((result) => [
      result.title,
      result.cases,
      result.ok,
      result.informational,
      result.failed.length === 0 ? '0' : result.failed.join('; '),
      result.minutes.toFixed(1),
      result.date,
    ]);
  const head = ['oxws', 'cases', 'OK', 'informational', 'failed'];
  const { version } = require('../package.json');
  conformance.write(
    'autobahn',
    [
      `autobahntestsuite ${suite.version}, oxws ${version}, Node.js ${process.version}, ` +
        `${process.platform} ${process.arch}.`,
      conformance.table([...head, 'minutes', 'date'], rows),
      'The informational cases:',
      KNOWN.map(({ name, reason }) => `- ${name}: ${reason}.`).join('\n'),
    ].join('\n\n'),
  );
}

async function main() {
  const args = process.argv.slice(2);
  const has = (option) => args.includes(`--${option}`);
  const cases = has('full') ? FULL : has('quick') ? QUICK : SAMPLE;
  const words = args.filter((arg) => !arg.startsWith('--'));
  const runs = RUNS.filter((way) =>
    words.every((word) => titleOf(way).split(' ').includes(word)),
  );

  const total = { passed: 0, failed: 0, skipped: 0 };
  const suite = new Suite();
  if (suite.missing !== null) {
    console.log(`Autobahn's test suite: skipped (${suite.missing})`);
    total.skipped += runs.length;
  } else {
    const lane = async () => {
      while (runs.length > 0) {
        const result = await report(suite, runs.shift(), cases);
        total.passed += result.cases - result.failed.length;
        total.failed += result.failed.length;
        if (!has('quick')) save(result);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
    if (has('write')) write(suite, saved());
  }
  const { passed, failed, skipped } = total;
  console.log(`\n${passed} passed, ${failed} failed, ${skipped} skipped`);
  process.exitCode = failed === 0 && (passed > 0 || skipped > 0) ? 0 : 1;
}

main();
