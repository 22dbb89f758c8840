'use strict';

// The demo's HTTP or HTTPS server, which serves the page, and its WebSocket server:
// `/stats` sends the data of the live view, `/echo` sends back each message.

const http = require('http');
const https = require('https');

const WebSocket = require('..'); // in your app: require('oxws')

const { servePage } = require('./files');
const { Stats } = require('./stats');

const HOST = '127.0.0.1';
const MAX_PAYLOAD = 64 * 1024 * 1024; // in bytes
const CLOSE_TIMEOUT = 1000; // in milliseconds

/**
 * Starts the demo on 127.0.0.1.
 *
 * @param {{ port: number, tls?: { key: Buffer, cert: Buffer } }} options `port` 0 is for a
 *   free port; with `tls`, the demo uses https: and wss:
 * @return {Promise<{ url: string, close: function(): Promise }>}
 */
async function createApp({ port, tls }) {
  const server = tls
    ? https.createServer(tls, servePage)
    : http.createServer(servePage);

  await listen(server, port);

  const stats = new Stats({ maxPayload: MAX_PAYLOAD });
  const paths = new Map([
    ['/stats', feed],
    ['/echo', echo],
  ]);
  const wss = new WebSocket.Server({
    server,
    maxPayload: MAX_PAYLOAD,
    verifyClient({ req }, done) {
      done(paths.has(pathOf(req)), 404, 'No such feed');
    },
  });

  wss.on('connection', (ws) => {
    stats.connections++;
    ws.on('close', () => stats.connections--);
    // 'close' follows, so there is nothing to do for an error.
    ws.on('error', () => {});
    paths.get(pathOf(ws.upgradeReq))(ws);
  });

  function feed(ws) {
    const send = (message) => {
      if (ws.readyState !== WebSocket.OPEN) return;
      const text = JSON.stringify(message);
      stats.sent(text);
      ws.send(text);
    };

    send(stats.hello());
    stats.on('sample', send);
    ws.on('close', () => stats.removeListener('sample', send));
  }

  function echo(ws) {
    ws.on('message', (data, flags) => {
      stats.received(data);
      if (ws.readyState !== WebSocket.OPEN) return;
      stats.sent(data);
      ws.send(data, { binary: flags.binary });
    });
  }

  async function close() {
    const closed = new Promise((resolve) => server.close(resolve));

    stats.stop();
    wss.clients.forEach((ws) => ws.close(1001, 'the server is stopping'));
    // Do not wait for clients that do not answer the close frame.
    await Promise.race([closed, delay(CLOSE_TIMEOUT)]);
    wss.close();
    if (server.closeAllConnections) server.closeAllConnections();
  }

  const protocol = tls ? 'https' : 'http';

  return { url: `${protocol}://${HOST}:${server.address().port}/`, close };
}

function pathOf(req) {
  return req.url.split('?', 1)[0];
}

function listen(server, port) {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, HOST, () => {
      server.removeListener('error', reject);
      resolve();
    });
  });
}

function delay(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}

module.exports = { createApp };
