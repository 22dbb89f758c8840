'use strict';

// @hocuspocus/server and its provider: a Yjs document that several clients edit.

const assert = require('node:assert/strict');
const { once } = require('events');
const {
  HocuspocusProvider,
  HocuspocusProviderWebsocket,
} = require('@hocuspocus/provider');
const { Server } = require('@hocuspocus/server');
const WebSocket = require('ws');
const Y = require('yjs');

const { at, listen, run } = require('../support');

/**
 * So many lines that they need many frames, and a long frame for a client that is late.
 */
const LINES = 500;

/** Resolves to the next event of a provider. */
function next(provider, type) {
  return new Promise((resolve) => {
    const listener = (event) => {
      provider.off(type, listener);
      resolve(event);
    };
    provider.on(type, listener);
  });
}

/** Opens a new connection, with a document. */
function join(url, token) {
  const socket = new HocuspocusProviderWebsocket({
    delay: 10,
    minDelay: 10,
    url,
    WebSocketPolyfill: WebSocket,
  });
  const provider = new HocuspocusProvider({
    document: new Y.Doc(),
    name: 'notes',
    token,
    websocketProvider: socket,
  });
  provider.attach();
  return { provider, socket, text: provider.document.getText('text') };
}

/** Resolves when a text has this length. */
function reaches(text, length) {
  return new Promise((resolve) => {
    const look = () => {
      if (text.length < length) return;
      text.unobserve(look);
      resolve();
    };
    text.observe(look);
    look();
  });
}

/** Ends all clients. Resolves when the server has none. */
async function leave(server, members) {
  const closed = [...server.webSocketServer.clients].map((ws) =>
    once(ws, 'close'),
  );
  for (const { provider, socket } of members) {
    provider.destroy();
    socket.destroy();
  }
  await Promise.all(closed);
}

run(async () => {
  const server = new Server({
    quiet: true,
    stopOnSignals: false,
    onAuthenticate: async ({ token }) => {
      if (token === 'friend') return;
      // The client gets the reason. A message of the error would be printed.
      throw Object.assign(new Error(), { reason: 'a stranger' });
    },
  });
  const url = `ws://127.0.0.1:${await listen(server.httpServer)}`;

  at('two that write');
  const a = join(url, 'friend');
  const b = join(url, 'friend');
  await Promise.all([next(a.provider, 'synced'), next(b.provider, 'synced')]);
  for (let i = 0; i < LINES; i++) {
    a.text.insert(0, 'from a\n');
    b.text.insert(0, 'from b\n');
  }
  const length = LINES * 2 * 'from a\n'.length;
  await Promise.all([reaches(a.text, length), reaches(b.text, length)]);
  assert.equal(String(a.text), String(b.text));

  at('one that comes late');
  const late = join(url, 'friend');
  await next(late.provider, 'synced');
  assert.equal(String(late.text), String(a.text));

  at('presence');
  const present = new Promise((resolve) => {
    b.provider.on('awarenessChange', ({ states }) => {
      if (states.some(({ name }) => name === 'ada')) resolve();
    });
  });
  a.provider.setAwarenessField('name', 'ada');
  await present;

  at('a connection that is cut');
  const synced = next(a.provider, 'synced');
  for (const ws of server.webSocketServer.clients) ws.terminate();
  b.text.insert(0, 'while away\n');
  await synced;
  await reaches(a.text, length + 'while away\n'.length);
  assert.ok(String(a.text).startsWith('while away\n'));

  at('a stranger');
  const stranger = join(url, 'stranger');
  const { reason } = await next(stranger.provider, 'authenticationFailed');
  assert.equal(reason, 'a stranger');

  at('the end');
  await leave(server, [a, b, late, stranger]);
  const closed = once(server.httpServer, 'close');
  await server.destroy();
  await closed;
  return { length, reason };
});
