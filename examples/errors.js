'use strict';

// Errors and how a program gets to know of them: a handshake refused by the server,
// a response other than 101, a violation of the protocol, close codes, sending after
// the close, and a refused connection.

const { once } = require('events');
const http = require('http');
const net = require('net');

const WebSocket = require('..'); // in your app: require('oxws')

const server = http.createServer();
const wss = new WebSocket.Server({
  server,
  verifyClient: ({ req }) => req.headers.authorization === 'Bearer sesame',
});
const headers = { authorization: 'Bearer sesame' };

wss.on('connection', (ws) => {
  // Emitted for an invalid frame.
  ws.on('error', (err) => console.log(`  server: error: ${err.message}`));
  ws.on('message', () => ws.close(4001, 'I have heard enough'));
});

server.listen(process.env.PORT || 0, '127.0.0.1', async () => {
  const { port } = server.address();
  const address = `ws://127.0.0.1:${port}/`;

  console.log('Not authorized');
  await unauthorized(address);

  console.log('Not authorized, with a look at the answer');
  await unexpectedResponse(address);

  console.log('An invalid frame');
  await invalidFrame(port);

  console.log('A close code of the application');
  await closeCode(address);

  console.log('Connection refused');
  server.close(async () => {
    await refused(address);
    console.log('done');
  });
});

async function unauthorized(address) {
  const [err] = await once(new WebSocket(address), 'error');
  console.log(`  client: ${err.message}`);
}

async function unexpectedResponse(address) {
  const ws = new WebSocket(address);
  const [req, res] = await once(ws, 'unexpected-response');

  // With a listener for this event, no 'error' is emitted, and the program has to
  // end the request.
  console.log(`  client: status ${res.statusCode} ${res.statusMessage}`);
  req.abort();
}

// A WebSocket client does not send invalid frames, so this uses a net.Socket.
async function invalidFrame(port) {
  const socket = net.connect(port, '127.0.0.1');

  socket.write(
    'GET / HTTP/1.1\r\n' +
      'Host: localhost\r\n' +
      'Connection: Upgrade\r\n' +
      'Upgrade: websocket\r\n' +
      'Sec-WebSocket-Version: 13\r\n' +
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n' +
      `Authorization: ${headers.authorization}\r\n` +
      '\r\n',
  );
  await once(socket, 'data');

  // A frame with all reserved bits set, and a masking key of zeros.
  socket.write(Buffer.from([0xf1, 0x80, 0, 0, 0, 0]));

  // The response is a close frame: 0x88, the length, the close code.
  const [frame] = await once(socket, 'data');
  console.log(`  peer: closed with ${frame.readUInt16BE(2)}`);
  socket.end();
  await once(socket, 'close');
}

async function closeCode(address) {
  const ws = new WebSocket(address, { headers });

  ws.on('open', () => ws.send('hello'));
  const [code, reason] = await once(ws, 'close');
  console.log(`  client: closed with ${code} "${reason}"`);

  ws.send('too late', (err) => console.log(`  client: ${err.message}`));
}

async function refused(address) {
  const [err] = await once(new WebSocket(address), 'error');
  console.log(`  client: ${err.code}`);
}
