/* global Bun */
'use strict';

// A server on Bun: `bun bun.js OPTIONS`. Prints its port.

const { mode, deflate, key, cert } = JSON.parse(process.argv[2]);

const CONFIRMED = 100;
const ALL = 'all';

const compressions = {
  takeover: { compress: '256KB', decompress: 'dedicated' },
  'no-takeover': { compress: 'shared', decompress: 'shared' },
};

const modes = {
  echo: (ws, data) => ws.send(data, !!deflate),

  broadcast: (ws, data) => server.publish(ALL, data, !!deflate),

  'fan-in': (ws) => {
    ws.data.count++;
    if (ws.data.count % CONFIRMED === 0) ws.send(String(CONFIRMED));
  },

  handshakes: () => {},

  idle: (ws, data) => {
    if (String(data) === 'collect garbage') Bun.gc(true);
    ws.send(data, !!deflate);
  },
};

/** A published message is always framed once. */
const isPublished = mode === 'broadcast' || mode === 'prepared';

const server = Bun.serve({
  hostname: '127.0.0.1',
  port: 0,
  tls: cert ? { key: Bun.file(key), cert: Bun.file(cert) } : undefined,
  fetch(request, self) {
    if (self.upgrade(request, { data: { count: 0 } })) return undefined;
    return new Response('', { status: 426 });
  },
  websocket: {
    perMessageDeflate: deflate ? compressions[deflate] : false,
    maxPayloadLength: 64 << 20,
    backpressureLimit: 256 << 20,
    idleTimeout: 0,
    open: (ws) => {
      if (isPublished) ws.subscribe(ALL);
    },
    message: modes[isPublished ? 'broadcast' : mode],
  },
});

console.log(server.port);
