'use strict';

// @fastify/websocket: routes and hooks of fastify before a handshake, and `injectWS`,
// which connects both ends by streams, without a listening server.

const assert = require('node:assert/strict');
const fastifyWebSocket = require('@fastify/websocket');
const { once } = require('events');
const fastify = require('fastify');
const WebSocket = require('ws');

const { at, closing, exchange, pattern, refusal, run } = require('../support');

const BYTES = pattern(300000);

/** Creates an application with routes. Its hooks and handlers add texts to `seen`. */
async function application(seen) {
  const app = fastify();
  await app.register(fastifyWebSocket, {
    options: { perMessageDeflate: true },
  });

  app.addHook('onRequest', async (request) => {
    seen.push(`onRequest ${request.url} ${request.ws}`);
  });
  app.addHook('preValidation', async (request, reply) => {
    if (request.headers.authorization === 'none') {
      await reply.code(401).send('who are you?');
    }
  });

  app.get('/echo/:name', { websocket: true }, (socket, request) => {
    seen.push(`open ${request.params.name}`);
    socket.on('message', (data, isBinary) => {
      socket.send(data, { binary: isBinary });
    });
    socket.on('close', (code, reason) => seen.push(`close ${code} ${reason}`));
  });
  app.get('/leave', { websocket: true }, (socket) => {
    socket.close(4001, 'leave me');
  });
  app.get('/throw', { websocket: true }, () => {
    throw new Error('a handler that throws');
  });
  app.get('/plain', async () => 'plain');
  return app;
}

/** Checks that text and binary messages are echoed unchanged, with their type. */
async function echo(ws) {
  const text = await exchange(ws, 'text äöü €');
  assert.equal(text.isBinary, false);
  assert.equal(String(text.data), 'text äöü €');
  const binary = await exchange(ws, BYTES);
  assert.equal(binary.isBinary, true);
  assert.ok(BYTES.equals(binary.data));
  const empty = await exchange(ws, Buffer.alloc(0));
  assert.equal(empty.isBinary, true);
  assert.equal(empty.data.length, 0);
}

/** Exchanges messages with a server, and closes the connection from the client. */
async function conversation(app, url) {
  at('the echo of a server');
  const ws = new WebSocket(`${url}/echo/server`);
  await once(ws, 'open');
  assert.equal(ws.extensions, 'permessage-deflate');
  await echo(ws);
  const closed = closing(ws);
  const [peer] = app.websocketServer.clients;
  const left = once(peer, 'close');
  ws.close(3000, 'enough');
  assert.deepEqual(await closed, { code: 3000, reason: 'enough' });
  await left;
}

/** Checks the status or close code with which the server refuses clients. */
async function answers(url) {
  at('what a server closes, refuses, and does not know');
  const nowhere = await refusal(new WebSocket(`${url}/nowhere`));
  const unauthorized = await refusal(
    new WebSocket(`${url}/echo/x`, { headers: { authorization: 'none' } }),
  );
  const codes = {
    nowhere: nowhere.status,
    unauthorized: unauthorized.status,
    leave: (await closing(new WebSocket(`${url}/leave`))).code,
    throw: (await closing(new WebSocket(`${url}/throw`))).code,
    plain: (await closing(new WebSocket(`${url}/plain`))).code,
  };
  assert.deepEqual(codes, {
    nowhere: 404,
    unauthorized: 401,
    leave: 4001,
    throw: 1006,
    plain: 1005,
  });
  return codes;
}

/** Checks `injectWS`. Resolves to the close code that the client gets. */
async function injected(app) {
  at('the echo of injectWS');
  const ws = await app.injectWS('/echo/inject');
  await echo(ws);
  const closed = closing(ws);
  ws.close(3001, 'enough');
  const end = await closed;
  assert.deepEqual(end, { code: 3001, reason: 'enough' });
  // The connected streams do not transmit the client's end, so the server still waits.
  for (const peer of app.websocketServer.clients) peer.terminate();

  at('what injectWS is refused');
  const headers = { authorization: 'none' };
  await assert.rejects(app.injectWS('/echo/x', { headers }), /401/);
  await assert.rejects(app.injectWS('/nowhere'), /404/);
  return end.code;
}

run(async () => {
  const seen = [];
  const app = await application(seen);
  const address = await app.listen({ host: '127.0.0.1', port: 0 });
  const url = address.replace('http', 'ws');
  await conversation(app, url);
  const codes = await answers(url);
  assert.deepEqual(seen, [
    'onRequest /echo/server true',
    'open server',
    'close 3000 enough',
    'onRequest /nowhere true',
    'onRequest /echo/x true',
    'onRequest /leave true',
    'onRequest /throw true',
    'onRequest /plain true',
  ]);
  const result = { codes, injected: await injected(app) };

  at('closing the application');
  const last = new WebSocket(`${url}/echo/last`);
  await once(last, 'open');
  const closed = closing(last);
  await app.close();
  result.closed = await closed;
  assert.equal(result.closed.code, 1005);
  return result;
});
