'use strict';

// A server that returns the bytes that it receives over TLS, without frames:
// `node tls.js OPTIONS`. Only the opening handshake is answered as a WebSocket server does.
// Prints its port.

const { createHash } = require('crypto');
const fs = require('fs');
const tls = require('tls');

const { key, cert } = JSON.parse(process.argv[2]);

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** Returns the response to an opening handshake. */
function answer(request) {
  const [, nonce] = /Sec-WebSocket-Key: (.*)\r\n/.exec(request);
  const accept = createHash('sha1')
    .update(nonce + GUID)
    .digest('base64');
  return [
    'HTTP/1.1 101 Switching Protocols',
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Accept: ${accept}`,
    '\r\n',
  ].join('\r\n');
}

const credentials = { key: fs.readFileSync(key), cert: fs.readFileSync(cert) };
const server = tls.createServer(credentials, (socket) => {
  socket.setNoDelay();
  socket.on('error', () => {});
  socket.once('data', (request) => {
    socket.write(answer(request));
    socket.on('data', (bytes) => socket.write(bytes));
  });
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
