'use strict';

// Opens, uses and ends connections in every manner, and prints what is left of them.
// Every other cycle of manners uses permessage-deflate.

const { randomBytes } = require('crypto');
const { once } = require('events');

const WebSocket = require('../..');
const { deflate, frame } = require('../support');
const { descriptors, rest } = require('./descriptors');

const TOTAL = Number(process.argv[2]);
/**
 * The connections before the first measurement. They allocate what is allocated once.
 */
const WARM_UP = 2000;
const AT_ONCE = 50;
const MIB = 1 << 20;

/** Incomplete messages: a short one, a long one, and a long compressed one. */
const halves = [
  ['abc', { length: 1000 }],
  [Buffer.alloc(200000), { length: MIB }],
  [deflate(randomBytes(100000)), { length: 200000, rsv: 4 }],
];

/** Calls a method of the socket in the next turn, in which data may have arrived. */
function later(ws, method) {
  setImmediate(() => {
    if (ws._socket) ws._socket[method]();
  });
}

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
  (client) => client._socket.destroySoon(),
  (client) => {
    client.send(Buffer.alloc(MIB));
    client.terminate();
  },
  (client, server) => {
    client.send(Buffer.alloc(MIB));
    server.close();
  },
  (client, server) => {
    server.pause();
    client.send(Buffer.alloc(MIB));
    later(server, 'destroy');
  },
  (client, server) => {
    server.on('message', () => {
      if (server._socket) server._socket.destroy();
    });
    for (let i = 0; i < 10; i++) client.send(`${i}`);
  },
];
for (const [data, options] of halves) {
  const masked = frame(2, data, options);
  const plain = frame(2, data, Object.assign({ key: null }, options));
  all.push(
    (client) => {
      client._socket.write(masked);
      client._socket.destroy();
    },
    (client, server) => {
      client._socket.write(masked);
      later(server, 'destroy');
    },
    (client, server) => {
      server._socket.write(plain);
      later(server, 'resetAndDestroy');
    },
    (client, server) => {
      server._socket.write(plain);
      later(client, 'end');
    },
  );
}

/** All manners, or the one that the argument selects. */
const manners = process.argv[3] ? [all[Number(process.argv[3])]] : all;

async function main() {
  const wss = new WebSocket.Server({
    host: '127.0.0.1',
    port: 0,
    perMessageDeflate: true,
  });
  wss.setMaxListeners(0);
  await once(wss._server, 'listening');
  const url = `ws://127.0.0.1:${wss._server.address().port}`;
  const closes = { once: 0, again: 0 };

  async function connection(number) {
    const perMessageDeflate = Math.floor(number / manners.length) % 2 === 1;
    const client = new WebSocket(`${url}/${number}`, { perMessageDeflate });
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

  let next = 0;
  async function run(total) {
    const end = next + total;
    const lane = async () => {
      while (next < end) await connection(next++);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
    await rest();
    global.gc();
    const { rss, heapTotal, heapUsed } = process.memoryUsage();
    // V8 keeps memory in reserve, which says nothing of what is in use.
    return { fds: descriptors(), native: rss - heapTotal, heapUsed };
  }

  const before = await run(WARM_UP);
  closes.once = 0;
  const after = await run(TOTAL);
  const result = {
    closes,
    fds: after.fds - before.fds,
    growth: after.native - before.native,
    heapGrowth: after.heapUsed - before.heapUsed,
    clients: wss.clients.size,
    connections: WebSocket.diagnostics().connections,
  };
  process.stdout.write(JSON.stringify(result));
  wss.close();
}

main();
