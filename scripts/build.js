'use strict';

// Builds the addon. cargo builds only what has changed, and shows the progress.
//
//   npm run build [-- --debug] [-- OPTIONS OF napi build]
//
// A binary for Linux with glibc is linked with a toolchain that has glibc 2.17. This
// toolchain is an optional dependency. If it is not installed, the binary needs the
// glibc of the machine that builds it.

const { spawnSync } = require('child_process');
const path = require('path');

const platform = require('../lib/platform');

const root = path.join(__dirname, '..');

/** The packages with the toolchain, by platform. */
const TOOLCHAINS = {
  'linux-arm64-gnu': '@napi-rs/cross-toolchain-arm64-target-aarch64',
  'linux-x64-gnu': '@napi-rs/cross-toolchain-x64-target-x86_64',
};

/** Whether the toolchain for this machine's own platform is installed. */
function hasToolchain() {
  const name = TOOLCHAINS[platform()];
  if (name === undefined) return false;
  try {
    require.resolve(name);
    return true;
  } catch {
    console.warn(`oxws: ${name} is not installed; linking with this system's`);
    return false;
  }
}

/** Returns the arguments of `napi` for the options of this script. */
function args(options) {
  const isDebug = options.includes('--debug');
  const others = options.filter((option) => option !== '--debug');
  const isCross = others.some((option) => /^(-t|--target|-x)/.test(option));
  return [
    'build',
    '--platform',
    '--no-js',
    '--dts',
    'native.d.ts',
    ...(isDebug ? [] : ['--release']),
    ...(!isCross && hasToolchain() ? ['--use-napi-cross'] : []),
    ...others,
  ];
}

function main() {
  if (spawnSync('cargo', ['--version']).error) {
    console.error(
      'oxws: building the addon needs Rust, and there is no cargo on the PATH.\n' +
        'Install it (https://rustup.rs), then run: npm run build',
    );
    process.exit(1);
  }
  const { status } = spawnSync(
    path.join(root, 'node_modules', '.bin', 'napi'),
    args(process.argv.slice(2)),
    { cwd: root, stdio: 'inherit', shell: process.platform === 'win32' },
  );
  process.exit(status === null ? 1 : status);
}

main();
