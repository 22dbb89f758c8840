'use strict';

// wss: – a WebSocket server on an HTTPS server, and clients that verify its
// certificate.

const fs = require('fs');
const https = require('https');
const path = require('path');

const WebSocket = require('..'); // in your app: require('oxws')

const read = (name) =>
  fs.readFileSync(path.join(__dirname, '../demo/certificate', name));

const cert = read('cert.pem');
const server = https.createServer({ cert, key: read('key.pem') });
const wss = new WebSocket.Server({ server });

wss.on('connection', (ws) => {
  const { encrypted } = ws.upgradeReq.socket;
  ws.send(`hello over ${encrypted ? 'TLS' : 'plain TCP'}`);
});

server.listen(process.env.PORT || 0, '127.0.0.1', () => {
  const address = `wss://127.0.0.1:${server.address().port}/`;

  // The certificate is not signed by a trusted authority …
  const stranger = new WebSocket(address);

  stranger.on('error', (err) => {
    console.log(`without ca: ${err.code}`);

    // … so the client needs the option `ca` to trust it.
    const ws = new WebSocket(address, { ca: [cert] });

    ws.on('message', (data) => {
      console.log(`with ca: ${data}`);
      ws.close();
    });
    ws.on('close', () => server.close(() => console.log('done')));
  });
});
