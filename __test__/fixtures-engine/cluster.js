'use strict';

// Two processes of a cluster share a port. Each connection is handled by one of them.

const cluster = require('cluster');
const { once } = require('events');

const WebSocket = require('../..');

const WORKERS = 2;
const CLIENTS = 20;

async function main() {
  const workers = Array.from({ length: WORKERS }, () => cluster.fork());
  const ports = await Promise.all(
    workers.map(async (worker) => (await once(worker, 'message'))[0]),
  );
  const pids = new Set();
  let echoed = 0;
  await Promise.all(
    Array.from({ length: CLIENTS }, async (_, i) => {
      const ws = new WebSocket(`ws://127.0.0.1:${ports[0]}`);
      await once(ws, 'open');
      ws.send(`${i}`);
      const [data] = await once(ws, 'message');
      const { pid, text } = JSON.parse(data);
      pids.add(pid);
      if (text === `${i}`) echoed++;
      ws.close();
      await once(ws, 'close');
    }),
  );
  const exits = workers.map((worker) => once(worker, 'exit'));
  for (const worker of workers) worker.disconnect();
  const codes = (await Promise.all(exits)).map(([code]) => code);
  process.stdout.write(
    JSON.stringify({
      codes,
      echoed,
      ports: new Set(ports).size,
      pids: pids.size,
    }),
  );
}

function serve() {
  const wss = new WebSocket.Server({ host: '127.0.0.1', port: 0 }, () => {
    process.send(wss._server.address().port);
  });
  wss.on('connection', (ws) => {
    ws.on('message', (text) => {
      ws.send(JSON.stringify({ pid: process.pid, text }));
    });
  });
}

if (cluster.isPrimary) main();
else serve();
