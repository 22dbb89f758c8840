'use strict';

// Workers that are terminated under load, with connections open.

const { once } = require('events');
const { Worker, isMainThread, parentPort } = require('worker_threads');

const WebSocket = require('../..');

async function work() {
  const wss = new WebSocket.Server({ host: '127.0.0.1', port: 0 });
  await once(wss._server, 'listening');
  wss.on('connection', (ws) => {
    ws.on('message', (data) => ws.send(data));
  });
  const url = `ws://127.0.0.1:${wss._server.address().port}`;
  let count = 0;
  for (let i = 0; i < 8; i++) {
    const ws = new WebSocket(url, { perMessageDeflate: i % 2 === 0 });
    const data = i % 4 < 2 ? 'x'.repeat(100) : Buffer.alloc(100000, i);
    ws.on('open', () => {
      for (let k = 0; k < 8; k++) ws.send(data);
    });
    ws.on('message', (echo) => {
      ws.send(echo);
      if (++count === 200) parentPort.postMessage('busy');
    });
  }
}

async function main() {
  const rounds = Number(process.argv[2]);
  for (let i = 0; i < rounds; i++) {
    const worker = new Worker(__filename);
    await once(worker, 'message');
    // Sometimes two at once, with this thread's own engine at work, too.
    await worker.terminate();
  }
  process.stdout.write(JSON.stringify({ rounds }));
}

if (isMainThread) main();
else work();
