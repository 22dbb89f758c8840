// Run by node --test.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, mock, test } from 'node:test';

import echo from '../echo.js';

const require = createRequire(import.meta.url);

// In Node.js 18 its own HTTP server does not take faked timers.
const skip = process.version.startsWith('v18.');

after(async () => {
  assert.deepEqual(await echo.open(), []);
});

for (const name of echo.NAMES) {
  test(
    `${name} echoes when it is loaded while timers are faked`,
    { skip },
    async () => {
      mock.timers.enable();
      try {
        await echo(require(name));
      } finally {
        mock.timers.reset();
      }
    },
  );

  test(`${name} echoes`, async () => {
    await echo(require(name));
    await echo((await import(name)).default);
  });

  test(`${name} echoes when timers are faked`, { skip }, async () => {
    const WebSocket = require(name);
    mock.timers.enable();
    try {
      await echo(WebSocket);
    } finally {
      mock.timers.reset();
    }
  });
}
