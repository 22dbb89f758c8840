'use strict';

// A server whose first connection is opened when only a few descriptors are left. The
// connection has to work, and later ones have to be carried by the engine. The test
// starts this program with a limit of descriptors.

const { once } = require('events');
const fs = require('fs');

const WebSocket = require('../..');

/** The descriptors of a connection whose ends are both in this process. */
const ENDS = 2;

async function echo(url) {
  const ws = new WebSocket(url, { perMessageDeflate: false });
  await once(ws, 'open');
  ws.send('Hello');
  const [data] = await once(ws, 'message');
  const { transport } = WebSocket.diagnostics(ws);
  ws.close();
  await once(ws, 'close');
  return { data, transport };
}

async function main(left) {
  const wss = new WebSocket.Server({ host: '127.0.0.1', port: 0 });
  wss.on('connection', (ws) => ws.on('message', (data) => ws.send(data)));
  await once(wss, 'listening');
  const url = `ws://127.0.0.1:${wss._server.address().port}`;

  const taken = [];
  try {
    for (;;) taken.push(fs.openSync('/dev/null'));
  } catch {
    for (let i = 0; i < ENDS + left; i++) fs.closeSync(taken.pop());
  }
  const first = await echo(url);
  for (const fd of taken) fs.closeSync(fd);
  let last = first;
  let count = 0;
  while (last.transport !== 'native') {
    last = await echo(url);
    count++;
  }
  process.stdout.write(JSON.stringify({ first, last, count }));
  wss.close();
}

main(Number(process.argv[2]));
