'use strict';

// PreparedMessage and `broadcast`: a message that is framed and compressed once, and
// sent to many connections.

const assert = require('node:assert/strict');
const net = require('net');

const apis = require('./apis');
const { BINARY, DEFLATE, SIDES, TEXT, closing } = require('../ws8/support');
const { collect, each, ignore, inflated, ledger } = require('../ws8/support');
const { portOf, reader, request, turn, uncaught } = require('../ws8/support');

const MIB = 1 << 20;

/** Text that can be compressed, which differs from place to place. */
const textOf = (length) =>
  Array.from({ length: length >> 3 }, (_, i) =>
    `${(i * 7919) % 9973}`.padEnd(8, '.'),
  ).join('');

const memory = new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]).buffer;

/** Name, data, the bytes that arrive, and whether they are binary. */
const DATA = [
  ['a string', 'a\u00e4\u20ac\u{1f44b}', 'a\u00e4\u20ac\u{1f44b}', false],
  ['an empty string', '', '', false],
  ['a Buffer', Buffer.from('bytes'), 'bytes', true],
  ['an ArrayBuffer', memory, Buffer.from(memory), true],
  ['a view', new Uint16Array(memory, 2, 2), Buffer.from(memory, 2, 4), true],
  ['a long text', textOf(MIB), textOf(MIB), false],
  ['a long Buffer', Buffer.alloc(300000, 7), Buffer.alloc(300000, 7), true],
];

const WAYS = [
  ['plain', { perMessageDeflate: false }],
  ['compressed', { perMessageDeflate: { threshold: 0 } }],
  [
    'compressed without context takeover',
    {
      perMessageDeflate: {
        clientNoContextTakeover: true,
        serverNoContextTakeover: true,
        threshold: 0,
      },
    },
  ],
];

for (const api of apis) {
  const { WebSocket, onMessage } = api;
  const { PreparedMessage } = WebSocket;

  /** Resolves to the next `count` messages, each as `[bytes, isBinary]`. */
  const messages = (ws, count) =>
    new Promise((resolve) => {
      const seen = [];
      onMessage(ws, (...message) => {
        if (seen.push(message) === count) resolve(seen);
      });
    });

  api.beyondWs(`${api.name}: PreparedMessage`, () => {
    const { bare, pair, serve, track } = ledger(WebSocket);

    for (const [way, options] of WAYS) {
      it(`arrives as its data would: ${way}`, async () => {
        const { client, server } = await pair(options, options);
        for (const [from, to] of [
          [client, server],
          [server, client],
        ]) {
          const received = messages(to, 2 * DATA.length);
          for (const [, data] of DATA) {
            const message = new PreparedMessage(data);
            from.send(message);
            from.send(message);
          }
          const seen = await received;
          await each(DATA, (name, data, expected, isBinary) => {
            for (const [bytes, binary] of seen.splice(0, 2)) {
              assert.ok(bytes.equals(Buffer.from(expected)));
              assert.equal(binary, isBinary);
            }
          });
        }
      });

      it(`may be sent between other messages: ${way}`, async () => {
        const { client, server } = await pair(options, options);
        const own = (i) => `${i} ${textOf(800)}`;
        const prepared = [10, 900, 70000].map((size) => textOf(size));
        for (const [from, to] of [
          [client, server],
          [server, client],
        ]) {
          const received = messages(to, 60);
          const list = prepared.map((text) => new PreparedMessage(text));
          for (let i = 0; i < 60; i++) {
            if (i % 4 === 3) from.send(list[i % 3]);
            else from.send(own(i));
          }
          (await received).forEach(([data], i) => {
            const expected = i % 4 === 3 ? prepared[i % 3] : own(i);
            assert.equal(data.toString(), expected, `${i}`);
          });
        }
      });
    }

    for (const side of SIDES) {
      it(`has the frame that its data would have, on the ${side}`, async () => {
        const { wire, ws } = await bare(side);
        for (const [name, data] of DATA) {
          ws.send(data);
          ws.send(new PreparedMessage(data));
          const [own, prepared] = await wire.frames(2);
          for (const key of ['fin', 'rsv', 'opcode', 'masked', 'text']) {
            assert.equal(prepared[key], own[key], `${name}: ${key}`);
          }
        }
      });

      it(`is compressed for the window of each peer, on the ${side}`, async () => {
        const params = [
          '',
          '; server_max_window_bits=9; client_max_window_bits=9',
          '; server_no_context_takeover; client_no_context_takeover; client_max_window_bits=15',
        ];
        const text = textOf(20000);
        const message = new PreparedMessage(text);
        const raws = [];
        for (const param of params) {
          const { wire, ws } = await bare(
            side,
            { perMessageDeflate: true },
            {
              extensions: `${DEFLATE}${param || '; client_max_window_bits=15'}`,
            },
          );
          ws.send(message);
          const { opcode, payload, rsv } = await wire.frame();
          assert.deepEqual([opcode, rsv], [TEXT, 4]);
          assert.equal(inflated(payload).toString(), text);
          raws.push(payload);
        }
        // A larger window finds more.
        assert.ok(raws[0].length <= raws[1].length);
        assert.ok(raws[0].equals(raws[2]));
      });

      it(`is compressed only where that was agreed and wanted, on the ${side}`, async () => {
        const long = textOf(4096);
        await each(
          [
            ['neither end', {}, undefined, {}, long, 0],
            ['both ends', { perMessageDeflate: true }, DEFLATE, {}, long, 4],
            [
              'not wanted',
              { perMessageDeflate: true },
              DEFLATE,
              { compress: false },
              long,
              0,
            ],
            [
              'below the threshold',
              {
                perMessageDeflate: {
                  clientNoContextTakeover: true,
                  serverNoContextTakeover: true,
                  threshold: 5000,
                },
              },
              `${DEFLATE}; server_no_context_takeover; client_no_context_takeover`,
              {},
              long,
              0,
            ],
          ],
          async (name, options, extensions, own, data, rsv) => {
            const { wire, ws } = await bare(side, options, { extensions });
            ws.send(new PreparedMessage(data, own));
            assert.equal((await wire.frame()).rsv, rsv);
          },
        );
      });

      it(`may be the last fragment of a message, on the ${side}`, async () => {
        const { wire, ws } = await bare(side);
        const message = new PreparedMessage('last');
        ws.send('first ', { fin: false });
        ws.send(message);
        ws.send(message);
        const frames = await wire.frames(3);
        assert.deepEqual(
          frames.map(({ fin, opcode, text }) => [fin, opcode, text]),
          [
            [false, TEXT, 'first '],
            [true, 0, 'last'],
            [true, TEXT, 'last'],
          ],
        );
      });
    }

    for (const size of [1000, 100000]) {
      it(`may be the last fragment of a compressed message: ${size} bytes`, async () => {
        const [, options] = WAYS[1];
        const { client, server } = await pair(options, options);
        const text = textOf(size);
        for (const [from, to] of [
          [client, server],
          [server, client],
        ]) {
          const message = new PreparedMessage(text);
          const received = messages(to, 3);
          from.send('first ', { fin: false });
          from.send(message);
          from.send(message);
          from.send('own');
          assert.deepEqual(
            (await received).map(([data]) => data.toString()),
            [`first ${text}`, text, 'own'],
          );
        }
      });
    }

    it('takes options of `send`, and is then sent as its data', async () => {
      const { wire, ws } = await bare('server');
      const message = new PreparedMessage('text');
      ws.send(message, { fin: false });
      ws.send(message, { binary: true });
      ws.send(message, { binary: true });
      ws.send(message, { mask: true });
      const frames = await wire.frames(4);
      assert.deepEqual(
        frames.map(({ fin, masked, opcode }) => [fin, masked, opcode]),
        [
          [false, false, TEXT],
          [true, false, 0],
          [true, false, BINARY],
          [true, true, TEXT],
        ],
      );
    });

    it('describes itself', () => {
      const text = new PreparedMessage('\u20ac');
      assert.equal(text.length, 3);
      assert.equal(text.isBinary, false);
      assert.equal(text.compress, true);
      assert.deepEqual(text.data, Buffer.from('\u20ac'));
      const other = new PreparedMessage('\u20ac', {
        binary: true,
        compress: false,
      });
      assert.equal(other.isBinary, true);
      assert.equal(other.compress, false);
    });

    it('copies its data', async () => {
      const { client, server } = await pair();
      const data = Buffer.from('before');
      const message = new PreparedMessage(data);
      data.write('after.');
      const received = messages(client, 1);
      server.send(message);
      assert.equal((await received)[0][0].toString(), 'before');
    });

    it('refuses data of another type', () => {
      for (const data of [undefined, null, 7, {}, [1], true, () => {}]) {
        assert.throws(() => new PreparedMessage(data), TypeError);
      }
    });

    it('has callbacks that are called once, in order', async () => {
      const { client, server } = await pair({ perMessageDeflate: true });
      const message = new PreparedMessage(textOf(100000));
      const called = [];
      const done = new Promise((resolve) => {
        server.send(message, (error) => called.push(['a', error]));
        server.send('text', (error) => called.push(['b', error]));
        server.send(message, (error) => {
          called.push(['c', error]);
          resolve();
        });
      });
      await Promise.all([done, messages(client, 3)]);
      assert.deepEqual(
        called.map(([name, error]) => [name, !error]),
        [
          ['a', true],
          ['b', true],
          ['c', true],
        ],
      );
    });

    it('is refused like other data when the connection is not open', async () => {
      const { client, server } = await pair();
      const message = new PreparedMessage('text');
      const connecting = track(new WebSocket(client.url));
      assert.throws(() => connecting.send(message), Error);
      const closed = closing(server);
      server.terminate();
      await closed;
      const [[error]] = await new Promise((resolve) => {
        server.send(message, (...args) => resolve([args]));
      });
      assert.ok(error instanceof Error);
    });

    it('counts in bufferedAmount until it is sent', async () => {
      const { client, server } = await pair();
      const message = new PreparedMessage('x'.repeat(1000));
      server.send(message);
      server.send(message);
      assert.ok(server.bufferedAmount >= 2000);
      await messages(client, 2);
      assert.equal(server.bufferedAmount, 0);
    });

    it('shares its memory between connections that read nothing', async () => {
      const COUNT = 60;
      const wss = await serve();
      const connected = collect(wss, 'connection', COUNT);
      const sockets = [];
      for (let i = 0; i < COUNT; i++) {
        const socket = track(net.connect(portOf(wss), '127.0.0.1'));
        socket.on('error', ignore);
        socket.write(request());
        const wire = reader(socket);
        await wire.head();
        socket.pause();
        sockets.push(wire, socket);
      }
      await connected;
      const before = process.memoryUsage().rss;
      const messages = [1, 2, 3, 4, 5, 6, 7, 8].map(
        (byte) => new PreparedMessage(Buffer.alloc(MIB, byte)),
      );
      for (const message of messages) {
        for (const client of wss.clients) client.send(message);
      }
      // Each copy for a connection would take 480 MiB in all.
      await turn();
      const grown = process.memoryUsage().rss - before;
      assert.ok(grown < 200 * MIB, `${grown / MIB} MiB`);
      for (const client of wss.clients) {
        assert.ok(client.bufferedAmount > 0);
      }
      sockets[1].resume();
      const frames = await sockets[0].frames(messages.length);
      frames.forEach(({ payload }, i) => {
        assert.ok(payload.equals(Buffer.alloc(MIB, i + 1)), `${i}`);
      });
    }).timeout(60000);
  });

  api.beyondWs(`${api.name}: broadcast`, () => {
    const { join, serve } = ledger(WebSocket);

    const long = textOf(100000);

    /** Connects `count` clients to a new server. */
    async function crowd(count, options) {
      const wss = await serve(options);
      const pairs = [];
      for (let i = 0; i < count; i++) pairs.push(await join(wss, options));
      return { wss, pairs, clients: pairs.map(({ client }) => client) };
    }

    for (const [way, options] of WAYS) {
      it(`reaches all open clients: ${way}`, async () => {
        const { clients, wss } = await crowd(5, options);
        const received = clients.map((client) => messages(client, 3));
        assert.equal(wss.broadcast('text'), 5);
        assert.equal(wss.broadcast(Buffer.from('bytes')), 5);
        assert.equal(wss.broadcast(new PreparedMessage(long)), 5);
        for (const seen of await Promise.all(received)) {
          assert.deepEqual(
            seen.map(([data, isBinary]) => [data.toString(), isBinary]),
            [
              ['text', false],
              ['bytes', true],
              [long, false],
            ],
          );
        }
      });
    }

    it('takes options, also for a PreparedMessage', async () => {
      const { clients, wss } = await crowd(1);
      const received = messages(clients[0], 3);
      const message = new PreparedMessage('text');
      wss.broadcast('text', { binary: true });
      wss.broadcast(message, { binary: true });
      wss.broadcast(message, { compress: false });
      const seen = await received;
      assert.deepEqual(
        seen.map(([data, isBinary]) => [data.toString(), isBinary]),
        [
          ['text', true],
          ['text', true],
          ['text', false],
        ],
      );
    });

    it('reaches those that the filter takes', async () => {
      const { clients, pairs, wss } = await crowd(4);
      const chosen = new Set([pairs[1].server, pairs[2].server]);
      const received = clients.map((client) => messages(client, 1));
      const filter = (client) => chosen.has(client);
      assert.equal(wss.broadcast('some', { filter }), 2);
      assert.equal(wss.broadcast('all'), 4);
      const seen = await Promise.all(received);
      assert.deepEqual(
        seen.map(([[data]]) => data.toString()),
        ['all', 'some', 'some', 'all'],
      );
    });

    it('sends nothing if the filter throws', async () => {
      const { clients, wss } = await crowd(3);
      const received = clients.map((client) => messages(client, 1));
      let calls = 0;
      const filter = () => {
        calls++;
        if (calls === 2) throw new Error('no');
        return true;
      };
      assert.throws(() => wss.broadcast('some', { filter }), /no/);
      wss.broadcast('all');
      for (const [[data]] of await Promise.all(received)) {
        assert.equal(data.toString(), 'all');
      }
    });

    it('calls back once with the number of clients', async () => {
      const { pairs, wss } = await crowd(3);
      const counted = (data, options) =>
        new Promise((resolve) => {
          wss.broadcast(data, options, (...args) => resolve(args));
        });
      assert.deepEqual(await counted('text', {}), [null, 3]);
      const none = () => false;
      assert.deepEqual(await counted('text', { filter: none }), [null, 0]);
      const gone = closing(pairs[0].server);
      pairs[0].server.terminate();
      assert.equal(wss.broadcast('text'), 2);
      await gone;
      assert.deepEqual(await counted('text', undefined), [null, 2]);
    });

    it('reaches the others if the method `send` of a client throws', async () => {
      const { clients, pairs, wss } = await crowd(3);
      pairs[0].server.send = () => {
        throw new Error('replaced');
      };
      const received = clients.slice(1).map((client) => messages(client, 1));
      const errors = await uncaught(async () => {
        wss.broadcast('text');
        await Promise.all(received);
      });
      assert.deepEqual(errors, ['replaced']);
    });

    it('requires that clients are tracked', async () => {
      const wss = await serve({ clientTracking: false });
      assert.throws(() => wss.broadcast('text'), /clientTracking/);
    });

    it('refuses data of another type', async () => {
      const wss = await serve();
      assert.throws(() => wss.broadcast({}), TypeError);
    });
  });
}
