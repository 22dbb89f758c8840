'use strict';

const WebSocket = require('NAME');
require('NAME/lib/Receiver');

const { WebSocketServer } = require('NAME');
if (WebSocketServer !== WebSocket.Server) process.exit(1);
if (WebSocket.WebSocket !== WebSocket) process.exit(1);

const wss = new WebSocket.Server({ host: '127.0.0.1', port: 0 }, () => {
  const ws = new WebSocket(`ws://127.0.0.1:${wss._server.address().port}`);
  ws.on('open', () => ws.send('Hello'));
  ws.on('message', (data) => {
    console.log(data);
    wss.close();
  });
});
wss.on('connection', (ws) => ws.on('message', (data) => ws.send(data)));
