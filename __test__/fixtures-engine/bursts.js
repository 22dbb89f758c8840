'use strict';

// Connections that each had a burst and rest: tells how much memory they hold for it.

const { once } = require('events');
const net = require('net');

const WebSocket = require('../..');
const { frame, request } = require('../support');

const COUNT = 100;
const MESSAGES = 20000;

/** What all of them need is there after so many. */
const SETTLED = 20;

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** The memory of this process that is not V8's heap, in bytes. */
async function memory() {
  for (let i = 0; i < 5; i++) {
    global.gc();
    await turn();
  }
  const { rss, heapTotal } = process.memoryUsage();
  return rss - heapTotal;
}

async function main() {
  const wss = new WebSocket.Server({
    host: '127.0.0.1',
    port: 0,
    perMessageDeflate: false,
  });
  await once(wss, 'listening');
  let received = 0;
  let sent = 0;
  wss.on('connection', (ws) => ws.on('message', () => received++));
  const { port } = wss._server.address();
  const burst = Buffer.concat(Array(MESSAGES).fill(frame(2)));
  let before = 0;
  for (let i = 1; i <= COUNT; i++) {
    const connection = once(wss, 'connection');
    const socket = net.connect(port, '127.0.0.1');
    socket.write(request());
    const [ws] = await connection;
    socket.resume();
    socket.write(burst);
    // A burst in the other direction as well.
    for (let j = 0; j < MESSAGES; j++) ws.send('x', () => sent++);
    while (received < i * MESSAGES || sent < i * MESSAGES) await turn();
    if (i === SETTLED) before = await memory();
  }
  const growth = (await memory()) - before;
  process.stdout.write(JSON.stringify({ growth, count: COUNT - SETTLED }));
  process.exit();
}

main();
