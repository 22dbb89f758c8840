'use strict';

// What the tests of each runner do with a module of either API.

const assert = require('assert');
const { once } = require('events');

/** Opens a server and a client, has data echoed, and closes both. */
module.exports = async function echo(WebSocket) {
  const wss = new WebSocket.Server({ host: '127.0.0.1', port: 0 });
  await once(wss, 'listening');
  wss.on('connection', (ws) => ws.on('message', (data) => ws.send(data)));
  const { port } = wss._server.address();
  const ws = new WebSocket(`ws://127.0.0.1:${port}`);
  await once(ws, 'open');

  const echoed = once(ws, 'message');
  const error = await new Promise((resolve) => {
    ws.send(new Uint8Array([1, 2, 255]).buffer, resolve);
  });
  assert.ok(error === null || error === undefined);
  const [data] = await echoed;
  assert.deepStrictEqual([...data], [1, 2, 255]);

  const closed = once(ws, 'close');
  ws.close(4001, 'done');
  const [code, reason] = await closed;
  assert.strictEqual(code, 4001);
  assert.strictEqual(String(reason), 'done');
  await new Promise((resolve) => wss.close(resolve));
};

/** The names that the packages are required by. */
module.exports.NAMES = ['oxws', 'oxws/ws8', 'ws'];

/** The sockets and servers of Node.js that are still open when a turn has ended. */
module.exports.open = async () => {
  // Handles that are closed end after the immediates of a turn.
  for (let i = 0; i < 2; i++) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  return process.getActiveResourcesInfo().filter((name) => /TCP/.test(name));
};
