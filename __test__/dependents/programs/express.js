'use strict';

// express and two WebSocketServers with `noServer`, on different paths of one HTTP
// server. One requires a cookie, the other a header.

const assert = require('node:assert/strict');
const { randomUUID } = require('crypto');
const { once } = require('events');
const express = require('express');
const http = require('http');
const { WebSocket, WebSocketServer } = require('ws');

const {
  at,
  close,
  closing,
  exchange,
  listen,
  refusal,
  run,
} = require('../support');

/** Creates the application. A login sets a cookie with the ID of a session. */
function application(sessions) {
  const app = express();
  app.post('/login/:name', (request, response) => {
    const id = randomUUID();
    sessions.set(id, request.params.name);
    response.cookie('session', id, { httpOnly: true }).send('welcome');
  });
  return app;
}

/** Returns the name of the visitor that the cookie of a request belongs to. */
function visitor({ headers }, sessions) {
  const [, id] = /(?:^|; )session=([^;]*)/.exec(headers.cookie || '') || [];
  return sessions.get(id);
}

/** Refuses a handshake with an HTTP status. */
function refuse(socket, status) {
  socket.end(
    `HTTP/1.1 ${status} ${http.STATUS_CODES[status]}\r\n` +
      'Connection: close\r\nContent-Length: 0\r\n\r\n',
  );
}

/** Passes each permitted upgrade to the server of its path. */
function route(server, sessions) {
  const chat = new WebSocketServer({ noServer: true });
  const feed = new WebSocketServer({
    noServer: true,
    verifyClient: ({ req }, done) => {
      const isGood = req.headers['x-key'] === 'good';
      setImmediate(done, isGood, 403, 'no key', { 'X-Hint': 'good' });
    },
  });

  chat.on('connection', (ws, request, name) => {
    ws.on('message', (data) => ws.send(`${name}: ${data}`));
  });
  feed.on('connection', (ws) => {
    ws.send('news');
    ws.close(1000, 'no more news');
  });

  server.on('upgrade', (request, socket, head) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    if (pathname === '/chat') {
      const name = visitor(request, sessions);
      if (!name) return refuse(socket, 401);
      chat.handleUpgrade(request, socket, head, (ws) => {
        chat.emit('connection', ws, request, name);
      });
    } else if (pathname === '/feed') {
      feed.handleUpgrade(request, socket, head, (ws) => {
        feed.emit('connection', ws, request);
      });
    } else {
      refuse(socket, 404);
    }
  });
}

/** Logs in. Resolves to the cookie. */
async function login(port, name) {
  const request = http.request({
    agent: false,
    host: '127.0.0.1',
    method: 'POST',
    path: `/login/${name}`,
    port,
  });
  request.end();
  const [response] = await once(request, 'response');
  response.resume();
  await once(response, 'end');
  return response.headers['set-cookie'][0].split(';')[0];
}

run(async () => {
  const sessions = new Map();
  const server = http.createServer(application(sessions));
  route(server, sessions);
  const port = await listen(server);
  const connect = (path, headers) =>
    new WebSocket(`ws://127.0.0.1:${port}${path}`, { headers });

  at('the chat');
  const cookie = await login(port, 'ada');
  const ws = connect('/chat?room=1', { cookie: `theme=dark; ${cookie}` });
  await once(ws, 'open');
  const { data, isBinary } = await exchange(ws, 'hello');
  assert.equal(String(data), 'ada: hello');
  assert.equal(isBinary, false);
  const closed = closing(ws);
  ws.close();
  assert.equal((await closed).code, 1005);

  at('the feed');
  const feed = connect('/feed', { 'X-Key': 'good' });
  const end = closing(feed);
  const [news] = await once(feed, 'message');
  assert.equal(String(news), 'news');
  assert.deepEqual(await end, { code: 1000, reason: 'no more news' });

  at('what is refused');
  const noKey = await refusal(connect('/feed'));
  assert.equal(noKey.headers['x-hint'], 'good');
  const noCookie = await refusal(connect('/chat'));
  const wrongCookie = await refusal(connect('/chat', { cookie: 'session=1' }));
  const all = { cookie, 'X-Key': 'good' };
  const otherPath = await refusal(connect('/else', all));
  const refused = [noKey, noCookie, wrongCookie, otherPath].map(
    ({ status }) => status,
  );
  assert.deepEqual(refused, [403, 401, 401, 404]);

  at('closing');
  await close(server);
  return { answer: String(data), news: String(news), refused };
});
