'use strict';

// Sends a large file in many messages to a client that reads slowly. The server waits for
// 'drain' whenever `writableNeedDrain` is true, so little of the file is in memory.

const { once } = require('events');
const fs = require('fs');
const os = require('os');
const path = require('path');

// In your app: require('oxws/ws8')
const { WebSocket, WebSocketServer } = require('../ws8');

const SIZE = 16 * 1024 * 1024;

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'oxws-'));
const file = path.join(folder, 'file');
fs.writeFileSync(file, Buffer.alloc(SIZE));

const wss = new WebSocketServer({
  host: '127.0.0.1',
  port: process.env.PORT || 0,
  highWaterMark: 256 * 1024,
});

wss.on('connection', async (ws) => {
  ws.on('error', console.error);
  const { most, waits } = await sendFile(ws, file);
  console.log(`server: waited ${waits > 0 ? 'for the client' : 'never'}`);
  console.log(`server: bounded: ${most < 512 * 1024}`);
  ws.close();
});

/** Sends a file. Rejects if the connection ends first. */
async function sendFile(ws, name) {
  const closed = new AbortController();
  ws.on('close', () => closed.abort());
  let most = 0;
  let waits = 0;
  for await (const piece of fs.createReadStream(name)) {
    closed.signal.throwIfAborted();
    ws.send(piece);
    most = Math.max(most, ws.bufferedAmount);
    if (!ws.writableNeedDrain) continue;
    waits++;
    await once(ws, 'drain', { signal: closed.signal });
  }
  return { most, waits };
}

wss.on('listening', () => {
  const ws = new WebSocket(`ws://127.0.0.1:${wss.address().port}`);
  let received = 0;

  ws.on('error', console.error);
  ws.on('message', (data) => {
    received += data.length;
    // A slow reader: it rests after each message.
    ws.pause();
    setTimeout(() => ws.resume(), 1);
  });
  ws.on('close', () => {
    console.log(`client: received all: ${received === SIZE}`);
    fs.unlinkSync(file);
    fs.rmdirSync(folder);
    wss.close(() => console.log('done'));
  });
});
