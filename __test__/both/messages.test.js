'use strict';

const assert = require('node:assert/strict');
const { randomBytes } = require('crypto');
const { once } = require('events');

const apis = require('./apis');
const { BINARY, DEFLATE, PING, PONG, SIDES, TEXT } = require('../ws8/support');
const { closing, collect, deflated, each, ledger } = require('../ws8/support');
const { recorded, turn, uncaught } = require('../ws8/support');

const MIB = 1 << 20;

/** The lengths around which the form of a frame's head changes. */
const SIZES = [
  0,
  1,
  2,
  124,
  125,
  126,
  127,
  128,
  1023,
  1024,
  4095,
  4096,
  65535,
  65536,
  65537,
  MIB,
];

const bytes = Buffer.from(Array.from({ length: 64 }, (_, i) => 255 - i));
const memory = new Uint8Array(bytes).buffer;

/** Name, data to send, the bytes that arrive, and whether they are binary. */
const DATA = [
  ['a string', 'text', 'text', false],
  ['characters of each width', 'a\u00e4\u20ac\u{1f44b}', undefined, false],
  ['half a pair of surrogates', 'a\ud83d', 'a\ufffd', false],
  ['a number', 42, '42', false],
  ['a Buffer', bytes, bytes, true],
  ['a part of a Buffer', bytes.subarray(5, 9), bytes.subarray(5, 9), true],
  ['an ArrayBuffer', memory, bytes, true],
  ['a view', new Uint16Array(memory, 2, 3), bytes.subarray(2, 8), true],
  ['a DataView', new DataView(memory, 3, 7), bytes.subarray(3, 10), true],
];

const WAYS = [
  ['plain', { perMessageDeflate: false }],
  ['compressed', { perMessageDeflate: true }],
];

const directions = ({ client, server }) => [
  [client, server],
  [server, client],
];

for (const api of apis) {
  const { onMessage } = api;

  /** Resolves to the next `count` messages, each as `[bytes, isBinary]`. */
  const messages = (ws, count) =>
    new Promise((resolve) => {
      const seen = [];
      onMessage(ws, (...message) => {
        if (seen.push(message) === count) resolve(seen);
      });
    });

  describe(`${api.name}: messages`, () => {
    const { bare, join, pair, serve, settle } = ledger(api.WebSocket);

    for (const [way, options] of WAYS) {
      describe(way, () => {
        it('arrive, of any size, both ways', async () => {
          const both = await pair(options, options);
          for (const [from, to] of directions(both)) {
            const received = messages(to, 2 * SIZES.length);
            const data = randomBytes(MIB).toString('base64');
            for (const size of SIZES) {
              from.send(data.slice(0, size));
              from.send(Buffer.from(data.slice(0, size)));
            }
            (await received).forEach(([message, isBinary], i) => {
              const size = SIZES[i >> 1];
              assert.equal(isBinary, i % 2 === 1, `${size}`);
              assert.ok(message.equals(Buffer.from(data.slice(0, size))), size);
            });
          }
        });

        it('arrive, of any kind, both ways', async () => {
          const both = await pair(options, options);
          for (const [from, to] of directions(both)) {
            const received = messages(to, DATA.length);
            for (const [, data] of DATA) from.send(data);
            const seen = await received;
            await each(DATA, (name, data, expected = data, binary) => {
              const [message, isBinary] = seen.shift();
              assert.deepEqual(message, Buffer.from(expected));
              assert.equal(isBinary, binary);
            });
          }
        });

        it('are echoed', async () => {
          const { client, server } = await pair(options, options);
          onMessage(server, (data, binary) => server.send(data, { binary }));
          const received = messages(client, 300);
          for (let i = 0; i < 300; i++) {
            client.send(`${i}`.padEnd(i * 10, '.'), { binary: i % 2 === 1 });
          }
          (await received).forEach(([data, isBinary], i) => {
            assert.equal(data.toString(), `${i}`.padEnd(i * 10, '.'));
            assert.equal(isBinary, i % 2 === 1);
          });
        });

        it('arrive on each of many connections', async () => {
          const wss = await serve(options);
          wss.on('connection', (ws) => {
            onMessage(ws, (data, binary) => ws.send(data, { binary }));
          });
          const received = [];
          for (let i = 0; i < 30; i++) {
            const { client } = await join(wss, options);
            received.push(messages(client, 10));
            for (let j = 0; j < 10; j++) client.send(`${i} ${j}`);
          }
          (await Promise.all(received)).forEach((seen, i) => {
            assert.deepEqual(
              seen.map(([data]) => data.toString()),
              Array.from({ length: 10 }, (_, j) => `${i} ${j}`),
            );
          });
        });

        it('call their callbacks once each, in order, without an error', async () => {
          const both = await pair(options, options);
          for (const [from, to] of directions(both)) {
            const received = messages(to, 100);
            const called = [];
            for (let i = 0; i < 100; i++) {
              from.send(`${i}`.padEnd(i * 100, '.'), (error) => {
                assert.ok(!error, String(error));
                called.push(i);
              });
            }
            assert.deepEqual(called, []);
            await received;
            await settle();
            assert.deepEqual(called, [...Array(100).keys()]);
            assert.equal(from.bufferedAmount, 0);
          }
        });

        it('may be sent in fragments', async () => {
          const both = await pair(options, options);
          for (const [from, to] of directions(both)) {
            const received = messages(to, 2);
            from.send('one ', { fin: false });
            from.send('two ', { fin: false });
            from.ping();
            from.send('three', { fin: true });
            from.send('four');
            assert.deepEqual((await received).map(String), [
              'one two three,false',
              'four,false',
            ]);
          }
        });

        it('arrive before the end', async () => {
          const both = await pair(options, options);
          const { client, server } = both;
          const events = recorded(server, 'message', 'close');
          const closed = closing(server);
          for (let i = 0; i < 50; i++) client.send('x'.repeat(i * 100));
          client.close(4000, 'done');
          assert.deepEqual(await closed, [4000, 'done']);
          const expected = [...Array(50).fill('message'), 'close'];
          assert.deepEqual(events, expected);
        });
      });
    }

    for (const side of SIDES) {
      describe(`of a peer of the ${side}`, () => {
        it('may arrive in one chunk', async () => {
          const { ws, sendAll } = await bare(side);
          const received = messages(ws, 100);
          sendAll(...Array.from({ length: 100 }, (_, i) => [TEXT, `${i}`]));
          const numbers = (await received).map(([data]) => Number(data));
          assert.deepEqual(numbers, [...Array(100).keys()]);
        });

        it('may arrive byte by byte', async () => {
          const { ws, frame, socket } = await bare(side);
          const received = messages(ws, 2);
          socket.setNoDelay();
          for (const byte of Buffer.concat([
            frame(TEXT, 'a'.repeat(130)),
            frame(BINARY, 'b'),
          ])) {
            socket.write(Buffer.from([byte]));
            await turn();
          }
          assert.deepEqual((await received).map(String), [
            `${'a'.repeat(130)},false`,
            'b,true',
          ]);
        });

        it('may arrive in fragments, with pings between', async () => {
          const { ws, sendAll, wire } = await bare(side);
          const received = messages(ws, 1);
          sendAll(
            [BINARY, 'a', { fin: false }],
            [PING, '1'],
            [0, '', { fin: false }],
            [PING, '2'],
            [0, 'b'],
          );
          assert.deepEqual((await received).map(String), ['ab,true']);
          const pongs = await wire.frames(2);
          assert.deepEqual(
            pongs.map(({ opcode, text }) => [opcode, text]),
            [
              [PONG, '1'],
              [PONG, '2'],
            ],
          );
        });

        it('may be compressed or not', async () => {
          const { ws, sendAll } = await bare(
            side,
            { perMessageDeflate: true },
            { extensions: DEFLATE },
          );
          const received = messages(ws, 3);
          sendAll(
            [TEXT, deflated('a'), { rsv: 4 }],
            [TEXT, 'b'],
            [BINARY, deflated('c'.repeat(100000)), { rsv: 4 }],
          );
          assert.deepEqual((await received).map(String), [
            'a,false',
            'b,false',
            `${'c'.repeat(100000)},true`,
          ]);
        });

        it('are masked only by a client', async () => {
          const { ws, wire } = await bare(side);
          ws.send('text');
          ws.ping('ping');
          ws.close(1000);
          for (const { masked } of await wire.frames(3)) {
            assert.equal(masked, side === 'client');
          }
        });
      });
    }

    it('leave the data of the caller unchanged', async () => {
      const { client, server } = await pair();
      const data = Buffer.from(bytes);
      const received = messages(server, 1);
      client.send(data);
      await received;
      assert.deepEqual(data, bytes);
    });

    it('call their callbacks once each if the connection is reset', async () => {
      const { ws, socket } = await bare('server');
      const called = [];
      const closed = closing(ws);
      socket.pause();
      for (let i = 0; i < 8; i++) {
        ws.send(Buffer.alloc(4 * MIB), (error) => called.push(error));
      }
      await turn();
      socket.resetAndDestroy();
      await closed;
      await settle();
      assert.equal(called.length, 8);
      assert.ok(called[7] instanceof Error);
    });

    it('are held back while the receiver is paused', async () => {
      const both = await pair();
      for (const [from, to] of directions(both)) {
        const seen = recorded(to, 'message');
        to.pause();
        for (let i = 0; i < 3; i++) from.send(`${i}`);
        await settle();
        assert.deepEqual(seen, []);
        const received = messages(to, 3);
        to.resume();
        const numbers = (await received).map(([data]) => Number(data));
        assert.deepEqual(numbers, [0, 1, 2]);
      }
    });

    describe('long messages', () => {
      const LONG = 100 * 1024;

      /** Lengths of messages and, where it is null, a ping. The first is long. */
      const RUNS = [
        [LONG, LONG, LONG, LONG],
        [LONG, null, LONG, null, null, LONG],
        [LONG, 65535, 65536, 40000, LONG, 65535, LONG],
        [LONG, 10, LONG, 0, 1, 126, LONG, 4096, LONG],
        [LONG, MIB, LONG, MIB],
      ];
      const KINDS = [
        ['ASCII', (length, i) => `${i}`.padEnd(length, 'abc').slice(0, length)],
        ['UTF-8', (length, i) => `${i}`.padEnd(length >> 1, 'a\u00e4\u20ac')],
        ['bytes', (length, i) => Buffer.alloc(length, `${i}b`)],
      ];

      for (const [kind, create] of KINDS) {
        it(`arrive in order, among others, as ${kind}`, async () => {
          const both = await pair();
          for (const [from, to] of directions(both)) {
            for (const run of RUNS) {
              const sent = run
                .map((length, i) => length !== null && create(length, i))
                .filter((data) => data !== false);
              const received = messages(to, sent.length);
              let next = 0;
              for (const length of run) {
                if (length === null) from.ping('between');
                else from.send(sent[next++]);
              }
              (await received).forEach(([data], i) => {
                assert.ok(data.equals(Buffer.from(sent[i])), `${i} of ${run}`);
              });
            }
          }
        });

        it(`come back as they were received, as ${kind}`, async () => {
          const { client, server } = await pair();
          // The same object that was received, which `onMessage` does not pass.
          server.on('message', (data, isBinary) => {
            const binary =
              isBinary === true ||
              (isBinary !== false && Buffer.isBuffer(data));
            server.send(data, { binary });
            server.send('between');
            server.send(data, { binary });
          });
          for (let i = 0; i < 5; i++) {
            const sent = create(LONG + i, i);
            const received = messages(client, 3);
            client.send(sent);
            const [[first], [second], [third]] = await received;
            assert.ok(first.equals(Buffer.from(sent)));
            assert.equal(second.toString(), 'between');
            assert.ok(third.equals(Buffer.from(sent)));
          }
        });
      }

      it('are not changed by later ones', async () => {
        const { client, server } = await pair();
        const kept = [];
        // A part of a message keeps its memory.
        server.on('message', (data) => kept.push(data.subarray(10, -10)));
        for (let i = 0; i < 400; i++) client.send(Buffer.alloc(LONG, i));
        const all = closing(server);
        client.close();
        await all;
        assert.equal(kept.length, 400);
        kept.forEach((data, i) => {
          assert.ok(data.equals(Buffer.alloc(LONG - 20, i)), `${i}`);
        });
      });
    });

    api.beyondWs('a listener that transfers the memory of its message', () => {
      for (const side of SIDES) {
        it(`loses none of the ${side}'s messages`, async () => {
          const { ws, sendAll } = await bare(side);
          const seen = [];
          const all = new Promise((resolve) => {
            ws.on('message', (data) => {
              seen.push(data.length);
              if (seen.length === 3) resolve();
              try {
                structuredClone(data.buffer, { transfer: [data.buffer] });
              } catch ({ name }) {
                // Memory that messages share cannot be transferred.
                assert.equal(name, 'DataCloneError');
              }
            });
          });
          sendAll(
            [BINARY, Buffer.alloc(1000)],
            [BINARY, Buffer.alloc(200)],
            [BINARY, Buffer.alloc(200)],
          );
          await all;
          assert.deepEqual(seen, [1000, 200, 200]);
        });
      }
    });

    describe('a long message', () => {
      for (const side of SIDES) {
        it(`can be transferred to another thread by the ${side}`, async () => {
          const { ws, send } = await bare(side);
          for (const size of [100000, 100000, 400000, 400000, 1000000]) {
            const received = new Promise((resolve) => onMessage(ws, resolve));
            send(BINARY, Buffer.alloc(size, 7));
            const { buffer, byteOffset } = await received;
            ws.removeAllListeners('message');
            const moved = structuredClone(buffer, { transfer: [buffer] });
            assert.equal(buffer.byteLength, 0);
            const bytes = Buffer.from(moved, byteOffset, size);
            assert.ok(bytes.equals(Buffer.alloc(size, 7)));
          }
        });
      }
    });

    api.beyondWs('a listener that throws', () => {
      for (const side of SIDES) {
        it(`loses none of the ${side}'s messages`, async () => {
          const { ws, sendAll, socket } = await bare(side);
          const seen = [];
          const errors = await uncaught(async () => {
            const closed = closing(ws);
            onMessage(ws, (data) => {
              seen.push(data.toString());
              throw new Error(data.toString());
            });
            sendAll([TEXT, 'a'], [TEXT, 'b'], [BINARY, 'c'], [8]);
            socket.end();
            await closed;
            await turn();
          });
          assert.deepEqual(seen, ['a', 'b', 'c']);
          assert.deepEqual(errors, seen);
        });
      }
    });
  });

  describe(`${api.name}: pings`, () => {
    const { bare, pair } = ledger(api.WebSocket);

    it('are answered, both ways', async () => {
      const both = await pair();
      for (const [from, to] of directions(both)) {
        for (const data of ['', 'text', 'x'.repeat(125)]) {
          const pinged = once(to, 'ping');
          const answered = once(from, 'pong');
          from.ping(data);
          assert.equal(String((await pinged)[0]), data);
          assert.equal(String((await answered)[0]), data);
        }
      }
    });

    it('keep their place among messages', async () => {
      const { client, server } = await pair();
      const events = recorded(server, 'message', 'ping', 'pong');
      const last = collect(server, 'pong', 1);
      client.send('text');
      client.ping('ping');
      client.send('text');
      client.pong('pong');
      await last;
      assert.deepEqual(events, ['message', 'ping', 'message', 'pong']);
    });

    for (const side of SIDES) {
      it(`of a peer are answered by the ${side}, in order`, async () => {
        const { sendAll, wire } = await bare(side);
        sendAll(...Array.from({ length: 20 }, (_, i) => [PING, `${i}`]));
        const pongs = await wire.frames(20);
        assert.deepEqual(
          pongs.map(({ opcode, text }) => [opcode, Number(text)]),
          Array.from({ length: 20 }, (_, i) => [PONG, i]),
        );
      });
    }
  });
}
