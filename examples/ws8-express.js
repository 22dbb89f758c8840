'use strict';

// Express and two WebSocket servers with the API of ws 8 on one HTTP server. The path of
// an upgrade request selects the WebSocket server, and its cookie is checked.

const express = require('express');
const http = require('http');

const { WebSocket, WebSocketServer } = require('../ws8'); // in your app: require('oxws/ws8')

const app = express();
app.get('/', (req, res) => res.send('There are /echo and /clock.'));

const server = http.createServer(app);
const echo = new WebSocketServer({ noServer: true });
const clock = new WebSocketServer({ noServer: true });
const servers = { '/echo': echo, '/clock': clock };

server.on('upgrade', (request, socket, head) => {
  const wss = servers[request.url];
  if (!wss || request.headers.cookie !== 'user=Ada') {
    socket.end(`HTTP/1.1 ${wss ? 401 : 404} Refused\r\n\r\n`);
    return;
  }
  wss.handleUpgrade(request, socket, head, (ws) => {
    wss.emit('connection', ws, request);
  });
});

echo.on('connection', (ws) => {
  ws.on('message', (data, binary) => ws.send(data, { binary }));
});
clock.on('connection', (ws) => ws.send(new Date().toISOString()));

/**
 * Connects to a path. Returns the first message received, or the status with which the
 * server refuses the handshake.
 */
function ask(path, cookie) {
  const { port } = server.address();
  const ws = new WebSocket(`ws://127.0.0.1:${port}${path}`, {
    headers: { cookie },
  });
  return new Promise((resolve, reject) => {
    ws.on('open', () => path === '/echo' && ws.send('hello'));
    ws.on('message', (data) => {
      ws.close();
      resolve(data.toString());
    });
    ws.on('unexpected-response', (request, response) => {
      request.destroy();
      resolve(response.statusCode);
    });
    ws.on('error', reject);
  });
}

server.listen(process.env.PORT || 0, '127.0.0.1', async () => {
  console.log('/echo   ', await ask('/echo', 'user=Ada'));
  console.log('/clock  ', await ask('/clock', 'user=Ada'));
  console.log('/nowhere', await ask('/nowhere', 'user=Ada'));
  console.log('/echo, by somebody else', await ask('/echo', 'user=Eve'));
  server.close(() => console.log('done'));
});
