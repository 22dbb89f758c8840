'use strict';

// A client whose socket does not keep the process alive, from its beginning.

const http = require('http');

const WebSocket = require('../..');

const agent = new http.Agent();
const createConnection = agent.createConnection.bind(agent);
agent.createConnection = (...args) => createConnection(...args).unref();

const ws = new WebSocket(process.argv[2], { agent });
// Until it is open something else does.
const timer = setInterval(() => {}, 1000);
ws.on('open', () => {
  clearInterval(timer);
  process.stdout.write(JSON.stringify({ open: true }));
});
