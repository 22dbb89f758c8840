'use strict';

// Finds connections that are broken without either end knowing, by a pulled
// cable for example: the server pings all clients, and drops those that have
// not answered by the next round.

const http = require('http');

const WebSocket = require('..'); // in your app: require('oxws')

const INTERVAL = 250; // 30 s are good in real life

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
    ws.ping('', {}, true); // true: not an error if it is closing just now
  });
}, INTERVAL);

let healthy;
let broken;

server.listen(process.env.PORT || 0, '127.0.0.1', () => {
  const address = `ws://127.0.0.1:${server.address().port}`;

  // Clients answer pings by themselves …
  healthy = new WebSocket(`${address}/healthy`);
  broken = new WebSocket(`${address}/broken`);

  // … except one that no longer reads what comes in.
  broken.on('open', () => broken.pause());
});

function stop() {
  clearInterval(timer);
  healthy.close();
  // Now that it reads on, it sees that the server has gone.
  broken.resume();
  broken.on('close', (code) => console.log(`broken: closed with ${code}`));
  server.close(() => console.log('done'));
}
