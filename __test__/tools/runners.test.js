'use strict';

// Test runners evaluate a package several times, in one process or in several, with
// globals and timers of their own. Each of them opens servers and clients of both APIs,
// and has to end by itself.

const assert = require('node:assert/strict');
const { spawnSync } = require('child_process');
const fs = require('fs');
const path = require('path');

const Tarballs = require('../project/Tarballs');
const { WAYS, nameOf } = require('../../scripts/ways');
const tools = require('./tools');

const MAJOR = Number.parseInt(process.versions.node);

describe('Test runners', function () {
  this.timeout(60000);

  before(tools.install);

  let tarballs;
  let app;

  before(() => {
    tarballs = new Tarballs();
    app = path.join(tarballs.folder, 'app');
    fs.cpSync(path.join(__dirname, 'runners'), app, { recursive: true });
    fs.writeFileSync(path.join(app, 'package.json'), '{ "private": true }');
    for (const [name, file] of [
      ['oxws', tarballs.oxws],
      ['ws', tarballs.oxws8],
      [tarballs.platform, tarballs.binary],
    ]) {
      Tarballs.unpack(file, path.join(app, 'node_modules', name));
    }
    tools.link('vitest', app);
  });

  after(() => tarballs && tarballs.remove());

  /** Runs a runner to its end, and checks that it ended well and by itself. */
  function run(args, env, summary) {
    const { status, stdout, stderr } = spawnSync(process.execPath, args, {
      cwd: app,
      encoding: 'utf8',
      env: { ...process.env, FORCE_COLOR: '0', NO_COLOR: '1', ...env },
      killSignal: 'SIGKILL',
      timeout: 50000,
    });
    const output = stdout + stderr;
    assert.equal(status, 0, output);
    for (const pattern of [].concat(summary)) assert.match(output, pattern);
    assert.doesNotMatch(
      output,
      /open handle|did not exit|failed to exit|timed out|prevents|MaxListeners/i,
    );
  }

  describe('jest', () => {
    function jest(args, env, config = {}) {
      const command = path.join(tools.folder('jest'), 'bin', 'jest.js');
      const all = JSON.stringify({ rootDir: 'jest', transform: {}, ...config });
      const summary = /^Tests: +24 passed, 24 total$/m;
      run([command, '--config', all, ...args], env, summary);
    }

    const inOneProcess = ['--runInBand', '--detectOpenHandles'];

    for (const way of WAYS) {
      it(`evaluates the packages again and again (${nameOf(way)})`, () => {
        jest(inOneProcess, way);
      });
    }

    it('fakes timers from the beginning', () => {
      jest(inOneProcess, {}, { fakeTimers: { enableGlobally: true } });
    });

    it('has workers', () => jest(['--maxWorkers=2'], {}));
  });

  describe('vitest', () => {
    before(function () {
      if (MAJOR < 20) this.skip();
    });

    function vitest(args, env) {
      const command = path.join(tools.folder('vitest'), 'vitest.mjs');
      const summary = /^ +Tests +24 passed \(24\)$/m;
      run([command, 'run', '--dir', 'vitest', ...args], env, summary);
    }

    for (const way of WAYS) {
      it(`has a pool of threads (${nameOf(way)})`, () => {
        vitest(['--pool=threads'], way);
      });
    }

    it('has a pool of processes', () => vitest(['--pool=forks'], {}));

    it('transforms the packages', () => {
      vitest(['--config', 'vitest/inline.config.mjs'], {});
    });
  });

  describe('node --test', () => {
    const files = ['again', 'another'].map((name) =>
      path.join('node', `${name}.test.mjs`),
    );
    const ran = (tests) => [
      new RegExp(`tests ${tests}$`, 'm'),
      /fail 0$/m,
      MAJOR < 20 ? /skipped \d+$/m : /skipped 0$/m,
    ];

    for (const way of WAYS) {
      it(`has a process for each file (${nameOf(way)})`, () => {
        run(['--test', ...files], way, ran(18));
      });
    }

    it('has one process for all files', function () {
      if (MAJOR < 24) this.skip();
      run(['--test', '--test-isolation=none', ...files], {}, ran(18));
    });
  });
});
