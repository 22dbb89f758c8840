'use strict';

// http-proxy between client and server. It handles upgrades with plain sockets of Node.

const assert = require('node:assert/strict');
const { once } = require('events');
const http = require('http');
const httpProxy = require('http-proxy');
const { WebSocket, WebSocketServer } = require('ws');

const {
  at,
  close,
  closing,
  exchange,
  listen,
  pattern,
  refusal,
  run,
} = require('../support');

const BYTES = pattern(1 << 20);

/**
 * Creates the server behind the proxy. It echoes, and obeys `close` and `terminate`.
 */
function target() {
  const server = http.createServer();
  const wss = new WebSocketServer({ server, perMessageDeflate: true });
  wss.on('connection', (ws) => {
    ws.on('message', (data, isBinary) => {
      if (isBinary) ws.send(data);
      else if (String(data) === 'close') ws.close(4000, 'as you wish');
      else if (String(data) === 'terminate') ws.terminate();
      else ws.send(String(data));
    });
  });
  return { server, wss };
}

/** Creates a proxy for the server on a port. */
function front(port) {
  const proxy = httpProxy.createProxyServer({
    target: { host: '127.0.0.1', port },
    xfwd: true,
  });
  proxy.on('error', (error, request, socket) => socket.destroy(error));
  const server = http.createServer();
  server.on('upgrade', (request, socket, head) => {
    proxy.ws(request, socket, head);
  });
  return server;
}

run(async () => {
  const { server, wss } = target();
  const proxy = front(await listen(server));
  const url = `ws://127.0.0.1:${await listen(proxy)}`;

  /** Connects a client through the proxy. Resolves to both ends. */
  async function connect() {
    const connected = once(wss, 'connection');
    const ws = new WebSocket(url);
    await once(ws, 'open');
    const [peer, request] = await connected;
    assert.equal(request.headers['x-forwarded-for'], '127.0.0.1');
    return { ws, peer };
  }

  at('the echo');
  const first = await connect();
  const text = await exchange(first.ws, 'through');
  assert.equal(String(text.data), 'through');
  assert.equal(text.isBinary, false);
  const binary = await exchange(first.ws, BYTES);
  assert.ok(BYTES.equals(binary.data));

  at('a close by the client');
  const seen = closing(first.peer);
  const echoed = closing(first.ws);
  first.ws.close(3000, 'bye');
  const byClient = await seen;
  assert.deepEqual(byClient, { code: 3000, reason: 'bye' });
  assert.deepEqual(await echoed, byClient);

  at('a close by the server');
  const second = await connect();
  const closed = closing(second.ws);
  second.ws.send('close');
  const byServer = await closed;
  assert.deepEqual(byServer, { code: 4000, reason: 'as you wish' });

  at('a server that cuts the connection');
  const third = await connect();
  const cut = closing(third.ws);
  third.ws.send('terminate');
  assert.equal((await cut).code, 1006);

  at('a client that cuts the connection');
  const fourth = await connect();
  const lost = closing(fourth.peer);
  fourth.ws.terminate();
  assert.equal((await lost).code, 1006);

  at('a refusal');
  wss.options.verifyClient = () => false;
  const { status: refused } = await refusal(new WebSocket(url));
  assert.equal(refused, 401);

  at('closing');
  await Promise.all([close(proxy), close(server)]);
  return { byClient, byServer, refused };
});
