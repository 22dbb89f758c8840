'use strict';

// Sends a file as one message without reading the whole file into memory: stream()
// calls back for the next part after each part.

const { createHash, randomBytes } = require('crypto');
const fs = require('fs');
const http = require('http');
const os = require('os');
const path = require('path');

const WebSocket = require('..'); // in your app: require('oxws')

const PART = 64 * 1024;

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'oxws-'));
const file = path.join(folder, 'file');
const content = randomBytes(1024 * 1024 + 1);
fs.writeFileSync(file, content);

const server = http.createServer();
const wss = new WebSocket.Server({ server });

wss.on('connection', (ws) => {
  ws.on('message', (data, flags) => {
    console.log(
      `server: received ${data.length} bytes, sha256 ${digest(data)}`,
    );
    console.log(`server: binary: ${flags.binary}`);
    ws.close();
  });
});

server.listen(process.env.PORT || 0, '127.0.0.1', () => {
  const ws = new WebSocket(`ws://127.0.0.1:${server.address().port}/`);

  ws.on('open', () => {
    console.log(
      `client: sends ${content.length} bytes, sha256 ${digest(content)}`,
    );
    streamFile(ws, file);
  });
  ws.on('close', () => {
    fs.unlinkSync(file);
    fs.rmdirSync(folder);
    server.close(() => console.log('done'));
  });
});

function streamFile(ws, name) {
  const fd = fs.openSync(name, 'r');
  let left = fs.fstatSync(fd).size;

  ws.on('close', () => fs.closeSync(fd));

  ws.stream({ binary: true }, (err, send) => {
    if (err) return ws.terminate();

    const part = Buffer.allocUnsafe(Math.min(PART, left));
    fs.read(fd, part, 0, part.length, null, (err, length) => {
      if (err) return ws.terminate();
      left -= length;
      send(part.slice(0, length), left === 0);
    });
  });
}

function digest(data) {
  return `${createHash('sha256').update(data).digest('hex').slice(0, 12)}…`;
}
