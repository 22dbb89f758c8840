'use strict';

// A server whose process has few descriptors. Prints its port.

const WebSocket = require('../..');

const wss = new WebSocket.Server({ host: '127.0.0.1', port: 0 }, () => {
  console.log(wss._server.address().port);
});
