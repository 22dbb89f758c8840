'use strict';

// What a program sees of the messages that the other end does not read yet. The same over
// every transport, host and side.

const assert = require('node:assert/strict');
const { AsyncLocalStorage } = require('async_hooks');
const { randomBytes } = require('crypto');
const { once } = require('events');
const http = require('http');
const https = require('https');
const { Duplex } = require('stream');

const apis = require('./apis');
const { DEFLATE, SIDES, closing, each, fixture } = require('../ws8/support');
const { ignore, ledger, listenHttp, portOf, turn } = require('../ws8/support');
const { HANDSHAKE, uncaught } = require('../ws8/support');

const KIB = 1024;
const MIB = 1024 * KIB;
const MARK = 64 * KIB;

/** More bytes than the system takes while nobody reads. */
const HIGH = 16 * MIB;

const PLAIN = { perMessageDeflate: false };
const COMPRESSED = { perMessageDeflate: { threshold: 0 } };

/** Values of `highWaterMark` that are refused. */
const INVALID = [-1, 1.5, NaN, Infinity, '1', true, {}];

/** Returns the length of a frame with a payload of `size` bytes. */
function frameLength(size, isMasked) {
  const head = size < 126 ? 2 : size < 65536 ? 4 : 10;
  return head + (isMasked ? 4 : 0) + size;
}

/** Records the 'drain' events of `ws`, and checks what a listener sees. */
function drains(ws) {
  const seen = [];
  ws.on('drain', (...args) => {
    assert.deepEqual(args, []);
    assert.equal(ws.writableNeedDrain, false);
    assert.equal(ws.bufferedAmount, 0);
    seen.push('drain');
  });
  return seen;
}

for (const api of apis) {
  const { WebSocket } = api;

  api.beyondWs(`${api.name}: backpressure`, () => {
    const { bare, join, pair, serve, settle, track } = ledger(WebSocket);

    /** A connection whose peer reads nothing before it is resumed. */
    async function stalled(side, options = PLAIN, more) {
      const ends = await bare(side, options, more);
      ends.socket.removeAllListeners('data');
      ends.socket.pause();
      return { ...ends, seen: drains(ends.ws) };
    }

    /** As `stalled`, with a mark that is above what the system takes. */
    const filled = async (side) => {
      const options = { ...PLAIN, highWaterMark: HIGH };
      const ends = await stalled(side, options);
      await fill(ends.ws);
      return ends;
    };

    /** Sends in many turns until more than `HIGH` is queued. */
    async function fill(ws) {
      while (!ws.writableNeedDrain) {
        assert.ok(ws.bufferedAmount <= HIGH);
        ws.send(Buffer.alloc(60 * KIB));
        await turn();
      }
      // The system may still take some of it, but by far not all.
      assert.ok(ws.bufferedAmount > HIGH / 2);
    }

    for (const side of SIDES) {
      describe(`at the ${side}`, () => {
        it('none up to the mark', async () => {
          const { ws, socket, seen } = await stalled(side);
          socket.resume();
          assert.equal(ws.writableNeedDrain, false);
          for (let i = 0; i < 100; i++) {
            ws.send(Buffer.alloc(48 * KIB));
            assert.equal(ws.writableNeedDrain, false);
            while (ws.bufferedAmount > 0) await turn();
          }
          assert.deepEqual(seen, []);
        });

        for (const [what, send] of Object.entries({
          'many messages': (ws, cb) => {
            for (let i = 0; i < 99; i++) ws.send('x'.repeat(KIB));
            ws.send('the last', cb);
          },
          'a message': (ws, cb) => ws.send('x'.repeat(100 * KIB), cb),
          'a message without a callback': (ws, cb) => {
            ws.send('x'.repeat(100 * KIB));
            ws.send('', cb);
          },
          'long messages': (ws, cb) => {
            for (let i = 0; i < 99; i++) ws.send(Buffer.alloc(100 * KIB));
            ws.send(Buffer.alloc(300 * KIB), cb);
          },
          'a long text': (ws, cb) => ws.send('\u20ac'.repeat(MIB), cb),
        })) {
          it(`of ${what} within a tick`, async () => {
            const { ws, socket, seen } = await stalled(side);
            socket.resume();
            send(ws, (error) => {
              assert.ok(!error);
              seen.push('callback');
            });
            // A thread of the engine may have written some meanwhile.
            const isAbove = ws.bufferedAmount > MARK;
            const { writableNeedDrain } = ws;
            if (isAbove) assert.equal(writableNeedDrain, true);
            while (ws.bufferedAmount > 0) {
              assert.equal(ws.writableNeedDrain, writableNeedDrain);
              await turn();
            }
            while (ws.writableNeedDrain) await turn();
            await settle();
            // The engine may have written long messages before `send` returned.
            const rest = seen.filter((event) => event !== 'callback');
            assert.equal(seen[0], 'callback');
            assert.equal(seen.length, rest.length + 1);
            assert.ok(rest.length <= 1);
            if (writableNeedDrain) assert.equal(rest.length, 1);
          });
        }

        it('of messages over many ticks, until all are sent', async () => {
          const { ws, socket, seen } = await filled(side);
          await settle();
          assert.deepEqual(seen, []);
          socket.resume();
          while (ws.bufferedAmount > 0) {
            assert.equal(ws.writableNeedDrain, true);
            assert.deepEqual(seen, []);
            await turn();
          }
          if (ws.writableNeedDrain) await once(ws, 'drain');
          await settle();
          assert.deepEqual(seen, ['drain']);
          assert.equal(ws.writableNeedDrain, false);
        });

        it('once each time, after the callbacks', async () => {
          const { ws, socket, seen } = await filled(side);
          const expected = [];
          for (let i = 0; i < 5; i++) {
            await fill(ws);
            ws.send('x', () => seen.push('callback'));
            expected.push('callback', 'drain');
            socket.resume();
            await once(ws, 'drain');
            socket.pause();
          }
          await settle();
          assert.deepEqual(seen, expected);
        });

        it('after the callbacks of what is sent in callbacks', async () => {
          const { ws } = await bare(side, PLAIN);
          const seen = drains(ws);
          let left = 10;
          ws.send('x'.repeat(100 * KIB), function again() {
            seen.push('callback');
            if (--left > 0) ws.send('x', again);
          });
          assert.equal(ws.writableNeedDrain, true);
          await once(ws, 'drain');
          await settle();
          assert.equal(seen.filter((each) => each === 'drain').length, 1);
          assert.equal(seen.length, 11);
        });

        it('of what a listener of it sends', async () => {
          const { ws } = await bare(side, PLAIN);
          const seen = drains(ws);
          let left = 50;
          const done = new Promise((resolve) => {
            ws.on('drain', () => {
              if (left-- === 0) {
                resolve();
                return;
              }
              ws.send('x'.repeat(100 * KIB));
              assert.equal(ws.writableNeedDrain, true);
            });
          });
          ws.send('x'.repeat(100 * KIB));
          await done;
          await settle();
          assert.equal(seen.length, 51);
        });

        it('if a listener throws', async () => {
          const { ws, socket } = await filled(side);
          ws.removeAllListeners('drain');
          const called = [];
          ws.on('drain', () => {
            throw new Error('on purpose: drain');
          });
          const errors = await uncaught(async () => {
            for (let i = 0; i < 2; i++) {
              await fill(ws);
              ws.send('x', () => {
                called.push(i);
                throw new Error('on purpose: callback');
              });
              socket.resume();
              while (ws.writableNeedDrain) await turn();
              socket.pause();
            }
            await settle();
          });
          assert.deepEqual(called, [0, 1]);
          assert.deepEqual(errors, [
            'on purpose: callback',
            'on purpose: drain',
            'on purpose: callback',
            'on purpose: drain',
          ]);
        });

        it('above the option highWaterMark', async () => {
          const options = { ...PLAIN, highWaterMark: HIGH };
          const { ws, socket, seen } = await stalled(side, options);
          for (let i = 0; i < 250; i++) {
            ws.send('x'.repeat(60 * KIB));
            assert.equal(ws.writableNeedDrain, false);
          }
          socket.resume();
          while (ws.bufferedAmount > 0) await turn();
          await settle();
          assert.deepEqual(seen, []);
        });

        it('of any byte, if highWaterMark is 0', async () => {
          const { ws } = await bare(side, { ...PLAIN, highWaterMark: 0 });
          const seen = drains(ws);
          for (let i = 1; i <= 10; i++) {
            ws.send('x');
            assert.equal(ws.writableNeedDrain, true);
            await once(ws, 'drain');
            assert.equal(seen.length, i);
          }
        });

        it('of prepared messages', async () => {
          const message = new WebSocket.PreparedMessage('x'.repeat(MARK - 20));
          const { ws, socket, seen } = await stalled(side);
          socket.resume();
          ws.send(message);
          assert.equal(ws.writableNeedDrain, false);
          ws.send(message, () => seen.push('callback'));
          assert.equal(ws.writableNeedDrain, true);
          await once(ws, 'drain');
          await settle();
          assert.deepEqual(seen, ['callback', 'drain']);
        });

        it('of control frames', async () => {
          const { ws } = await bare(side, { ...PLAIN, highWaterMark: 100 });
          const seen = drains(ws);
          ws.ping('x'.repeat(100));
          assert.equal(ws.writableNeedDrain, false);
          ws.pong('x');
          assert.equal(ws.writableNeedDrain, true);
          await once(ws, 'drain');
          await settle();
          assert.deepEqual(seen, ['drain']);
        });

        it('of what is compressed on another thread', async () => {
          const more = { extensions: DEFLATE };
          const { ws, socket, seen } = await stalled(side, COMPRESSED, more);
          ws.send(randomBytes(MIB), () => seen.push('long'));
          assert.equal(ws.writableNeedDrain, true);
          ws.send('x', () => seen.push('short'));
          ws.ping('');
          assert.equal(ws.bufferedAmount, MIB + 1 + headOfPing(ws, side));
          socket.resume();
          await once(ws, 'drain');
          assert.deepEqual(seen, ['long', 'short', 'drain']);
        });

        it('is not reported if the connection fails', async () => {
          const { ws, socket, seen } = await filled(side);
          ws.on('error', ignore);
          const closed = closing(ws);
          socket.resetAndDestroy();
          ws.send('x', () => seen.push(ws.writableNeedDrain));
          await closed;
          assert.equal(ws.writableNeedDrain, false);
          await settle();
          assert.deepEqual(seen, [false]);
        });

        it('is not reported after the end', async () => {
          for (const end of [
            (ws) => ws.terminate(),
            (ws) => ws._socket.destroy(),
            (ws, socket) => socket.destroy(),
          ]) {
            const { ws, socket, seen } = await filled(side);
            const closed = closing(ws);
            ws.on('close', () => {
              assert.equal(ws.writableNeedDrain, false);
              assert.equal(ws.bufferedAmount, 0);
              seen.push('close');
            });
            end(ws, socket);
            socket.destroy();
            await closed;
            await settle();
            assert.equal(ws.writableNeedDrain, false);
            assert.deepEqual(seen, ['close']);
          }
        });

        it('while the connection closes', async () => {
          const { ws, socket, seen } = await filled(side);
          ws.on('close', () => seen.push('close'));
          const closed = closing(ws);
          ws.close();
          assert.equal(ws.writableNeedDrain, true);
          socket.resume();
          await once(ws, 'drain');
          socket.destroy();
          await closed;
          assert.deepEqual(seen, ['drain', 'close']);
        });

        it('in the context of the connection', async () => {
          const storage = new AsyncLocalStorage();
          const stores = [];
          const { ws } = await bare(side, PLAIN);
          ws.on('drain', () => stores.push(storage.getStore()));
          storage.run('sender', () => ws.send('x'.repeat(100 * KIB)));
          await once(ws, 'drain');
          assert.deepEqual(stores, [undefined]);
        });

        it('counts the bytes of frames that the system has not taken', async () => {
          const { ws, socket } = await stalled(side);
          const isMasked = side === 'client';
          let sent = 0;
          let received = 0;
          for (let i = 0; ws.bufferedAmount < 2 * MIB; i++) {
            const size = (i * i) % 100000;
            const data = i % 2 ? 'x'.repeat(size) : Buffer.alloc(size);
            ws.send(i % 3 ? data : new WebSocket.PreparedMessage(data));
            sent += frameLength(size, isMasked);
            if (i % 10 === 9) await turn();
          }
          for (let amount; amount !== ws.bufferedAmount;) {
            amount = ws.bufferedAmount;
            await settle();
          }
          const taken = sent - ws.bufferedAmount;
          const isExact = isNative(ws);
          assert.ok(taken > 0);
          socket.on('data', ({ length }) => (received += length));
          socket.on('error', ignore);
          const closed = closing(ws);
          ws._socket.destroy();
          socket.resume();
          await once(socket, 'close');
          await closed;
          if (isExact) assert.equal(received, taken);
          // Node does not tell how much of a write the system has taken.
          else assert.ok(received >= taken);
          assert.equal(ws.bufferedAmount, 0);
        });
      });
    }

    function isNative(ws) {
      return WebSocket.diagnostics(ws).transport === 'native';
    }

    /** The bytes of a ping's head, if it is made at once. */
    function headOfPing(ws, side) {
      return isNative(ws) ? 0 : frameLength(0, side === 'client');
    }

    it('over TLS', async () => {
      const server = track(
        https.createServer({
          cert: fixture('server.pem'),
          key: fixture('server-key.pem'),
        }),
      );
      await listenHttp(server);
      const wss = track(new WebSocket.Server({ server, ...PLAIN }));
      const connected = once(wss, 'connection');
      const client = track(
        new WebSocket(`wss://127.0.0.1:${portOf(server)}/`, {
          ...PLAIN,
          rejectUnauthorized: false,
        }),
      );
      const [[ws]] = await Promise.all([connected, once(client, 'open')]);
      for (const end of [client, ws]) {
        const seen = drains(end);
        for (let i = 0; i < 3; i++) {
          for (let j = 0; j < 100; j++) end.send('x'.repeat(10 * KIB));
          assert.equal(end.writableNeedDrain, true);
          await once(end, 'drain');
        }
        assert.equal(seen.length, 3);
      }
    });

    it('over any Duplex', async () => {
      const chunks = [];
      let free = null;
      const duplex = new Duplex({
        read: ignore,
        write(chunk, encoding, callback) {
          chunks.push(chunk);
          free = callback;
        },
      });
      const request = new http.IncomingMessage(duplex);
      Object.assign(request, { method: 'GET', url: '/' });
      for (const [name, value] of Object.entries(HANDSHAKE)) {
        request.headers[name.toLowerCase()] = value;
      }
      const wss = track(
        new WebSocket.Server({ noServer: true, highWaterMark: KIB, ...PLAIN }),
      );
      const ws = await new Promise((resolve) => {
        wss.handleUpgrade(request, duplex, Buffer.alloc(0), resolve);
      });
      const seen = drains(ws);
      const release = () => {
        const callback = free;
        free = null;
        callback();
      };
      while (free) release();
      ws.send('x'.repeat(500));
      ws.send('x'.repeat(KIB));
      assert.equal(ws.writableNeedDrain, true);
      await turn();
      while (free) {
        assert.equal(ws.writableNeedDrain, true);
        assert.deepEqual(seen, []);
        release();
        await turn();
      }
      await turn();
      assert.deepEqual(seen, ['drain']);
      assert.equal(ws.writableNeedDrain, false);
    });

    it('none before the connection is open', async () => {
      const wss = await serve(PLAIN);
      const connected = once(wss, 'connection');
      const client = track(new WebSocket(`ws://127.0.0.1:${portOf(wss)}/`));
      assert.equal(client.writableNeedDrain, false);
      await connected;
      await once(client, 'open');
      assert.equal(client.writableNeedDrain, false);
    });

    it('of a server is that of its option', async () => {
      const wss = await serve({ ...PLAIN, highWaterMark: 10 });
      assert.equal(wss.options.highWaterMark, 10);
      const first = await join(wss, { ...PLAIN, highWaterMark: 20 });
      for (const [ws, mark] of [
        [first.server, 10],
        [first.client, 20],
      ]) {
        ws.send('x'.repeat(mark - 6));
        assert.equal(ws.writableNeedDrain, false);
        ws.send('x'.repeat(7));
        assert.equal(ws.writableNeedDrain, true);
        await once(ws, 'drain');
      }
      for (const nothing of [undefined, null]) {
        const other = await pair(
          { ...PLAIN, highWaterMark: nothing },
          { ...PLAIN, highWaterMark: nothing },
        );
        for (const ws of [other.client, other.server]) {
          ws.send('x'.repeat(32 * KIB));
          ws.send('x'.repeat(32 * KIB));
          assert.equal(ws.writableNeedDrain, ws.bufferedAmount > MARK);
          ws.send('x');
          assert.equal(ws.writableNeedDrain, true);
        }
      }
    });

    it('refuses another value than an integer of at least 0', () =>
      each(
        INVALID.map((value) => [value]),
        (highWaterMark) => {
          const expected = { name: 'RangeError', message: /highWaterMark/ };
          assert.throws(
            () => new WebSocket.Server({ noServer: true, highWaterMark }),
            expected,
          );
          assert.throws(
            () => new WebSocket('ws://127.0.0.1:1/', { highWaterMark }),
            expected,
          );
        },
      ));

    it('bounds the memory of a stream to a slow reader', async function () {
      this.timeout(30000);
      const { ws, socket, seen } = await stalled('server');
      const chunk = Buffer.alloc(48 * KIB, 'x');
      const total = 200 * MIB;
      let received = 0;
      socket.on('data', ({ length }) => {
        received += length;
        socket.pause();
        setImmediate(() => socket.resume());
      });
      socket.resume();
      const before = process.memoryUsage().rss;
      let most = 0;
      let grown = 0;
      let waits = 0;
      for (let sent = 0; sent < total; sent += chunk.length) {
        ws.send(chunk);
        most = Math.max(most, ws.bufferedAmount);
        if (!ws.writableNeedDrain) continue;
        waits++;
        grown = Math.max(grown, process.memoryUsage().rss - before);
        await once(ws, 'drain');
      }
      const closed = closing(ws);
      while (received < total) await turn();
      ws.terminate();
      socket.destroy();
      await closed;
      assert.ok(most <= MARK + chunk.length + 14, `${most}`);
      assert.ok(grown < 64 * MIB, `${grown}`);
      assert.ok(waits > 0);
      assert.ok(seen.length >= waits);
    });
  });
}
