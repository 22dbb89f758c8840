// Compiled, never run: the types of ws 8, and what only oxws has.

import { IncomingMessage } from 'http';
import ws8 = require('ws');

import WebSocket = require('../../../ws8');
import { ServerOptions, WebSocketServer } from '../../../ws8';

const options: ServerOptions = {
  perMessageDeflate: { memoryBudget: 1 << 20 },
  port: 0,
  reusePort: true,
  highWaterMark: 1024,
};
const wss = new WebSocketServer(options, () => {});
new WebSocket.Server({ noServer: true });
wss.on('connection', (ws, request: IncomingMessage) => {
  const state: boolean = ws.writableNeedDrain;
  ws.on('drain', () => state);
  ws.on('message', (data: WebSocket.RawData, isBinary) => {
    ws.send(data, { binary: isBinary }, (error) => error?.message);
  });
  return request.url;
});
for (const client of wss.clients) client.writableNeedDrain;

const ws = new WebSocket('ws://localhost', ['a'], {
  highWaterMark: 0,
  maxPayload: 1024,
});
new WebSocket('ws://localhost', { highWaterMark: 0 });
const named: WebSocket.WebSocket = ws;
WebSocket.createWebSocketStream(named).write('x');
// A library that takes a WebSocket of ws takes one of oxws.
const ofWs: ws8 = ws;
const anyServer: ws8.Server<typeof WebSocket> = wss;
ofWs.send(String(anyServer.address()));

const message = new WebSocket.PreparedMessage('text', { compress: false });
ws.send(message, (error) => error?.message);
const reached: number = wss.broadcast(
  message,
  { binary: true, filter: (client) => client.writableNeedDrain },
  (error, count) => [error, count],
);
wss.broadcast(new Uint8Array(reached));

const { host } = WebSocket.diagnostics(ws);
WebSocket.diagnostics().transport === 'native' && host === 'inline';

class Own extends WebSocket {}
new WebSocketServer({ port: 0, WebSocket: Own }).on('connection', (own) => {
  const made: Own = own;
  return made;
});

// @ts-expect-error A number is needed.
new WebSocketServer({ port: 0, highWaterMark: '1' });
// @ts-expect-error It cannot be set.
ws.writableNeedDrain = false;
// @ts-expect-error An object is not data.
new WebSocket.PreparedMessage({});
