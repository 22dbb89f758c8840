'use strict';

const assert = require('node:assert/strict');
const { spawnSync } = require('child_process');
const path = require('path');

describe('index.d.ts', function () {
  this.timeout(60000);

  it('takes what the API takes and refuses what it does not', () => {
    const { status, stdout } = spawnSync(
      process.execPath,
      [
        require.resolve('typescript/bin/tsc'),
        '--project',
        path.join(__dirname, 'types'),
      ],
      { encoding: 'utf8' },
    );
    assert.equal(stdout, '');
    assert.equal(status, 0);
  });
});
