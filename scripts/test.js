'use strict';

// Runs all checks and tests. The last line of the output has their number:
//
//   N passed, N failed, N skipped

const { spawn } = require('child_process');
const fs = require('fs');
const path = require('path');

const mochaTests = require('./mocha-tests');
const { APIS, STRESS, WAYS, isStressed, nameOf } = require('./ways');

const root = path.join(__dirname, '..');
const bin = (name) => path.join(root, 'node_modules', '.bin', name);

const total = { passed: 0, failed: 0, skipped: 0 };

/** Counts a command as one check. */
const asOne = (status) => ({ passed: status === 0 ? 1 : 0 });

/** Counts the tests in the output of `cargo test`, which has a line for each target. */
const cargoTests = (status, output) =>
  sums(output, /(\d+) passed; (\d+) failed; (\d+) ignored/g);

/** Counts the tests in the output of mocha. */
const ofMocha = (status, output) => mochaTests(output);

/** Counts the programs in the output of `field/run.js`. */
const fieldTests = (status, output) =>
  sums(output, /^(\d+) passed, (\d+) failed$/gm);

/** Counts the tests in the output of a script of ours, whose last line has the numbers. */
const countedTests = (status, output) =>
  sums(output, /^(\d+) passed, (\d+) failed, (\d+) skipped$/gm);

/** Returns the sum of each group of the pattern over all matches. */
function sums(output, pattern) {
  const sum = { passed: 0, failed: 0, skipped: 0 };
  for (const [, passed, failed = 0, skipped = 0] of output.matchAll(pattern)) {
    sum.passed += Number(passed);
    sum.failed += Number(failed);
    sum.skipped += Number(skipped);
  }
  return sum;
}

/**
 * Runs a command with its output shown, and adds the result of `count` to the total. If
 * `isQuiet` is true, the output is shown when the command has ended.
 */
function run(title, count, command, args, env, isQuiet) {
  if (!isQuiet) console.log(`\n--- ${title}`);
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: root,
      env: Object.assign({}, process.env, env),
      shell: process.platform === 'win32',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const [stream, sink] of [
      [child.stdout, process.stdout],
      [child.stderr, process.stderr],
    ]) {
      stream.setEncoding('utf8');
      stream.on('data', (text) => {
        output += text;
        if (!isQuiet) sink.write(text);
      });
    }
    child.on('error', (error) => console.error(String(error)));
    child.on('close', (status) => {
      if (isQuiet) console.log(`\n--- ${title}\n${output}`);
      const { passed = 0, failed = 0, skipped = 0 } = count(status, output);
      total.passed += passed;
      total.skipped += skipped;
      // A command that fails without a failed test has failed as a whole.
      total.failed += status !== 0 && failed === 0 ? 1 : failed;
      resolve();
    });
  });
}

/** Runs the tests of both APIs in one way. */
async function runWay(way) {
  for (const [api, files] of APIS) {
    const args = [files, '--reporter', 'dot'];
    if (!isStressed(way)) args.push('--ignore', STRESS);
    const title = `mocha: ${api} (${nameOf(way)})`;
    await run(title, ofMocha, bin('mocha'), args, way, true);
  }
}

/** Runs the tests in all ways, two at a time: they wait more than they compute. */
async function runWays() {
  const left = WAYS.slice();
  const work = async () => {
    while (left.length > 0) await runWay(left.shift());
  };
  await Promise.all([work(), work()]);
}

/**
 * The tests of the project around the APIs: title, and arguments of mocha. They start
 * many processes, and so two files run at a time.
 */
const PROJECT = [
  ['the project', ['__test__/project/*.test.js']],
  ['the documents', ['__test__/docs/*.test.js']],
  [
    'bundlers, runners, package managers',
    ['--require=./__test__/tools/tools.js', '__test__/tools/*.test.js'],
  ],
];

async function main() {
  await run('eslint', asOne, bin('eslint'), ['.']);
  await run('prettier', asOne, bin('prettier'), ['--check', '.']);
  await run('workflows', asOne, process.execPath, [
    path.join(__dirname, 'lint-workflows.js'),
  ]);
  await run('rustfmt', asOne, 'cargo', ['fmt', '--all', '--check']);
  await run('clippy', asOne, 'cargo', [
    'clippy',
    '--workspace',
    '--all-targets',
    '--',
    '-Dwarnings',
  ]);
  await run('cargo test', cargoTests, 'cargo', ['test', '--workspace']);
  await runWays();

  // These test what is published, which is packed once.
  const packed = { OXWS_TARBALLS: path.join(root, 'target', 'packed') };
  fs.rmSync(packed.OXWS_TARBALLS, { recursive: true, force: true });
  await run('packing', asOne, process.execPath, [
    path.join(__dirname, 'pack.js'),
    packed.OXWS_TARBALLS,
  ]);
  for (const [title, args] of PROJECT) {
    const all = ['--parallel', '--jobs=2', ...args];
    await run(`mocha: ${title}`, ofMocha, bin('mocha'), all, packed);
  }

  await run(
    'the oldest and the newest Node.js',
    countedTests,
    process.execPath,
    [path.join(__dirname, 'test-nodes.js'), '--quick', '18', '26'],
  );

  await run("Autobahn's test suite", countedTests, process.execPath, [
    path.join(__dirname, 'test-autobahn.js'),
    '--quick',
  ]);

  await run('the benchmarks: a smoke', asOne, process.execPath, [
    path.join(root, 'bench', 'run.js'),
    'smoke',
  ]);

  // Programs that show faults, if their folder exists. Each runs with each transport
  // and host.
  const field = path.join(root, '..', 'shared', 'field', 'run.js');
  if (fs.existsSync(field)) {
    await run('programs from the field', fieldTests, process.execPath, [field]);
  } else {
    total.skipped++;
    console.log('\n--- programs from the field: skipped (there are none)');
  }

  const { OXWS_WS_CHECKOUT: checkouts } = process.env;
  if (checkouts) {
    const script = path.join(__dirname, 'test-ws.js');
    for (const checkout of checkouts.split(path.delimiter)) {
      for (const way of WAYS) {
        const title = `the suite of ws (${nameOf(way)})`;
        const args = [script, checkout];
        await run(title, countedTests, process.execPath, args, way);
      }
    }
  } else {
    total.skipped++;
    console.log(
      '\n--- the suites of ws: skipped (OXWS_WS_CHECKOUT names no checkout)',
    );
  }

  const { passed, failed, skipped } = total;
  console.log(`\n${passed} passed, ${failed} failed, ${skipped} skipped`);
  process.exitCode = failed === 0 ? 0 : 1;
}

main();
