'use strict';

// A server that reads more slowly than its client, in another process, sends. Prints by
// how much the memory of the server grew.

const { fork } = require('child_process');

const WebSocket = require('../..');

const [, , role, ...args] = process.argv;

function send(url, size, count) {
  const ws = new WebSocket(url, { perMessageDeflate: false });
  const message = Buffer.alloc(size);
  let left = count;
  const next = () => {
    if (left-- > 0) ws.send(message, { mask: false }, next);
    else ws.close();
  };
  ws.on('open', () => {
    for (let i = 0; i < 32; i++) next();
  });
}

function receive(manner, size, count) {
  const options = { host: '127.0.0.1', port: 0, perMessageDeflate: false };
  const wss = new WebSocket.Server(options, () => {
    const url = `ws://127.0.0.1:${wss._server.address().port}`;
    const start = process.memoryUsage.rss();
    let most = start;
    let received = 0;
    wss.on('connection', (ws) => {
      ws.on('message', () => {
        received++;
        most = Math.max(most, process.memoryUsage.rss());
        if (manner === 'block') {
          const end = Date.now() + 4;
          while (Date.now() < end);
        } else {
          ws.pause();
          setTimeout(() => {
            if (ws.readyState === WebSocket.OPEN) ws.resume();
          }, 1);
        }
      });
      ws.on('close', (code) => {
        const growth = most - start;
        process.stdout.write(JSON.stringify({ code, growth, received }));
        wss.close();
      });
    });
    fork(__filename, ['send', url, size, count]);
  });
}

if (role === 'send') send(args[0], Number(args[1]), Number(args[2]));
else receive(role, Number(args[0]), Number(args[1]));
