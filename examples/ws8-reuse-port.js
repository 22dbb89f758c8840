'use strict';

// Two worker threads listen on the same port, with the option `reusePort`. The system
// chooses one of them for each connection: Linux spreads the connections, macOS does not,
// and on Windows ports cannot be shared.

const { once } = require('events');
const {
  isMainThread,
  parentPort,
  threadId,
  Worker,
  workerData,
} = require('worker_threads');

const { WebSocket, WebSocketServer } = require('../ws8'); // in your app: require('oxws/ws8')

const CLIENTS = 20;

if (!isMainThread) serve();
else if (process.platform !== 'win32') main();
else console.log('Windows cannot share ports\ndone');

/** Runs in each worker thread. */
function serve() {
  const { port } = workerData;
  const wss = new WebSocketServer({ host: '127.0.0.1', port, reusePort: true });
  wss.on('listening', () => parentPort.postMessage(wss.address().port));
  wss.on('connection', (ws) => {
    ws.on('error', console.error);
    ws.send(`thread ${threadId}`);
  });
}

async function main() {
  const first = new Worker(__filename, {
    workerData: { port: Number(process.env.PORT || 0) },
  });
  const [port] = await once(first, 'message');
  // With port 0, the second server would get a port of its own.
  const second = new Worker(__filename, { workerData: { port } });
  await once(second, 'message');

  const counts = new Map();
  for (let i = 0; i < CLIENTS; i++) {
    const thread = await greeted(`ws://127.0.0.1:${port}/`);
    counts.set(thread, (counts.get(thread) || 0) + 1);
  }
  for (const [thread, count] of counts) {
    console.log(`${thread} has accepted ${count} connections`);
  }
  await Promise.all([first.terminate(), second.terminate()]);
  console.log('done');
}

/** Connects, and resolves to the first message. */
async function greeted(address) {
  const ws = new WebSocket(address);
  const [data] = await once(ws, 'message');
  ws.close();
  return data.toString();
}
