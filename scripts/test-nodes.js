'use strict';

// Runs the tests of both APIs with several versions of Node.js, and with each transport
// and host (`ways.js`). The versions of Node.js are installed from npm.
//
//   npm run test:nodes                   all versions
//   npm run test:nodes -- 18 26          these versions
//   npm run test:nodes -- --current      the version that runs this script
//   npm run test:nodes -- --quick        without engine-stress.test.js
//
// Prints a table at the end, and the line `N passed, N failed, N skipped`.

const { spawnSync } = require('child_process');
const fs = require('fs');
const path = require('path');

const { APIS, WAYS, nameOf } = require('./ways');

const root = path.join(__dirname, '..');
const mocha = path.join(root, 'node_modules', 'mocha', 'bin', 'mocha.js');

/** The last release of each even major version. */
const VERSIONS = ['18.20.8', '20.20.2', '22.23.5', '24.22.3', '26.12.1'];

const STRESS = '__test__/engine-stress.test.js';

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

/** Runs the tests once. Returns how many `passed`, `failed` and were `skipped`. */
function run(binary, way, quick) {
  const { status, stdout } = spawnSync(
    binary,
    [
      mocha,
      ...APIS.map(([, files]) => files),
      ...(quick ? ['--ignore', STRESS] : []),
      '--reporter',
      'dot',
    ],
    {
      cwd: root,
      encoding: 'utf8',
      env: { ...process.env, ...way },
      maxBuffer: 256 * 1024 * 1024,
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const count = (what) => {
    const [, number = '0'] =
      stdout.match(new RegExp(`^ +(\\d+) ${what}`, 'm')) || [];
    return Number(number);
  };
  const failed = count('failing');
  const result = {
    passed: count('passing'),
    // Without a failed test, mocha itself has failed.
    failed: status !== 0 && failed === 0 ? 1 : failed,
    skipped: count('pending'),
  };
  if (result.failed > 0) process.stdout.write(stdout);
  return result;
}

/** Returns the versions that the arguments select. */
function chosen(args) {
  if (args.includes('--current')) return [process.versions.node];
  const lines = args.filter((arg) => /^\d/.test(arg));
  if (lines.length === 0) return VERSIONS;
  return VERSIONS.filter((version) => lines.includes(version.split('.')[0]));
}

function main() {
  const args = process.argv.slice(2);
  const quick = args.includes('--quick');
  const versions = chosen(args);

  const total = { passed: 0, failed: 0, skipped: 0 };
  const table = [];
  for (const version of versions) {
    const binary = install(version);
    for (const way of WAYS) {
      const name = nameOf(way);
      const result = binary && run(binary, way, quick);
      if (result === null) total.skipped++;
      for (const key of Object.keys(result || {})) total[key] += result[key];
      const text = result
        ? `${result.passed} passed, ${result.failed} failed, ${result.skipped} pending`
        : `skipped (${packageName()}@${version} cannot be installed)`;
      table.push(`Node.js ${version}, ${name}: ${text}`);
      console.log(table.at(-1));
    }
  }
  console.log(`\n${table.join('\n')}\n`);
  const { passed, failed, skipped } = total;
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  process.exitCode = failed === 0 ? 0 : 1;
}

main();
