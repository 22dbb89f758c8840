'use strict';

// A server with many connections at the same time, each of which echoes messages. The
// clients run in another process, since each end needs descriptors.

const { fork } = require('child_process');
const { once } = require('events');

const WebSocket = require('../..');

const ROUNDS = 3;
const AT_ONCE = 250;

/** Opens connections, exchanges messages, reports how many were echoed, and closes. */
async function open(url, total) {
  const clients = [];
  while (clients.length < total) {
    const batch = Array.from(
      { length: Math.min(AT_ONCE, total - clients.length) },
      () => new WebSocket(url),
    );
    await Promise.all(batch.map((client) => once(client, 'open')));
    clients.push(...batch);
  }

  let echoed = 0;
  for (let round = 0; round < ROUNDS; round++) {
    await Promise.all(
      clients.map(async (client, i) => {
        const text = `${round} ${i}`;
        client.send(text);
        const [data] = await once(client, 'message');
        if (data === text) echoed++;
      }),
    );
  }
  process.send(echoed);
  await once(process, 'message');

  const closed = clients.map((client) => once(client, 'close'));
  for (const client of clients) client.close();
  await Promise.all(closed);
  process.disconnect();
}

async function serve(total) {
  const wss = new WebSocket.Server({
    host: '127.0.0.1',
    port: 0,
    backlog: 4096,
  });
  await once(wss._server, 'listening');
  const closed = [];
  wss.on('connection', (ws) => {
    ws.on('message', (data) => ws.send(data));
    closed.push(once(ws, 'close'));
  });
  const url = `ws://127.0.0.1:${wss._server.address().port}`;
  const child = fork(__filename, [url, total]);
  const [echoed] = await once(child, 'message');
  const open = wss.clients.size;
  const carried = WebSocket.diagnostics().connections;
  child.send('close');
  const codes = (await Promise.all(closed)).map(([code]) => code);
  const clean = codes.filter((code) => code === 1000).length;
  wss.close(() => {
    process.stdout.write(JSON.stringify({ carried, clean, echoed, open }));
  });
}

if (process.argv.length > 3) open(process.argv[2], Number(process.argv[3]));
else serve(Number(process.argv[2]));
