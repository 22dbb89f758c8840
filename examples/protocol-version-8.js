'use strict';

// A client that speaks version 8 of the protocol, a draft of the standard that
// old servers know. The server side understands both without being told.

const http = require('http');

const WebSocket = require('..'); // in your app: require('oxws')

const server = http.createServer();
const wss = new WebSocket.Server({ server });

wss.on('connection', (ws) => {
  const { headers } = ws.upgradeReq;

  console.log(`server: the client speaks version ${ws.protocolVersion}`);
  // The draft has another name for the header Origin.
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
