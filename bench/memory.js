'use strict';

// Measures the memory of an idle connection at a server, by the server's configuration:
//
//   node bench/memory.js [CONNECTIONS]
//
// Prints the table in docs/deployment.md, with a row for each configuration. Each row
// has its own server process, and the resident memory of that process is measured. The
// clients are in this process. The scenario `idle` of run.js compares two of the
// configurations with the peers.

const { fork } = require('child_process');
const { once } = require('events');
const fs = require('fs');
const http = require('http');
const https = require('https');
const path = require('path');

const { WebSocket, WebSocketServer } = require('../ws8');

const fixtures = path.join(__dirname, '..', '__test__', 'fixtures');

/** The configurations, by their names in the table. */
const WAYS = {
  'no compression': {},
  'no compression, as a stream': { env: { OXWS_TRANSPORT: 'stream' } },
  'no compression, TLS in Node': { isSecure: true },
  'permessage-deflate': { deflate: {} },
  'permessage-deflate, `memoryBudget: 0`': { deflate: { memoryBudget: 0 } },
  'permessage-deflate, `serverNoContextTakeover`': {
    deflate: { serverNoContextTakeover: true, threshold: 0 },
  },
  'permessage-deflate, both `…NoContextTakeover`': {
    deflate: {
      serverNoContextTakeover: true,
      clientNoContextTakeover: true,
      threshold: 0,
    },
  },
};

/** The number of messages that each connection exchanges. */
const MESSAGES = 10;

/**
 * The number of connections that are opened and closed first. They allocate what all
 * share.
 */
const FIRST = 50;

/** The number of connections that are opened at a time. */
const AT_A_TIME = 100;

/** Returns about 1 KiB of JSON, which is different for each connection. */
function message() {
  const items = Array.from({ length: 16 }, () => ({
    id: Math.random(),
    name: `item ${Math.random()}`,
  }));
  return JSON.stringify(items);
}

/** Runs a server that echoes. It reports its port, and its memory when asked for it. */
function serve({ deflate = false, isSecure = false }) {
  const read = (name) => fs.readFileSync(path.join(fixtures, name));
  const server = isSecure
    ? https.createServer({
        key: read('server-key.pem'),
        cert: read('server.pem'),
      })
    : http.createServer();
  const wss = new WebSocketServer({ server, perMessageDeflate: deflate });
  wss.on('connection', (ws) => {
    ws.on('error', () => {});
    ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary }));
  });
  server.listen(0, '127.0.0.1', () => process.send(server.address().port));
  process.on('message', () => {
    global.gc();
    // Finalizers, which run after the collection, may free more.
    setImmediate(() => {
      global.gc();
      process.send(process.memoryUsage().rss);
    });
  });
}

/** Opens connections, and exchanges messages on each. */
async function open(url, count) {
  const clients = [];
  while (clients.length < count) {
    const length = Math.min(AT_A_TIME, count - clients.length);
    const some = Array.from({ length }, async () => {
      const ws = new WebSocket(url, { rejectUnauthorized: false });
      await once(ws, 'open');
      for (let sent = 0; sent < MESSAGES; sent++) {
        const echoed = once(ws, 'message');
        ws.send(message());
        await echoed;
      }
      return ws;
    });
    clients.push(...(await Promise.all(some)));
  }
  return clients;
}

async function close(clients) {
  await Promise.all(
    clients.map((ws) => {
      const closed = once(ws, 'close');
      ws.close();
      return closed;
    }),
  );
}

/** Resolves to the memory of a connection, in bytes. */
async function measure({ env, ...way }, count) {
  const server = fork(__filename, ['serve', JSON.stringify(way)], {
    env: { ...process.env, ...env },
    execArgv: ['--expose-gc'],
  });
  const [port] = await once(server, 'message');
  const memory = async () => {
    const answered = once(server, 'message');
    server.send('memory');
    const [bytes] = await answered;
    return bytes;
  };
  const url = `${way.isSecure ? 'wss' : 'ws'}://127.0.0.1:${port}/`;
  await close(await open(url, FIRST));
  const before = await memory();
  const clients = await open(url, count);
  const after = await memory();
  await close(clients);
  server.disconnect();
  server.kill();
  return (after - before) / count;
}

async function main() {
  const count = Number(process.argv[2]) || 5000;
  console.log('| connections | memory of each |\n| --- | --- |');
  for (const [name, way] of Object.entries(WAYS)) {
    const kib = (await measure(way, count)) / 1024;
    console.log(`| ${name} | ${Number(kib.toPrecision(2))} KiB |`);
  }
}

if (process.argv[2] === 'serve') serve(JSON.parse(process.argv[3]));
else main();
