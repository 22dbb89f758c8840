'use strict';

const assert = require('node:assert/strict');
const { once } = require('events');
const http = require('http');
const net = require('net');

const apis = require('./apis');
const { BINARY, CLOSE, DEFLATE, PING, SIDES, TEXT } = require('../ws8/support');
const { accepting, close, closePayload, closing } = require('../ws8/support');
const { collect, deflated, each, exchange, frame } = require('../ws8/support');
const { ignore, ledger, listenHttp, portOf } = require('../ws8/support');
const { recorded, request, turn, url } = require('../ws8/support');

const EVENTS = ['message', 'ping', 'pong', 'error', 'close'];

/** Frames that a peer must not send: name, frames, and the close code of the answer. */
const VIOLATIONS = [
  ['RSV1', [[TEXT, 'x', { rsv: 4 }]], 1002],
  ['RSV2', [[TEXT, 'x', { rsv: 2 }]], 1002],
  ['RSV3', [[TEXT, 'x', { rsv: 1 }]], 1002],
  ['an opcode that there is not', [[3]], 1002],
  ['a fragment of nothing', [[0, 'x']], 1002],
  [
    'a message within a message',
    [
      [TEXT, 'x', { fin: false }],
      [TEXT, 'y'],
    ],
    1002,
  ],
  ['a fragment of a ping', [[PING, '', { fin: false }]], 1002],
  ['a ping of 126 bytes', [[PING, 'x'.repeat(126)]], 1002],
  ['a close frame of one byte', [[CLOSE, 'x']], 1002],
  ['a close code that there is not', [[CLOSE, closePayload(1005)]], 1002],
  ['bad UTF-8', [[TEXT, [0xff]]], 1007],
  ['more than maxPayload', [[BINARY, 'x'.repeat(1001)]], 1009],
  [
    'fragments of more than maxPayload',
    [
      [BINARY, 'x'.repeat(1000), { fin: false }],
      [0, 'x'],
    ],
    1009,
  ],
];

// A raw peer ends its socket after its close frame, because a client of the API of 2016
// waits for the server to do so.

for (const api of apis) {
  const { onMessage, requestOf, extensionsOf } = api;

  describe(`${api.name}: the end`, () => {
    const { bare, pair, settle } = ledger(api.WebSocket);

    const both = async (...options) => {
      const ends = await pair(...options);
      const closed = [ends.client, ends.server].map(closing);
      return { ...ends, closed: Promise.all(closed) };
    };

    for (const side of SIDES) {
      it(`of the ${side} has a code and a reason`, () =>
        each(
          [[1000], [1001, 'why'], [1011, '\u20ac'], [3000], [4999, 'x']],
          async (code, reason = '') => {
            const { [side]: ws, closed } = await both();
            ws.close(code, reason);
            assert.deepEqual(await closed, [
              [code, reason],
              [code, reason],
            ]);
          },
        ));

      it(`of the ${side}'s peer is 1006 without a close frame`, async () => {
        for (const leave of ['end', 'resetAndDestroy']) {
          const { ws, socket } = await bare(side);
          const closed = closing(ws);
          socket[leave]();
          assert.deepEqual(await closed, [1006, '']);
        }
      });

      it(`of the ${side} with terminate() is 1006 for its peer`, async () => {
        const { [side]: ws, client, server } = await pair();
        const peer = ws === client ? server : client;
        const closed = closing(peer);
        ws.terminate();
        assert.deepEqual(await closed, [1006, '']);
      });

      it(`of the ${side} is one 'close' event, the last one, in the state CLOSED`, () =>
        each(
          [
            ['close', ({ ws }) => ws.close(1000)],
            ['terminate', ({ ws }) => ws.terminate()],
            [
              'a close frame',
              ({ send, socket }) => {
                send(CLOSE, closePayload(1000));
                socket.end();
              },
            ],
            ['a violation', ({ send }) => send(15)],
            ['the end', ({ socket }) => socket.end()],
            ['a reset', ({ socket }) => socket.resetAndDestroy()],
          ],
          async (name, run) => {
            const peer = await bare(side, { closeTimeout: 20 });
            const { ws, send, socket, wire } = peer;
            send(TEXT, 'text');
            await once(ws, 'message');
            const events = recorded(ws, ...EVENTS);
            const closed = new Promise((resolve) => {
              ws.on('close', () => resolve(ws.readyState));
            });
            run(peer);
            if (name === 'close') {
              const { payload } = await wire.frame();
              send(CLOSE, payload);
              socket.end();
            }
            assert.equal(await closed, api.WebSocket.CLOSED);
            await settle();
            const isError = name === 'a violation';
            assert.deepEqual(events, isError ? ['error', 'close'] : ['close']);
          },
        ));

      it(`of the ${side} comes after the received messages`, async () => {
        const { ws, frame: make, socket } = await bare(side);
        const events = recorded(ws, ...EVENTS);
        const closed = closing(ws);
        socket.end(Buffer.concat([make(TEXT, 'a'), make(PING), make(TEXT)]));
        await closed;
        assert.deepEqual(events, ['message', 'ping', 'message', 'close']);
      });

      it(`of the ${side} ignores the frames after a close frame`, async () => {
        const { ws, sendAll, socket } = await bare(side);
        const events = recorded(ws, ...EVENTS);
        const closed = closing(ws);
        sendAll([CLOSE, closePayload(1000)], [TEXT, 'late'], [15]);
        socket.end();
        assert.deepEqual(await closed, [1000, '']);
        assert.deepEqual(events, ['close']);
      });

      it(`of the ${side} sends one close frame`, async () => {
        const { ws, send, socket, wire } = await bare(side);
        ws.close(1000, 'first');
        ws.close(1001, 'second');
        const { payload } = await wire.frame();
        assert.deepEqual(payload, closePayload(1000, 'first'));
        send(CLOSE, payload);
        socket.end();
        assert.deepEqual(await wire.rest(), []);
      });
    }

    it('may be started by both ends at once', async () => {
      const { client, server, closed } = await both();
      client.close(1000, 'same');
      server.close(1000, 'same');
      assert.deepEqual(await closed, [
        [1000, 'same'],
        [1000, 'same'],
      ]);
    });

    it('makes send() call back with an error, once', async () => {
      const { client, closed } = await both();
      client.close(1000);
      await closed;
      const called = [];
      client.send('text', (error) => called.push(error));
      await turn();
      assert.equal(called.length, 1);
      assert.ok(called[0] instanceof Error);
    });

    it('may be started in the first listener', async () => {
      const { ws, sendAll } = await bare('server');
      const closed = closing(ws);
      ws.on('message', () => ws.close(1000));
      sendAll([TEXT, 'a'], [CLOSE, closePayload(1000)]);
      assert.deepEqual(await closed, [1000, '']);
    });
  });

  describe(`${api.name}: a violation`, () => {
    const { bare } = ledger(api.WebSocket);

    for (const [name, frames, closeCode] of VIOLATIONS) {
      it(`by ${name} is answered with ${closeCode}`, () =>
        each([['server'], ['client']], async (side) => {
          const peer = await bare(side, { maxPayload: 1000 });
          const { ws, sendAll, wire } = peer;
          const events = recorded(ws, ...EVENTS);
          const failed = collect(ws, 'error', 1);
          const closed = collect(ws, 'close', 1);
          sendAll(...frames, [TEXT, 'behind']);
          assert.ok((await failed)[0][0] instanceof Error);
          const [first, ...rest] = await wire.rest();
          assert.equal(first.opcode, CLOSE);
          assert.equal(first.payload.readUInt16BE(0), closeCode);
          assert.deepEqual(rest, []);
          await closed;
          assert.deepEqual(events, ['error', 'close']);
        }));
    }

    it('by a message that is too long when inflated is answered with 1009', () =>
      each([['server'], ['client']], async (side) => {
        const options = { maxPayload: 1000, perMessageDeflate: true };
        const extensions = DEFLATE;
        const peer = await bare(side, options, { extensions });
        const { ws, send, wire } = peer;
        ws.on('error', ignore);
        send(BINARY, deflated(Buffer.alloc(100000)), { rsv: 4 });
        const { payload } = await wire.frame();
        assert.equal(payload.readUInt16BE(0), 1009);
      }));
  });

  describe(`${api.name}: the handshake`, () => {
    const { answering, join, pair, serve, track } = ledger(api.WebSocket);
    const { WebSocket } = api;

    it('gives the server the request', async () => {
      const wss = await serve();
      const options = { headers: { 'X-Own': 'yes' }, origin: 'https://a.b' };
      const connected = once(wss, 'connection');
      track(new WebSocket(url(wss, '/a?b=c'), options));
      const [ws, given] = await connected;
      const req = requestOf(ws, given);
      assert.equal(req.url, '/a?b=c');
      assert.equal(req.headers['x-own'], 'yes');
      assert.equal(req.headers.origin, 'https://a.b');
    });

    it('agrees on the first subprotocol', async () => {
      const { client, server } = await join(await serve(), {}, ['a', 'b']);
      assert.equal(client.protocol, 'a');
      assert.equal(server.protocol, 'a');
    });

    for (const [own, other, expected] of [
      [true, true, [DEFLATE]],
      [true, false, []],
      [false, true, []],
      [{ serverNoContextTakeover: true }, true, [DEFLATE]],
    ]) {
      const text = `${JSON.stringify(own)} and ${other}`;
      it(`negotiates permessage-deflate with the options ${text}`, async () => {
        const { client, server } = await pair(
          { perMessageDeflate: own },
          { perMessageDeflate: other },
        );
        assert.deepEqual(extensionsOf(client), expected);
        assert.deepEqual(extensionsOf(server), expected);
        const received = new Promise((resolve) => onMessage(client, resolve));
        server.send('text'.repeat(1000));
        assert.equal(String(await received), 'text'.repeat(1000));
      });
    }

    for (const [name, options, status] of [
      ['verifyClient', { verifyClient: () => false }, 401],
      [
        'the callback of verifyClient',
        { verifyClient: (info, callback) => callback(false, 403) },
        403,
      ],
      ['path', { path: '/other' }, 400],
    ]) {
      it(`is refused with ${status} by ${name}`, async () => {
        const wss = await serve(options);
        const connections = recorded(wss, 'connection');
        const { line } = await exchange(wss, request());
        assert.match(line, new RegExp(`^HTTP/1\\.1 ${status} `));
        const ws = track(new WebSocket(url(wss)));
        ws.on('error', ignore);
        const [, res] = await once(ws, 'unexpected-response');
        assert.equal(res.statusCode, status);
        assert.deepEqual(connections, []);
      });
    }

    it('fails on a wrong accept key', async () => {
      const server = await answering((head) =>
        accepting(head, { 'Sec-WebSocket-Accept': 'wrong' }),
      );
      const ws = track(new WebSocket(url(server)));
      const events = recorded(ws, 'open', 'error');
      await once(ws, 'error');
      assert.deepEqual(events, ['error']);
    });

    it('fails on a port where nobody listens', async () => {
      const server = await listenHttp(net.createServer());
      const address = url(server);
      await close(server);
      const ws = track(new WebSocket(address));
      assert.equal((await once(ws, 'error'))[0].code, 'ECONNREFUSED');
    });

    it('may be followed by frames in the same chunk, for the server', async () => {
      const wss = await serve();
      const received = new Promise((resolve) => {
        wss.on('connection', (ws) => onMessage(ws, resolve));
      });
      const socket = track(net.connect(portOf(wss), '127.0.0.1'));
      socket.write(Buffer.concat([Buffer.from(request()), frame(TEXT, 'x')]));
      assert.equal(String(await received), 'x');
    });

    it('may be followed by frames in the same chunk, for the client', async () => {
      const server = await answering((head) => {
        const bytes = frame(TEXT, 'x', { key: null });
        return Buffer.concat([Buffer.from(accepting(head)), bytes]);
      });
      const ws = track(new WebSocket(url(server)));
      assert.equal(
        String(await new Promise((resolve) => onMessage(ws, resolve))),
        'x',
      );
    });
  });

  describe(`${api.name}: a server`, () => {
    const { join, pair, serve, track } = ledger(api.WebSocket);
    const { WebSocket } = api;

    it('frees its port', async () => {
      const { client, server, wss } = await pair();
      const port = portOf(wss);
      const closed = [closing(client), closing(server)];
      client.close(1000);
      await Promise.all(closed);
      await close(wss);
      const again = await serve({ port });
      await join(again);
    });

    it('knows its clients', async () => {
      const { client, server, wss } = await pair();
      const second = (await join(wss)).server;
      assert.deepEqual([...wss.clients], [server, second]);
      const closed = closing(server);
      client.close(1000);
      await closed;
      assert.deepEqual([...wss.clients], [second]);
    });

    it("emits 'connection' once for each connection", async () => {
      const wss = await serve();
      const connections = recorded(wss, 'connection');
      for (let i = 0; i < 5; i++) await join(wss);
      assert.equal(connections.length, 5);
    });

    it('works on a given HTTP server', async () => {
      const server = http.createServer((req, res) => res.end('mine'));
      const wss = track(new WebSocket.Server({ server: track(server) }));
      await listenHttp(server);
      const plain = { Upgrade: undefined, Connection: 'close' };
      assert.equal((await exchange(server, request(plain))).body, 'mine');
      const connected = once(wss, 'connection');
      await once(track(new WebSocket(url(server))), 'open');
      await connected;
    });

    it('accepts upgrades by handleUpgrade()', async () => {
      const server = track(await listenHttp());
      const wss = track(new WebSocket.Server({ noServer: true }));
      server.on('upgrade', (req, socket, head) => {
        wss.handleUpgrade(req, socket, head, (ws) => ws.send('welcome'));
      });
      const ws = track(new WebSocket(url(server)));
      assert.equal(
        String(await new Promise((resolve) => onMessage(ws, resolve))),
        'welcome',
      );
    });

    api.beyondWs('diagnostics()', () => {
      it('describes how a connection is carried until it is closed', async () => {
        const { client, server } = await pair();
        for (const ws of [client, server]) {
          const { connections, transport } = WebSocket.diagnostics(ws);
          assert.equal(connections, 1);
          assert.ok(['native', 'stream'].includes(transport), transport);
        }
        const closed = [closing(client), closing(server)];
        client.close();
        await Promise.all(closed);
        for (const ws of [client, server]) {
          assert.deepEqual(WebSocket.diagnostics(ws), {
            transport: null,
            host: null,
            listener: null,
            connections: 0,
            queuedBytes: 0,
          });
        }
      });
    });

    it('may send to all clients', async () => {
      const wss = await serve();
      const clients = [];
      for (let i = 0; i < 10; i++) clients.push((await join(wss)).client);
      const received = clients.map(
        (ws) => new Promise((resolve) => onMessage(ws, resolve)),
      );
      for (const ws of wss.clients) ws.send('to all');
      assert.deepEqual(
        (await Promise.all(received)).map(String),
        Array(10).fill('to all'),
      );
    });
  });
}
