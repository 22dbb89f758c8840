'use strict';

// Run by jest: the package is evaluated anew for each test, in one process.

/* global expect, jest */

const { once } = require('events');

/** An echo of binary data, of this realm, through a server of its own. */
async function echo() {
  const WebSocket = require('../../..');
  const wss = new WebSocket.Server({ host: '127.0.0.1', port: 0 });
  await once(wss, 'listening');
  wss.on('connection', (ws) => ws.on('message', (data) => ws.send(data)));
  const ws = new WebSocket(`ws://127.0.0.1:${wss._server.address().port}`);
  await once(ws, 'open');
  ws.send(new Uint8Array([1, 2, 255]).buffer);
  const [data, flags] = await once(ws, 'message');
  expect(flags.binary).toBe(true);
  expect([...data]).toEqual([1, 2, 255]);
  const sent = new Promise((resolve) => ws.send('x', resolve));
  expect(await sent).toBe(null);
  const closed = once(ws, 'close');
  ws.close();
  await closed;
  await new Promise((resolve) => wss.close(resolve));
  return WebSocket.diagnostics();
}

const first = process.listenerCount('exit');

test.each(Array.from({ length: 12 }, (_, i) => i))('again %i', async () => {
  jest.resetModules();
  await echo();
  expect(process.listenerCount('exit')).toBeLessThanOrEqual(first + 1);
});

test('with faked timers', async () => {
  require('../../..');
  jest.useFakeTimers();
  try {
    await echo();
  } finally {
    jest.useRealTimers();
  }
});
