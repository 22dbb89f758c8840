'use strict';

// Opens connections that each receive and send a burst of messages and are then idle.
// Prints by how much the memory grows with a step of them.

const { once } = require('events');
const net = require('net');

const WebSocket = require('../..');
const { frame, request } = require('../support');

const COUNT = 100;
const MESSAGES = 20000;

/** The number of connections after which the memory is measured again. */
const STEP = 20;

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Resolves to the memory of this process outside of V8's heap, in bytes. */
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
  const marks = [];
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
    if (i % STEP === 0) marks.push(await memory());
  }
  // Kept memory grows in each step. The memory that V8 keeps in reserve does not.
  const growth = Math.min(
    ...marks.slice(1).map((mark, index) => mark - marks[index]),
  );
  process.stdout.write(JSON.stringify({ growth, count: STEP }));
  process.exit();
}

main();
