'use strict';

// A server on uWebSockets.js: `node uws.js OPTIONS`. Prints its port.

const uws = require('@based/uws');

const { mode, deflate, key, cert } = JSON.parse(process.argv[2]);

const CONFIRMED = 100;
const ALL = 'all';

/** A published message is always framed once. */
const isPublished = mode === 'broadcast' || mode === 'prepared';

const app = cert
  ? uws.SSLApp({ key_file_name: key, cert_file_name: cert })
  : uws.App();

const compressions = {
  takeover: uws.DEDICATED_COMPRESSOR_256KB | uws.DEDICATED_DECOMPRESSOR,
  'no-takeover': uws.SHARED_COMPRESSOR | uws.SHARED_DECOMPRESSOR,
};

const modes = {
  echo: (ws, data, isBinary) => ws.send(data, isBinary, !!deflate),

  broadcast: (ws, data, isBinary) =>
    app.publish(ALL, data, isBinary, !!deflate),

  'fan-in': (ws) => {
    const user = ws.getUserData();
    user.count = (user.count || 0) + 1;
    if (user.count % CONFIRMED === 0) ws.send(String(CONFIRMED));
  },

  handshakes: () => {},

  idle: (ws, data, isBinary) => {
    if (Buffer.from(data).toString() === 'collect garbage') global.gc();
    ws.send(data, isBinary, !!deflate);
  },
};

app
  .ws('/*', {
    compression: deflate ? compressions[deflate] : uws.DISABLED,
    maxPayloadLength: 64 << 20,
    maxBackpressure: 256 << 20,
    idleTimeout: 0,
    open: (ws) => {
      if (isPublished) ws.subscribe(ALL);
    },
    message: modes[isPublished ? 'broadcast' : mode],
  })
  .listen('127.0.0.1', 0, (socket) => {
    console.log(uws.us_socket_local_port(socket));
  });
