'use strict';

// Sessions: users log in over HTTP and get a cookie, and the server accepts a
// WebSocket only with this cookie. With `noServer`, the program handles the
// 'upgrade' event of the HTTP server itself.

const crypto = require('crypto');
const http = require('http');

const WebSocket = require('..'); // in your app: require('oxws')

const sessions = new Map();
const wss = new WebSocket.Server({ noServer: true });

const server = http.createServer((req, res) => {
  const id = crypto.randomBytes(16).toString('hex');

  sessions.set(id, { user: 'Ada' });
  res.setHeader('Set-Cookie', `session=${id}; HttpOnly; SameSite=Strict`);
  res.end('welcome');
});

server.on('upgrade', (req, socket, head) => {
  if (!sessionOf(req)) {
    socket.end('HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n');
    return;
  }

  wss.handleUpgrade(req, socket, head, (ws) => wss.emit('connection', ws));
});

wss.on('connection', (ws) => {
  const { user } = sessionOf(ws.upgradeReq);
  ws.send(`hello, ${user}`);
});

function sessionOf(req) {
  const match = /(?:^|; )session=([0-9a-f]+)/.exec(req.headers.cookie);
  return match && sessions.get(match[1]);
}

server.listen(process.env.PORT || 0, '127.0.0.1', () => {
  const { port } = server.address();

  connect(port, {}, () => {
    logIn(port, (cookie) => {
      connect(port, { cookie }, () => {
        server.close(() => console.log('done'));
      });
    });
  });
});

function connect(port, headers, callback) {
  const how = headers.cookie ? 'with' : 'without';
  const ws = new WebSocket(`ws://127.0.0.1:${port}/`, { headers });

  ws.on('error', (err) => console.log(`${how} a cookie: ${err.message}`));
  ws.on('message', (data) => {
    console.log(`${how} a cookie: "${data}"`);
    ws.close();
  });
  ws.on('close', callback);
}

function logIn(port, callback) {
  http.get({ host: '127.0.0.1', port, path: '/', agent: false }, (res) => {
    res.resume();
    res.on('end', () => callback(res.headers['set-cookie'][0].split(';')[0]));
  });
}
