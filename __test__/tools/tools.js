'use strict';

// Bundlers, test runners and package managers. They are a package of their own, which is
// installed before the tests that need it. Without a way to the registry these are skipped.

const { spawnSync } = require('child_process');
const fs = require('fs');
const path = require('path');

const isInstalled = require('../../scripts/installed');

const modules = path.join(__dirname, 'node_modules');

/** What npm says when there is no way to the registry. */
const UNREACHABLE =
  /code (EAI_AGAIN|ECONNREFUSED|ECONNRESET|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|ETIMEDOUT|ERR_SOCKET_TIMEOUT)/;

/** A variable that says so to the other test files, which mocha runs in processes. */
const OFFLINE = 'OXWS_TOOLS_OFFLINE';

/** Installs the tools if they are missing. False if the registry cannot be reached. */
function install() {
  if (isInstalled(__dirname)) return true;
  if (process.env[OFFLINE]) return false;
  console.log('Installing bundlers, test runners and package managers');
  const { status, stderr } = spawnSync(
    'npm',
    ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline'],
    {
      cwd: __dirname,
      encoding: 'utf8',
      shell: process.platform === 'win32',
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  if (status === 0) return true;
  if (!UNREACHABLE.test(stderr)) throw new Error(stderr);
  process.env[OFFLINE] = '1';
  return false;
}

/** Run by mocha once, before it starts processes that test files in parallel. */
exports.mochaGlobalSetup = () => {
  install();
};

/** Run by mocha before the tests of a file. */
exports.install = function () {
  this.timeout(300000);
  if (!install()) this.skip();
};

/** The folder of a tool. */
exports.folder = (name) => path.join(modules, name);

/** The folder of the tools' commands, for `PATH`. */
exports.commands = path.join(modules, '.bin');

/** Has programs in a folder find a tool, as if it were installed there. */
exports.link = function (name, folder) {
  const link = path.join(folder, 'node_modules', name);
  fs.mkdirSync(path.dirname(link), { recursive: true });
  fs.symlinkSync(path.join(modules, name), link, 'junction');
};
