'use strict';

// A chat room: the server sends each message that it receives to all clients.

const http = require('http');

const WebSocket = require('..'); // in your app: require('oxws')

const NAMES = ['Ada', 'Grace', 'Joan'];

const server = http.createServer();
const wss = new WebSocket.Server({ server });
let left = 0;

wss.on('connection', (ws) => {
  // The message is framed once for all clients.
  ws.on('message', (data) => wss.broadcast(data));
});

server.listen(process.env.PORT || 0, '127.0.0.1', () => {
  const address = `ws://127.0.0.1:${server.address().port}/`;
  const clients = NAMES.map((name) => join(address, name));
  let waiting = clients.length;

  for (const ws of clients) {
    ws.on('open', () => {
      // Wait until all clients are connected.
      if (--waiting > 0) return;
      clients[0].send('Ada: hello, everybody');
      clients[2].send('Joan: hello, Ada');
    });
  }
});

function join(address, name) {
  const ws = new WebSocket(address);
  let heard = 0;

  ws.on('message', (data) => {
    console.log(`${name} hears "${data}"`);
    if (++heard === 2) ws.close();
  });
  ws.on('close', () => {
    console.log(`${name} leaves`);
    if (++left === NAMES.length) server.close(() => console.log('done'));
  });
  return ws;
}
