'use strict';

// jest evaluates a package anew for each file, and whenever it is told to reset modules,
// with globals and timers of its own.

const assert = require('node:assert/strict');
const { spawnSync } = require('child_process');
const path = require('path');

const WAYS = [
  { OXWS_TRANSPORT: 'stream' },
  { OXWS_HOST: 'inline' },
  { OXWS_HOST: 'thread' },
];

describe('With jest', function () {
  this.timeout(60000);

  for (const way of WAYS) {
    it(`nothing adds up, and no handle stays open (${Object.values(way)})`, () => {
      const { status, stderr } = spawnSync(
        process.execPath,
        [
          require.resolve('jest/bin/jest'),
          '--rootDir',
          path.join(__dirname, 'jest'),
          '--runInBand',
          '--detectOpenHandles',
        ],
        { encoding: 'utf8', env: { ...process.env, ...way } },
      );
      assert.equal(status, 0, stderr);
      assert.match(stderr, /Tests: +26 passed, 26 total/);
      assert.doesNotMatch(stderr, /open handle|MaxListeners/);
    });
  }
});
