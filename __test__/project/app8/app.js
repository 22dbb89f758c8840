'use strict';

const WebSocket = require('NAME');

const { WebSocketServer, createWebSocketStream } = WebSocket;
if (WebSocket.Server !== WebSocketServer) process.exit(1);
if (WebSocket.WebSocket !== WebSocket) process.exit(1);

const wss = new WebSocketServer({ host: '127.0.0.1', port: 0 }, () => {
  const ws = new WebSocket(`ws://127.0.0.1:${wss.address().port}`);
  const stream = createWebSocketStream(ws, { encoding: 'utf8' });
  stream.once('data', (data) => {
    console.log(data);
    stream.end();
    wss.close();
  });
  stream.write('Hello');
});
wss.on('connection', (ws) => {
  ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary }));
});
