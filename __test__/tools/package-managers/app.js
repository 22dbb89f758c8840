'use strict';

// A program with a dependency that requires ws: prints which package that is, and an echo.

const { WebSocket, name } = require('asks-for-ws');

const wss = new WebSocket.Server({ host: '127.0.0.1', port: 0 }, () => {
  const ws = new WebSocket(`ws://127.0.0.1:${wss.address().port}`);
  ws.on('open', () => ws.send('Hello'));
  ws.on('message', (data) => {
    console.log(`${name}: ${data}`);
    ws.close();
    wss.close();
  });
});
wss.on('connection', (ws) => ws.on('message', (data) => ws.send(data)));
