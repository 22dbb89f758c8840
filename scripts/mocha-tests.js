'use strict';

/** Counts the tests in the output of mocha. */
module.exports = function mochaTests(output) {
  const count = (what) => {
    const found = output.matchAll(new RegExp(`^ +(\\d+) ${what}`, 'gm'));
    return [...found].reduce((sum, [, number]) => sum + Number(number), 0);
  };
  return {
    passed: count('passing'),
    failed: count('failing'),
    skipped: count('pending'),
  };
};
