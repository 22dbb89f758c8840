'use strict';

// Installs the peers: from npm into this folder, from PyPI and crates.io into `target/`.
// Each function returns null, or the reason why a peer cannot be had.

const { spawnSync } = require('child_process');
const fs = require('fs');
const path = require('path');

const isInstalled = require('../../scripts/installed');

const target = path.join(__dirname, '..', '..', 'target', 'peers');
const python = path.join(target, 'python');
const requirements = path.join(__dirname, 'requirements.txt');

/** Runs a command to its end. Returns null, or a line that says why it failed. */
function run(command, args, options) {
  const { status, stderr, error } = spawnSync(command, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
    ...options,
  });
  if (error) return `${command} cannot be run (${error.code})`;
  if (status === 0) return null;
  const lines = stderr.trim().split('\n');
  return lines.find((line) => /error/i.test(line)) || lines.pop();
}

/** Returns a function that is called once, and then returns its result again. */
function once(install) {
  let result;
  return () => (result === undefined ? (result = install()) : result);
}

const npm = once(() => {
  if (isInstalled(__dirname)) return null;
  console.log('Installing peers from npm');
  const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund'];
  return run('npm', args, { cwd: __dirname });
});

const venv = once(() => {
  if (fs.existsSync(path.join(python, 'bin', 'pip'))) return null;
  return run('python3', ['-m', 'venv', python]);
});

/** A package of PyPI, in the version of requirements.txt. */
function pypi(name) {
  const missing = venv();
  if (missing !== null) return missing;
  const spec = fs
    .readFileSync(requirements, 'utf8')
    .split('\n')
    .find((line) => line.startsWith(`${name}==`));
  const pip = path.join(python, 'bin', 'pip');
  const has = ['show', '--quiet', name];
  if (run(pip, has) === null) return null;
  console.log(`Installing ${spec}`);
  return run(pip, ['install', '--quiet', spec]);
}

/** The project tungstenite/, which is a program. */
const cargo = once(() =>
  run(
    'cargo',
    ['build', '--quiet', '--release', '--locked', '--target-dir', target],
    { cwd: path.join(__dirname, 'tungstenite') },
  ),
);

/**
 * The binary that a package of npm has for this platform, in a package of its own. The
 * package's own command would start it as a child, which would outlive it.
 */
function binary(scope, ...names) {
  const folder = path.join(__dirname, 'node_modules', scope);
  const [platform] = fs.readdirSync(folder);
  return path.join(folder, platform, ...names);
}

module.exports = {
  binary,
  cargo,
  npm,
  pypi,
  python: path.join(python, 'bin', 'python'),
  tungstenite: path.join(target, 'release', 'peer'),
};
