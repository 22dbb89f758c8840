'use strict';

// Opens, uses and drops connections in every manner, and tells what is left.

const { once } = require('events');
const fs = require('fs');

const WebSocket = require('../..');

const TOTAL = Number(process.argv[2]);
const BATCH = 50;
const FD = '/proc/self/fd';

/** The head of an unmasked message of which nothing but the head comes. */
const HEAD = Buffer.from([0x82, 126, 0x10, 0x00, 1, 2, 3]);

const all = [
  (client) => client.close(1000),
  (client, server) => server.close(1001, 'bye'),
  (client) => client.terminate(),
  (client, server) => server.terminate(),
  (client) => client._socket.resetAndDestroy(),
  (client, server) => server._socket.resetAndDestroy(),
  (client) => client._socket.end(),
  (client, server) => server._socket.end(),
  (client) => client._socket.destroy(),
  (client, server) => server._socket.destroy(),
  (client) => {
    client._socket.write(HEAD);
    client._socket.destroy();
  },
  (client, server) => {
    client._socket.write(HEAD);
    setImmediate(() => {
      if (server._socket) server._socket.destroy();
    });
  },
  (client) => {
    client.send(Buffer.alloc(1 << 20));
    client.terminate();
  },
  (client, server) => {
    client.send(Buffer.alloc(1 << 20));
    server.close();
  },
];

/** All of them, or the one that is asked for. */
const manners = process.argv[3] ? [all[Number(process.argv[3])]] : all;

const descriptors = () => (fs.existsSync(FD) ? fs.readdirSync(FD).length : 0);

/** Waits for descriptors to be back, but no more than five seconds. */
async function settle(count) {
  for (let i = 0; i < 100 && descriptors() > count; i++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Waits for the number of descriptors to stay as it is for a while. */
async function rest() {
  for (let last = -1; last !== descriptors();) {
    last = descriptors();
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function main() {
  const perMessageDeflate = false;
  const wss = new WebSocket.Server({
    host: '127.0.0.1',
    port: 0,
    perMessageDeflate,
  });
  wss.setMaxListeners(0);
  await once(wss._server, 'listening');
  const url = `ws://127.0.0.1:${wss._server.address().port}`;
  const closes = { once: 0, again: 0 };

  async function connection(number) {
    const client = new WebSocket(`${url}/${number}`, {
      perMessageDeflate,
    });
    const connected = once(wss, `connection/${number}`);
    client.on('error', () => {});
    const [server] = await connected;
    server.on('error', () => {});
    const ends = [client, server].map((end) => {
      let count = 0;
      return new Promise((resolve) => {
        end.on('close', () => {
          if (++count === 1) closes.once++;
          else closes.again++;
          resolve();
        });
      });
    });
    if (client.readyState !== WebSocket.OPEN) await once(client, 'open');
    server.once('message', (data) => server.send(data));
    client.send('x'.repeat(number % 7 === 0 ? 70000 : 10));
    await once(client, 'message');
    manners[number % manners.length](client, server);
    await Promise.all(ends);
  }

  async function run(total) {
    for (let done = 0; done < total; done += BATCH) {
      const numbers = Array.from({ length: BATCH }, (_, i) => done + i);
      await Promise.all(numbers.map(connection));
    }
  }

  await run(50);
  await rest();
  await run(250);
  await rest();
  global.gc();
  const before = { fds: descriptors(), rss: process.memoryUsage().rss };
  closes.once = 0;
  await run(TOTAL);
  await settle(before.fds);
  global.gc();
  const result = {
    closes,
    fds: descriptors() - before.fds,
    growth: process.memoryUsage().rss - before.rss,
    clients: wss.clients.size,
    connections: WebSocket.diagnostics().connections,
  };
  process.stdout.write(JSON.stringify(result));
  wss.close();
}

main();
