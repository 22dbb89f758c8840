'use strict';

// Runs the tests of both APIs with several versions of Node.js, and with each transport
// and host (`ways.js`). The versions of Node.js are installed from npm.
//
//   npm run test:nodes                   all versions
//   npm run test:nodes -- 18 26          these versions
//   npm run test:nodes -- --current      the version that runs this script
//   npm run test:nodes -- --quick        without engine-stress.test.js
//
// Prints a line for each run, and at the end the line `N passed, N failed, N skipped`.

const { spawn, spawnSync } = require('child_process');
const { once } = require('events');
const fs = require('fs');
const path = require('path');

const mochaTests = require('./mocha-tests');
const { APIS, STRESS, WAYS, isStressed, nameOf } = require('./ways');

const root = path.join(__dirname, '..');
const mocha = path.join(root, 'node_modules', 'mocha', 'bin', 'mocha.js');

/** The last release of each even major version. */
const VERSIONS = ['18.20.8', '20.20.2', '22.23.5', '24.22.3', '26.12.1'];

/** The number of runs at a time. They wait more than they compute. */
const AT_ONCE = 2;

/** Returns the name of the package with Node.js for this machine. */
function packageName() {
  const system = process.platform === 'win32' ? 'win' : process.platform;
  return `node-${system}-${process.arch}`;
}

/** Installs a version if needed. Returns the path of its binary, or null on failure. */
function install(version) {
  if (version === process.versions.node) return process.execPath;
  const folder = path.join(root, 'target', 'nodes', version);
  const modules = path.join(folder, 'node_modules', packageName());
  const binary =
    process.platform === 'win32'
      ? path.join(modules, 'bin', 'node.exe')
      : path.join(modules, 'bin', 'node');
  if (!fs.existsSync(binary)) {
    fs.mkdirSync(folder, { recursive: true });
    const spec = `${packageName()}@${version}`;
    spawnSync(
      'npm',
      ['install', '--no-save', '--no-audit', '--prefix', '.', spec],
      {
        cwd: folder,
        stdio: 'inherit',
        shell: process.platform === 'win32',
      },
    );
  }
  return fs.existsSync(binary) ? binary : null;
}

/** Runs the tests once. Resolves to how many `passed`, `failed` and were `skipped`. */
async function run(binary, way, quick) {
  const child = spawn(
    binary,
    [
      mocha,
      ...APIS.map(([, files]) => files),
      ...(quick || !isStressed(way) ? ['--ignore', STRESS] : []),
      '--reporter',
      'dot',
    ],
    {
      cwd: root,
      env: { ...process.env, ...way },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8');
    stream.on('data', (text) => (output += text));
  }
  const [status] = await once(child, 'close');
  const result = mochaTests(output);
  // Without a failed test, mocha itself has failed.
  if (status !== 0 && result.failed === 0) result.failed = 1;
  if (result.failed > 0) process.stdout.write(output);
  return result;
}

/** Returns the versions that the arguments select. */
function chosen(args) {
  if (args.includes('--current')) return [process.versions.node];
  const lines = args.filter((arg) => /^\d/.test(arg));
  if (lines.length === 0) return VERSIONS;
  return VERSIONS.filter((version) => lines.includes(version.split('.')[0]));
}

/** Runs the tests of one version one way, and reports the result. */
async function report({ version, way }, quick, total) {
  const title = `Node.js ${version}, ${nameOf(way)}`;
  const binary = install(version);
  if (binary === null) {
    total.skipped++;
    const spec = `${packageName()}@${version}`;
    console.log(`${title}: skipped (${spec} cannot be installed)`);
    return;
  }
  const result = await run(binary, way, quick);
  for (const key of Object.keys(total)) total[key] += result[key];
  const { passed, failed, skipped } = result;
  console.log(
    `${title}: ${passed} passed, ${failed} failed, ${skipped} pending`,
  );
}

async function main() {
  const args = process.argv.slice(2);
  const quick = args.includes('--quick');
  const versions = chosen(args);
  const runs = versions.flatMap((version) =>
    WAYS.map((way) => ({ version, way })),
  );

  const total = { passed: 0, failed: 0, skipped: 0 };
  const lane = async () => {
    while (runs.length > 0) await report(runs.shift(), quick, total);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  const { passed, failed, skipped } = total;
  console.log(`\n${passed} passed, ${failed} failed, ${skipped} skipped`);
  process.exitCode = failed === 0 ? 0 : 1;
}

main();
