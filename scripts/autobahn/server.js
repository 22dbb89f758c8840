'use strict';

// An echo server for the suite:
//
//   node server.js API
//
// API is `oxws` or `oxws/ws8`. Prints its port.

const { optionsOf, echo, load } = require('./echo');

const [api] = process.argv.slice(2);

const wss = new (load(api).Server)({
  host: '127.0.0.1',
  port: 0,
  perMessageDeflate: true,
  ...optionsOf(api),
});
wss.on('connection', echo);
const server = wss._server;
server.on('listening', () => console.log(`port: ${server.address().port}`));
