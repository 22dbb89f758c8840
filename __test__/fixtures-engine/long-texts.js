'use strict';

// Workers receive long texts and keep the latest ones until they are terminated. The
// main thread does not load the addon, and so does not keep it loaded. Prints by how
// much the memory of the process grew.

const assert = require('assert');
const { once } = require('events');
const { Worker, isMainThread, parentPort } = require('worker_threads');

const { version } = require('../../package.json');

const SIZE = 1 << 20;

/** The number of texts that are kept, so many that they survive several collections. */
const KEPT = 16;

/** The number of messages that each worker receives. */
const COUNT = 400;

async function work() {
  const WebSocket = require('../..');
  const options = { host: '127.0.0.1', port: 0, perMessageDeflate: false };
  const wss = new WebSocket.Server(options);
  await once(wss._server, 'listening');
  wss.on('connection', (ws) => ws.on('message', (data) => ws.send(data)));
  const url = `ws://127.0.0.1:${wss._server.address().port}`;
  const ws = new WebSocket(url, options);
  await once(ws, 'open');

  const kept = (globalThis.kept = []);
  let most = 0;
  const start = process.memoryUsage.rss();
  const next = (i) => ws.send(`${i}:`.padEnd(SIZE, 'a long text, '));
  ws.on('message', (data) => {
    const [, number] = /^(\d+):a long/.exec(data);
    assert.equal(data.length, SIZE);
    kept.push(data);
    if (kept.length > KEPT) {
      // The part of a string keeps the whole string alive.
      const oldest = kept.shift().slice(0, 1000);
      assert.equal(oldest.split(':')[0], String(number - KEPT));
    }
    most = Math.max(most, process.memoryUsage.rss());
    if (Number(number) + 1 < COUNT) next(Number(number) + 1);
    else parentPort.postMessage(most - start);
  });
  next(0);
}

async function main(workers) {
  let most = 0;
  for (let i = 0; i < workers; i++) {
    const worker = new Worker(__filename);
    const [growth] = await once(worker, 'message');
    most = Math.max(most, growth);
    await worker.terminate();
    assert.equal(process[Symbol.for(`oxws ${version}`)], undefined);
  }
  process.stdout.write(JSON.stringify({ growth: most }));
}

if (isMainThread) main(Number(process.argv[2]));
else work();
