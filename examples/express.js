'use strict';

// Express and WebSockets on one port: an Express router handles the HTTP requests
// below /rooms, and the WebSocket server handles the path /rooms/live.

const express = require('express');
const http = require('http');

const WebSocket = require('..'); // in your app: require('oxws')

const rooms = ['kitchen', 'garden'];

const router = express.Router();
router.get('/', (req, res) => res.json(rooms));
router.post('/:name', (req, res) => {
  rooms.push(req.params.name);
  announce(req.params.name);
  res.status(201).end();
});

const app = express();
app.use('/rooms', router);

// Express and the WebSocket server share this server. app.listen() would create
// another one.
const server = http.createServer(app);
const wss = new WebSocket.Server({ server, path: '/rooms/live' });

function announce(name) {
  wss.clients.forEach((ws) => ws.send(`new room: ${name}`));
}

server.listen(process.env.PORT || 0, '127.0.0.1', () => {
  const { port } = server.address();
  const ws = new WebSocket(`ws://127.0.0.1:${port}/rooms/live`);

  ws.on('open', async () => {
    console.log('GET  /rooms', await request(port, 'GET', '/rooms'));
    console.log(
      'POST /rooms/attic',
      await request(port, 'POST', '/rooms/attic'),
    );
    console.log('GET  /rooms', await request(port, 'GET', '/rooms'));
    ws.close();
  });
  ws.on('message', (data) => console.log(`/rooms/live says "${data}"`));
  ws.on('close', () => server.close(() => console.log('done')));
});

function request(port, method, path) {
  const options = { host: '127.0.0.1', port, method, path, agent: false };

  return new Promise((resolve, reject) => {
    const req = http.request(options, (res) => {
      let body = '';
      res.on('data', (chunk) => (body += chunk));
      res.on('end', () => resolve(`${res.statusCode} ${body}`.trim()));
    });
    req.on('error', reject).end();
  });
}
