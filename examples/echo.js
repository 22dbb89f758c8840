'use strict';

// A server that sends back each message, and a client that sends text and binary
// data.

const http = require('http');

const WebSocket = require('..'); // in your app: require('oxws')

const server = http.createServer();
const wss = new WebSocket.Server({ server });

wss.on('connection', (ws) => {
  ws.on('message', (data, flags) => {
    ws.send(data, { binary: flags.binary });
  });
});

server.listen(process.env.PORT || 0, '127.0.0.1', () => {
  const ws = new WebSocket(`ws://127.0.0.1:${server.address().port}/`);

  ws.on('open', () => {
    ws.send('hello');
    ws.send(Buffer.from([1, 2, 3]));
  });

  ws.on('message', (data, flags) => {
    console.log('received', data);
    if (flags.binary) ws.close();
  });

  ws.on('close', (code) => {
    console.log(`closed with ${code}`);
    server.close(() => console.log('done'));
  });
});
