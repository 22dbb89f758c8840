'use strict';

// A server that sends a message to its first client and exits at once.

const WebSocket = require('../..');

const wss = new WebSocket.Server({ host: '127.0.0.1', port: 0 }, () => {
  wss.on('connection', (ws) => {
    ws.send('last words');
    process.exit(0);
  });
  process.send(wss._server.address().port);
});
