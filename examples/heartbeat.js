'use strict';

// Detects broken connections of which neither end is notified, for example after a
// cable was pulled: the server pings all clients, and terminates those that have not
// answered before the next ping.

const http = require('http');

const WebSocket = require('..'); // in your app: require('oxws')

const INTERVAL = 250; // milliseconds; in production, use 30 seconds, for example

const server = http.createServer();
const wss = new WebSocket.Server({ server });

wss.on('connection', (ws) => {
  ws.name = ws.upgradeReq.url.slice(1);
  ws.isAlive = true;
  ws.on('pong', () => (ws.isAlive = true));
});

const timer = setInterval(() => {
  wss.clients.forEach((ws) => {
    if (!ws.isAlive) {
      console.log(`${ws.name}: does not answer, terminated`);
      ws.terminate();
      return stop();
    }

    console.log(`${ws.name}: is alive`);
    ws.isAlive = false;
    ws.ping('', {}, true); // true: do not throw if the connection is closing
  });
}, INTERVAL);

let healthy;
let broken;

server.listen(process.env.PORT || 0, '127.0.0.1', () => {
  const address = `ws://127.0.0.1:${server.address().port}`;

  // Clients answer pings automatically …
  healthy = new WebSocket(`${address}/healthy`);
  broken = new WebSocket(`${address}/broken`);

  // … unless they are paused.
  broken.on('open', () => broken.pause());
});

function stop() {
  clearInterval(timer);
  healthy.close();
  // Now that it continues reading, it sees that the server has ended the connection.
  broken.resume();
  broken.on('close', (code) => console.log(`broken: closed with ${code}`));
  server.close(() => console.log('done'));
}
