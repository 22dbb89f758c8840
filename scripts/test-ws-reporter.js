'use strict';

// A reporter for any version of mocha. It prints what mocha's reporter `spec` prints,
// and writes the full titles of all tests to the file that OXWS_WS_RESULT names.

const fs = require('fs');
const path = require('path');

// `require('mocha')` would not return the version of mocha that is running.
const { reporters } = require(path.dirname(path.dirname(process.argv[1])));

module.exports = class Reporter extends reporters.spec {
  constructor(runner, options) {
    super(runner, options);
    const result = { failed: [], passed: [], pending: [] };
    // Several tests may have the same title, and a test that calls back twice fails
    // twice.
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
