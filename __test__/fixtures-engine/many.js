'use strict';

// Many connections at once, each of which echoes.

const { once } = require('events');

const WebSocket = require('../..');

/** Descriptors that a connection takes at both ends, Node's and the engine's. */
const EACH = 4;

async function main() {
  const limit = process.report.getReport().userLimits.open_files.soft;
  const room = limit === 'unlimited' ? Infinity : (limit - 100) / EACH;
  const total = Math.floor(Math.min(Number(process.argv[2]), room));
  const wss = new WebSocket.Server({
    host: '127.0.0.1',
    port: 0,
    backlog: 4096,
  });
  await once(wss._server, 'listening');
  wss.on('connection', (ws) => {
    ws.on('message', (data) => ws.send(data));
  });
  const url = `ws://127.0.0.1:${wss._server.address().port}`;

  const clients = [];
  while (clients.length < total) {
    const batch = Array.from(
      { length: Math.min(250, total - clients.length) },
      () => new WebSocket(url),
    );
    await Promise.all(batch.map((client) => once(client, 'open')));
    clients.push(...batch);
  }

  let echoed = 0;
  for (let round = 0; round < 3; round++) {
    await Promise.all(
      clients.map(async (client, i) => {
        const text = `${round} ${i}`;
        client.send(text);
        const [data] = await once(client, 'message');
        if (data === text) echoed++;
      }),
    );
  }
  const open = WebSocket.diagnostics().connections;
  const closed = clients.map((client) => once(client, 'close'));
  for (const client of clients) client.close();
  await Promise.all(closed);
  wss.close(() => {
    process.stdout.write(JSON.stringify({ echoed, open, total }));
  });
}

main();
