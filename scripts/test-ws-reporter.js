'use strict';

// A reporter of mocha, of any version: it shows what mocha's own `spec` shows, and writes
// the full titles of all tests to the file that OXWS_WS_RESULT names.

const fs = require('fs');
const path = require('path');

// The mocha that runs this is not the one that this file would find.
const { reporters } = require(path.dirname(path.dirname(process.argv[1])));

module.exports = class Reporter extends reporters.spec {
  constructor(runner, options) {
    super(runner, options);
    const result = { failed: [], passed: [], pending: [] };
    // Tests may have the same title, and one that calls back twice fails twice.
    runner.on('pass', (test) => result.passed.push(test.fullTitle()));
    runner.on('pending', (test) => result.pending.push(test.fullTitle()));
    runner.on('fail', (test) => {
      const title = test.fullTitle();
      if (!result.failed.includes(title)) result.failed.push(title);
    });
    runner.on('end', () => {
      fs.writeFileSync(process.env.OXWS_WS_RESULT, JSON.stringify(result));
    });
  }
};
