// Compiled, never run: each item of the API as a user writes it, and what the types
// must refuse.

import { createServer, Agent, IncomingMessage } from 'http';
import { Socket } from 'net';
import { Duplex } from 'stream';

import WebSocket = require('../../..');

const wss = new WebSocket.Server(
  {
    host: '127.0.0.1',
    port: 0,
    reusePort: true,
    path: '/chat',
    clientTracking: true,
    maxPayload: 1024,
    highWaterMark: 1024,
    handleProtocols: (protocols: string[]) => protocols[0] ?? false,
    verifyClient(info, cb) {
      const origin: string | undefined = info.origin;
      cb(info.secure && origin !== undefined, 403, 'no');
    },
    perMessageDeflate: {
      serverNoContextTakeover: true,
      clientNoContextTakeover: false,
      serverMaxWindowBits: 10,
      clientMaxWindowBits: true,
      memLevel: 7,
      memoryBudget: 1 << 20,
      level: 1,
      threshold: 0,
    },
  },
  () => {},
);
new WebSocket.Server({ server: createServer(), verifyClient: () => true });
new WebSocket.Server({ noServer: true, perMessageDeflate: false });

wss.on('connection', (ws) => {
  const request: IncomingMessage = ws.upgradeReq;
  ws.upgradeReq = request;
  const state: 0 | 1 | 2 | 3 = ws.readyState;
  if (state !== WebSocket.OPEN && state !== ws.CLOSED) return;
  ws.send('text');
  ws.send(new Uint8Array(3), { binary: true, compress: false, mask: true });
  ws.send(new ArrayBuffer(3), { fin: false }, (error) => error?.message);
  ws.send('text', (error) => error?.message);
  ws.send();
  ws.ping('data', { mask: false }, true);
  ws.pong();
  ws.pause();
  ws.resume();
  ws.stream({ binary: true }, (error, send) => {
    if (!error) send(Buffer.alloc(3), true);
  });
  ws.stream((error, send) => send('text'));
  ws.close(1000, 'reason');
  ws.terminate();
  ws.once('drain', () => ws.writableNeedDrain === false);
  const amount: number = ws.bufferedAmount + ws.bytesReceived;
  return amount;
});
wss.on('headers', (headers) => headers.push('X-A: b'));
wss.on('error', (error) => error.message);
wss.on('connection/chat', () => {});
wss.handleUpgrade(
  new IncomingMessage(new Socket()),
  new Duplex(),
  Buffer.alloc(0),
  (client) => client.close(),
);
wss.close((error) => error?.message);
for (const client of wss.clients) client.send('all');

const ws = new WebSocket('wss://localhost', ['a', 'b'], {
  agent: new Agent(),
  headers: { cookie: 'a=b' },
  protocolVersion: 8,
  protocol: 'a',
  host: 'example.com',
  origin: 'http://example.com',
  pfx: Buffer.alloc(0),
  key: 'key',
  passphrase: 'secret',
  cert: 'cert',
  ca: ['ca'],
  ciphers: 'ALL',
  rejectUnauthorized: false,
  perMessageDeflate: true,
  localAddress: '127.0.0.1',
  highWaterMark: 0,
});
new WebSocket('ws://localhost', 'protocol');
new WebSocket('ws://localhost', { perMessageDeflate: false });
new WebSocket([
  new IncomingMessage(new Socket()),
  new Socket(),
  Buffer.alloc(0),
]);

ws.on('open', () => {});
ws.on('message', (data, flags) => {
  const text: string = flags.binary ? '' : data;
  return text;
});
ws.on('close', (code, message) => code.toFixed() + message.trim());
ws.on('ping', (data, flags) => data.length + Number(flags.binary));
ws.on('anything', (...args) => args);
ws.once('pong', (data) => data.length);
ws.onopen = ({ target }) => target.send('text');
ws.onmessage = ({ data, binary, type }) => [data, binary, type];
ws.onclose = ({ code, reason, wasClean }) => [code, reason, wasClean];
ws.onerror = ({ message, target }) => [message, target];
ws.onclose = null;
const listener = ({ data }: WebSocket.MessageEvent) => data;
ws.addEventListener('message', listener);
ws.removeEventListener('message', listener);
ws.binaryType = 'arraybuffer';
const url: string = ws.url;

const message = new WebSocket.PreparedMessage('text', { binary: true });
ws.send(message, (error) => error?.message);
const reached: number = new WebSocket.Server({ port: 0 }).broadcast(
  message,
  { filter: (client) => client.readyState === WebSocket.OPEN },
  (error, count) => [error, count],
);
const length: number = message.length + message.data.length + reached;

class Client extends WebSocket {
  constructor() {
    super(url);
  }
}
new Client().close();

const [frame] = WebSocket.Sender.frame(Buffer.alloc(1), { opcode: 2 });
const receiver = new WebSocket.Receiver();
receiver.onbinary = (data) => data.length;
receiver.add(frame!);

// @ts-expect-error no such binary type
ws.binaryType = 'blob';
// @ts-expect-error no such version
new WebSocket('ws://localhost', { protocolVersion: 7 });
// @ts-expect-error an address is needed
new WebSocket();
// @ts-expect-error options are needed
new WebSocket.Server();
// @ts-expect-error a callback is needed
ws.stream();
// @ts-expect-error an object is not data
new WebSocket.PreparedMessage({ length });
// @ts-expect-error functions cannot be sent
ws.send(() => {});
// @ts-expect-error a code is a number
ws.close('1000');
