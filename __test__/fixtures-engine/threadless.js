'use strict';

// Compresses and decompresses long messages although no thread can be started: a limit
// is set before the engine needs its first thread for this.

const { execFileSync } = require('child_process');
const { once } = require('events');

const WebSocket = require('../..');

async function main() {
  const wss = new WebSocket.Server({ host: '127.0.0.1', port: 0 });
  wss.on('connection', (ws) => ws.on('message', (data) => ws.send(data)));
  await once(wss, 'listening');
  const ws = new WebSocket(`ws://127.0.0.1:${wss._server.address().port}`);
  await once(ws, 'open');
  const { host } = WebSocket.diagnostics(ws);
  execFileSync('prlimit', ['--pid', process.pid, '--nproc=1']);
  const text = 'one of many '.repeat(300000);
  let isSent = false;
  ws.send(text, (error) => (isSent = error === null));
  const [data] = await once(ws, 'message');
  process.stdout.write(
    JSON.stringify({ host, isSent, isRight: data === text }),
  );
  ws.close();
  wss.close();
}

main();
