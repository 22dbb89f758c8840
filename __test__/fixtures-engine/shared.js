'use strict';

// The worker of a cluster, which listens itself. Prints its port and who accepts.

const cluster = require('cluster');

const WebSocket = require('../..');

if (cluster.isPrimary) {
  const worker = cluster.fork();
  worker.on('message', (told) => console.log(JSON.stringify(told)));
  process.on('SIGTERM', () => {
    worker.kill();
    process.exit();
  });
} else {
  const place = { host: '127.0.0.1', port: 0, reusePort: true };
  const wss = new WebSocket.Server(place, () => {
    const { listener } = WebSocket.diagnostics();
    process.send({ listener, port: wss._server.address().port });
  });
}
