'use strict';

const assert = require('node:assert/strict');
const { once } = require('events');

const WebSocket = require('../../ws8');
const App = require('./App');

describe('README.md', function () {
  this.timeout(20000);

  let app;

  before(async () => {
    app = await App.create('README.md');
  });

  after(() => app.close());

  for (const file of ['echo.js', 'echo-2016.js']) {
    it(`${file} echoes`, async () => {
      const server = app.start(file);
      await app.printed(server, /^listening$/m);
      const client = new WebSocket(`ws://127.0.0.1:${app.port()}`);
      await once(client, 'open');
      for (const [data, binary] of [
        ['text', false],
        ['bytes', true],
      ]) {
        client.send(data, { binary });
        const [echo, isBinary] = await once(client, 'message');
        assert.deepEqual([`${echo}`, isBinary], [data, binary]);
      }
      client.terminate();
      server.kill();
      await once(server, 'close');
    });
  }
});
