'use strict';

// A server with the API of ws: `node ws.js MODULE OPTIONS`. Prints its port.

const fs = require('fs');
const http = require('http');
const https = require('https');

const { Sender, Server } = require(process.argv[2]);
const { mode, deflate, isStepwise, hasServer, key, cert } = JSON.parse(
  process.argv[3],
);

/**
 * The number of messages after which the server sends one message as a confirmation.
 */
const CONFIRMED = 100;

const options = {
  perMessageDeflate: deflate && { threshold: 0 },
  maxPayload: 64 << 20,
  allowSynchronousEvents: !isStepwise,
};

/** Returns the program's own HTTP server; null if ws is to create one. */
function createServer() {
  if (cert) {
    const credentials = {
      key: fs.readFileSync(key),
      cert: fs.readFileSync(cert),
    };
    return https.createServer(credentials);
  }
  return hasServer ? http.createServer() : null;
}

const server = createServer();
if (server) {
  const wss = new Server(Object.assign(options, { server }));
  listen(wss);
  server.listen(0, '127.0.0.1', () => console.log(server.address().port));
} else {
  const place = { host: '127.0.0.1', port: 0 };
  const wss = new Server(Object.assign(options, place), () => {
    // ws as of 2016 has no method `address`.
    console.log((wss._server || wss).address().port);
  });
  listen(wss);
}

function listen(wss) {
  // ws 8 passes each message as a Buffer, and `isBinary` as a second argument.
  const echo = (ws) => (data, isBinary) =>
    typeof isBinary === 'boolean'
      ? ws.send(data, { binary: isBinary })
      : ws.send(data);

  const modes = {
    echo,

    broadcast: () => (data, isBinary) => {
      if (typeof isBinary === 'boolean') {
        for (const client of wss.clients)
          client.send(data, { binary: isBinary });
      } else {
        wss.clients.forEach((client) => client.send(data));
      }
    },

    // Framed and compressed once, where there is a method for that.
    prepared: (ws) =>
      wss.broadcast
        ? (data, binary) =>
            wss.broadcast(data, typeof binary === 'boolean' ? { binary } : {})
        : modes.broadcast(ws),

    // As socket.io does: the message is framed once, and all clients get the same list.
    framed: () => (data, isBinary) => {
      const opcode = isBinary ? 2 : 1;
      const frame = { opcode, fin: true, mask: false, rsv1: false };
      const list = Sender.frame(
        data,
        Object.assign({ readOnly: false }, frame),
      );
      for (const client of wss.clients) client._sender.sendFrame(list);
    },

    'fan-in': (ws) => {
      let count = 0;
      return () => {
        count++;
        if (count % CONFIRMED === 0) ws.send(String(CONFIRMED));
      };
    },

    handshakes: echo,

    idle: (ws) => {
      const answer = echo(ws);
      return (data, isBinary) => {
        if (String(data) === 'collect garbage') global.gc();
        answer(data, isBinary);
      };
    },
  };
  wss.on('connection', (ws) => {
    ws.on('message', modes[mode](ws));
    ws.on('error', () => {});
  });
}
