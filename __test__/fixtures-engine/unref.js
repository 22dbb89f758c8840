'use strict';

// A client whose socket is `unref` from the start, and does not keep the process alive.

const http = require('http');

const WebSocket = require('../..');

const agent = new http.Agent();
const createConnection = agent.createConnection.bind(agent);
agent.createConnection = (...args) => createConnection(...args).unref();

const ws = new WebSocket(process.argv[2], { agent });
// Keeps the process alive until the connection is open.
const timer = setInterval(() => {}, 1000);
ws.on('open', () => {
  clearInterval(timer);
  process.stdout.write(JSON.stringify({ open: true }));
});
