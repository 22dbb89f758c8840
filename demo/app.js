'use strict';

// The demo's HTTP(S) server with the page, and the WebSocket server on it:
// `/stats` is the live view's feed, `/echo` sends back what it receives.

const http = require('http');
const https = require('https');

const WebSocket = require('..'); // in your app: require('oxws')

const { servePage } = require('./files');
const { Stats } = require('./stats');

const HOST = '127.0.0.1';
const MAX_PAYLOAD = 64 * 1024 * 1024;
const CLOSE_TIMEOUT = 1000;

/**
 * Starts the demo.
 *
 * @param {{ port: number, tls?: { key: Buffer, cert: Buffer } }} options
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
    // A broken connection is no reason to end the demo; 'close' follows.
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
    // Peers that do not answer the close frame are not waited for.
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
