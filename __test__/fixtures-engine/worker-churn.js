'use strict';

// Terminates workers under load, sometimes two at once. The workers have connections of
// their own and to the main thread, whose engine works at the same time.

const { once } = require('events');
const {
  Worker,
  isMainThread,
  parentPort,
  workerData,
} = require('worker_threads');

const WebSocket = require('../..');
const { descriptors, rest } = require('./descriptors');

/**
 * The terminations before the first measurement. They allocate what is allocated once.
 */
const WARM_UP = 5;

/** Starts a server that echoes messages. */
async function serve() {
  const wss = new WebSocket.Server({ host: '127.0.0.1', port: 0 });
  await once(wss._server, 'listening');
  wss.on('connection', (ws) => {
    ws.on('error', () => {});
    ws.on('message', (data) => ws.send(data));
  });
  return { wss, url: `ws://127.0.0.1:${wss._server.address().port}` };
}

/**
 * Opens a connection that exchanges messages without end. Calls back for each message.
 */
function load(url, number, callback) {
  const ws = new WebSocket(url, { perMessageDeflate: number % 2 === 0 });
  const data = number % 4 < 2 ? 'x'.repeat(100) : Buffer.alloc(100000, number);
  ws.on('open', () => {
    for (let i = 0; i < 8; i++) ws.send(data);
  });
  ws.on('message', (echo) => {
    callback();
    if (ws.readyState === WebSocket.OPEN) ws.send(echo);
  });
  return ws;
}

async function work() {
  const own = await serve();
  let count = 0;
  const callback = () => {
    if (++count === 200) parentPort.postMessage('busy');
  };
  for (let i = 0; i < 8; i++) load(own.url, i, callback);
  for (let i = 0; i < 4; i++) load(workerData, i, callback);
}

async function main(total) {
  const { wss, url } = await serve();
  let echoed = 0;
  const clients = [0, 1, 2, 3].map((i) => load(url, i, () => echoed++));

  let terminated = 0;
  async function run(end) {
    while (terminated < end) {
      const count = Math.min(1 + (terminated % 3 === 0), end - terminated);
      const workers = Array.from(
        { length: count },
        () => new Worker(__filename, { workerData: url }),
      );
      const before = echoed;
      await Promise.all(workers.map((worker) => once(worker, 'message')));
      await Promise.all(workers.map((worker) => worker.terminate()));
      if (echoed === before) throw new Error('the main thread stands still');
      terminated += count;
    }
    while (wss.clients.size > clients.length) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    await rest();
    return { fds: descriptors(), rss: process.memoryUsage.rss() };
  }

  const before = await run(WARM_UP);
  const after = await run(WARM_UP + total);
  const closed = clients.map((client) => once(client, 'close'));
  for (const client of clients) client.terminate();
  await Promise.all(closed);
  wss.close(() => {
    process.stdout.write(
      JSON.stringify({
        terminated: terminated - WARM_UP,
        fds: after.fds - before.fds,
        growth: after.rss - before.rss,
      }),
    );
  });
}

if (isMainThread) main(Number(process.argv[2]));
else work();
