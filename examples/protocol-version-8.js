'use strict';

// A client that uses version 8 of the protocol, a draft of RFC 6455 that old servers
// support. The server accepts both versions without an option.

const http = require('http');

const WebSocket = require('..'); // in your app: require('oxws')

const server = http.createServer();
const wss = new WebSocket.Server({ server });

wss.on('connection', (ws) => {
  const { headers } = ws.upgradeReq;

  console.log(`server: the client speaks version ${ws.protocolVersion}`);
  // In version 8, the header Origin has another name.
  console.log(`server: it comes from ${headers['sec-websocket-origin']}`);
  ws.on('message', (data) => ws.send(data.toUpperCase()));
});

server.listen(process.env.PORT || 0, '127.0.0.1', () => {
  const ws = new WebSocket(`ws://127.0.0.1:${server.address().port}/`, {
    protocolVersion: 8,
    origin: 'http://example.com',
  });

  ws.on('open', () => ws.send('hello'));
  ws.on('message', (data) => {
    console.log(`client: received ${data}`);
    ws.close();
  });
  ws.on('close', () => server.close(() => console.log('done')));
});
