'use strict';

// What several test files need. Every server listens on a free port of 127.0.0.1
// and is closed by the test that started it.

const { once } = require('events');
const http = require('http');
const net = require('net');

const WebSocket = require('..');

/** The address of a listening server as a `ws:` URL. */
function url(server, path = '') {
  const { port } = (server._server || server).address();
  return `ws://127.0.0.1:${port}${path}`;
}

/** Starts a `WebSocket.Server` of its own port; resolves when it listens. */
async function listen(options) {
  const wss = new WebSocket.Server(
    Object.assign({ host: '127.0.0.1', port: 0 }, options),
  );
  await once(wss._server, 'listening');
  return wss;
}

/** Closes a `WebSocket.Server` and waits for its port and its clients to be gone. */
function close(wss) {
  return new Promise((resolve, reject) => {
    wss.close((error) => (error ? reject(error) : resolve()));
  });
}

/** Starts an HTTP server, or any `net.Server`; resolves when it listens. */
async function listenHttp(server = http.createServer()) {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

/** Closes an HTTP server and every connection that it still has. */
function closeHttp(server) {
  return new Promise((resolve) => {
    server.close(() => resolve());
    if (server.closeAllConnections) server.closeAllConnections();
  });
}

/** A client of `wss` and its counterpart on the server, both open. */
async function pair(wss, clientOptions) {
  const connected = once(wss, 'connection');
  const client = new WebSocket(url(wss), clientOptions);
  const opened = once(client, 'open');
  const [server] = await connected;
  await opened;
  return { client, server };
}

/** The arguments of the next `count` events of this name. */
function collect(emitter, event, count) {
  return new Promise((resolve) => {
    const seen = [];
    emitter.on(event, function listener(...args) {
      seen.push(args);
      if (seen.length === count) {
        emitter.removeListener(event, listener);
        resolve(seen);
      }
    });
  });
}

/** The head of an opening handshake, to be written to a bare socket. */
function request(headers = {}) {
  const fields = Object.assign(
    {
      Host: '127.0.0.1',
      Upgrade: 'websocket',
      Connection: 'Upgrade',
      'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
      'Sec-WebSocket-Version': '13',
    },
    headers,
  );
  const lines = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}: ${value}\r\n`);
  return `GET / HTTP/1.1\r\n${lines.join('')}\r\n`;
}

/** Everything that a bare socket sends until its end, for `data` written to it. */
function exchange(server, data) {
  return new Promise((resolve, reject) => {
    const { port } = (server._server || server).address();
    const socket = net.connect(port, '127.0.0.1', () => socket.write(data));
    const chunks = [];
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('error', reject);
    socket.on('end', () => {
      socket.destroy();
      resolve(Buffer.concat(chunks));
    });
  });
}

module.exports = {
  close,
  closeHttp,
  collect,
  exchange,
  listen,
  listenHttp,
  pair,
  request,
  url,
};
