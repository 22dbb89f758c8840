'use strict';

const assert = require('node:assert/strict');
const { execFile } = require('child_process');
const fs = require('fs');
const path = require('path');
const { promisify } = require('util');

const root = path.join(__dirname, '..', '..');
const examples = path.join(root, 'examples');

const run = promisify(execFile);

describe('Examples', function () {
  this.timeout(20000);

  const files = fs.readdirSync(examples).filter((name) => name.endsWith('.js'));

  it('are all listed in their README', () => {
    const list = fs.readFileSync(path.join(examples, 'README.md'), 'utf8');
    assert.ok(files.length > 0);
    for (const file of files) assert.ok(list.includes(file), file);
  });

  for (const file of files) {
    it(`${file} runs to its end`, async () => {
      const { stdout } = await run(process.execPath, [
        path.join(examples, file),
      ]);
      assert.equal(stdout.trim().split('\n').pop(), 'done');
    });
  }
});

describe('Demo', function () {
  this.timeout(60000);

  it('checks itself over every kind of connection', async () => {
    const { stdout } = await run(process.execPath, [
      path.join(root, 'demo', 'server.js'),
      '--check',
    ]);
    assert.match(stdout, /wss:/);
    assert.doesNotMatch(stdout, /failed/);
  });
});
