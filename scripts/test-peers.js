'use strict';

// Runs the tests of `__test__/peers`: servers and clients of oxws with other
// implementations, which are installed if they can be had.
//
//   npm run test:peers                   all ways, which takes about half an hour
//   npm run test:peers -- inline         only the ways whose title has this word
//   npm run test:peers -- --write        also writes the tables of docs/conformance.md
//
// The tables have the last result of each way. Prints at the end the line
// `N passed, N failed, N skipped`, which has the tests of all ways.

const { spawn } = require('child_process');
const { once } = require('events');
const fs = require('fs');
const path = require('path');

const conformance = require('./conformance');
const mochaTests = require('./mocha-tests');
const { ENTRIES, nameOf } = require('./ways');

const root = path.join(__dirname, '..');
const target = path.join(root, 'target', 'peers');
const mocha = path.join(root, 'node_modules', 'mocha', 'bin', 'mocha.js');

/** The number of ways at a time, when the peers are installed. */
const AT_ONCE = 2;

const titleOf = ({ api, env }) => `${api} ${nameOf(env)}`;

/** The file with the last results of a way. */
const resultsOf = (entry) =>
  path.join(target, `${titleOf(entry).replaceAll(/\W+/g, '-')}.json`);

/** Runs the tests one way. Resolves to how many `passed`, `failed`, were `skipped`. */
async function run(entry) {
  const child = spawn(process.execPath, [mocha, '__test__/peers/*.test.js'], {
    cwd: root,
    env: {
      ...process.env,
      ...entry.env,
      OXWS_API: entry.api,
      OXWS_PEERS_RESULTS: resultsOf(entry),
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8');
  child.stdout.on('data', (text) => (output += text));
  const [status] = await once(child, 'close');
  const result = mochaTests(output);
  // Without a failed test, mocha itself has failed.
  if (status !== 0 && result.failed === 0) result.failed = 1;
  console.log(`--- ${titleOf(entry)}\n${output}`);
  return result;
}

/** Returns the values of a list without repetitions. */
const distinct = (list) => [...new Set(list)];

/** Writes the tables of all ways that have results. */
function write() {
  const ways = ENTRIES.filter((entry) => fs.existsSync(resultsOf(entry)));
  const all = ways.flatMap((entry) =>
    JSON.parse(fs.readFileSync(resultsOf(entry), 'utf8')),
  );
  const peers = new Map(
    all.filter(({ version }) => version !== undefined).map((p) => [p.peer, p]),
  );
  const tests = all.filter(({ title }) => title !== undefined);
  const negotiations = distinct(tests.map(({ negotiation }) => negotiation));

  const passed = [];
  const agreed = [];
  for (const { peer, version, missing } of peers.values()) {
    const name = `${peer} ${version}`.trim();
    if (missing !== null) {
      const none = negotiations.map(() => '');
      passed.push([name, `skipped: ${missing}`, ...none]);
      continue;
    }
    const own = tests.filter((test) => test.peer === peer);
    for (const role of distinct(own.map((test) => test.role))) {
      const cells = negotiations.map((negotiation) =>
        own
          .filter((each) => each.role === role)
          .filter((each) => each.negotiation === negotiation),
      );
      passed.push([name, role, ...cells.map(ratio)]);
      agreed.push([name, role, ...cells.slice(1).map(header)]);
    }
  }

  const { version } = require('../package.json');
  const date = new Date().toISOString().slice(0, 10);
  const compressed = agreed.filter((row) =>
    row.slice(2).some((cell) => cell !== '–'),
  );
  conformance.write(
    'peers',
    [
      `oxws ${version}, Node.js ${process.version}, ${process.platform} ` +
        `${process.arch}, ${date}; ${ways.map(titleOf).join(', ')}.`,
      'How many tests pass, of how many, in all these ways together:',
      conformance.table(['peer', 'as', ...negotiations], passed),
      'What is agreed on in the opening handshake, after `permessage-deflate`:',
      conformance.table(['peer', 'as', ...negotiations.slice(1)], compressed),
    ].join('\n\n'),
  );
}

/** Returns how many of the tests pass. */
function ratio(tests) {
  if (tests.length === 0) return '–';
  const passed = tests.filter(({ state }) => state === 'passed');
  return `${passed.length} of ${tests.length}`;
}

/** Returns the parameters that are agreed on. */
function header(tests) {
  if (tests.length === 0) return '–';
  const [{ agreed }] = tests;
  if (agreed === '') return 'declined';
  const [, ...parameters] = agreed.split(/; */);
  return parameters.map((each) => `\`${each}\``).join(' ') || 'no parameter';
}

async function main() {
  const args = process.argv.slice(2);
  const words = args.filter((arg) => !arg.startsWith('--'));
  const entries = ENTRIES.filter((entry) =>
    words.every((word) => titleOf(entry).split(' ').includes(word)),
  );
  fs.mkdirSync(target, { recursive: true });

  // Otherwise several ways would install them at a time.
  require('../__test__/peers/peers').forEach((peer) => peer.install());

  const total = { passed: 0, failed: 0, skipped: 0 };
  const lane = async () => {
    while (entries.length > 0) {
      const result = await run(entries.shift());
      for (const key of Object.keys(total)) total[key] += result[key];
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  if (args.includes('--write')) write();
  const { passed, failed, skipped } = total;
  console.log(`\n${passed} passed, ${failed} failed, ${skipped} skipped`);
  process.exitCode = failed === 0 ? 0 : 1;
}

main();
