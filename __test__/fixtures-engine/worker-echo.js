'use strict';

// The main thread and workers, each with its own engine, exchange messages at the same
// time.

const { once } = require('events');
const {
  Worker,
  isMainThread,
  parentPort,
  workerData,
} = require('worker_threads');

const WebSocket = require('../..');

async function talk(url, name) {
  const ws = new WebSocket(url);
  await once(ws, 'open');
  let count = 0;
  for (; count < 500; count++) {
    ws.send(`${name} ${count}`);
    const [data] = await once(ws, 'message');
    if (data !== `${name} ${count}`) throw new Error(`${name} got ${data}`);
  }
  ws.close();
  await once(ws, 'close');
  return count;
}

async function main() {
  const wss = new WebSocket.Server({ host: '127.0.0.1', port: 0 });
  await once(wss._server, 'listening');
  wss.on('connection', (ws) => {
    ws.on('message', (data) => ws.send(data));
  });
  const url = `ws://127.0.0.1:${wss._server.address().port}`;
  const workers = ['a', 'b', 'c'].map(
    (name) => new Worker(__filename, { workerData: { name, url } }),
  );
  const exits = workers.map((worker) => once(worker, 'exit'));
  const counts = await Promise.all([
    talk(url, 'main'),
    ...workers.map(async (worker) => (await once(worker, 'message'))[0]),
  ]);
  await Promise.all(exits);
  wss.close(() => process.stdout.write(JSON.stringify({ counts })));
}

if (isMainThread) main();
else {
  const { name, url } = workerData;
  talk(url, name).then((count) => parentPort.postMessage(count));
}
