'use strict';

// Order, backpressure, asynchronous contexts, and that nothing is left after a
// connection. OXWS_TRANSPORT and OXWS_HOST select how connections are carried.

const assert = require('node:assert/strict');
const { AsyncLocalStorage } = require('async_hooks');
const { execFile } = require('child_process');
const { randomBytes } = require('crypto');
const { once } = require('events');
const http = require('http');
const net = require('net');
const path = require('path');
const { promisify } = require('util');

const WebSocket = require('..');
const {
  bombOf,
  closing,
  deflate,
  frame,
  ledger,
  listen,
  listenHttp,
  programs,
  uncaught,
  url,
  turn,
} = require('./support');
const { descriptors } = require('./fixtures-engine/descriptors');

const MIB = 1 << 20;
const ACCEPTED = 'Sec-WebSocket-Extensions: permessage-deflate\r\n';
const IS_STREAM = process.env.OXWS_TRANSPORT === 'stream';

/** Returns the bytes of an unmasked text frame. */
const text = (data) => frame(1, data, { key: null });

describe('The engine', () => {
  const { track, pair, join, bareClient, bareServer } = ledger();
  const { run, start } = programs();

  describe('order', () => {
    const SIZES = [1, 70000, 3, 125, 65536, 10, 300000, 0, 66000, 40000, 5];
    const messages = Array.from({ length: 66 }, (_, i) => {
      const size = SIZES[i % SIZES.length];
      return `${i}:${'abc'.repeat(size / 3)}`;
    });

    for (const perMessageDeflate of [false, { threshold: 0 }]) {
      const how = perMessageDeflate ? 'compressed' : 'plain';

      it(`of events is that of the frames, ${how}`, async function () {
        this.timeout(10000);
        const { client, server } = await pair(
          { perMessageDeflate },
          { perMessageDeflate },
        );
        const seen = [];
        server.on('message', (data) => seen.push(data));
        server.on('ping', (data) => seen.push(`ping ${data}`));
        server.on('pong', (data) => seen.push(`pong ${data}`));
        server.on('close', () => seen.push('close'));
        const expected = [];
        messages.forEach((message, i) => {
          client.send(message);
          client.ping(`${i}`);
          expected.push(message, `ping ${i}`);
          if (i % 3 === 0) {
            client.pong(`${i}`);
            expected.push(`pong ${i}`);
          }
        });
        const closed = closing(client);
        client.close();
        await closed;
        if (!seen.includes('close')) await once(server, 'close');
        await turn();
        expected.push('close');
        assert.equal(seen.length, expected.length);
        seen.forEach((event, i) => assert.ok(event === expected[i], `at ${i}`));
      });

      it(`of the callbacks of send is that of sending, ${how}`, async () => {
        const { client, server } = await pair(
          { perMessageDeflate },
          { perMessageDeflate },
        );
        const called = [];
        const errors = [];
        let received = 0;
        const all = new Promise((resolve) => {
          const check = () => {
            const { length } = messages;
            if (called.length >= length && received === length) resolve();
          };
          server.on('message', () => {
            received++;
            check();
          });
          messages.forEach((message, i) => {
            client.send(message, (error) => {
              called.push(i);
              if (error) errors.push(error);
              check();
            });
          });
        });
        await all;
        client.close();
        await once(client, 'close');
        await turn();
        assert.deepEqual(
          called,
          messages.map((_, i) => i),
        );
        assert.deepEqual(errors, []);
      });
    }

    it('is kept for callbacks of messages that are not sent', async () => {
      const { client, server } = await pair({ perMessageDeflate: false });
      server.pause();
      const called = [];
      const errors = [];
      const done = new Promise((resolve) => {
        for (let i = 0; i < 32; i++) {
          client.send(Buffer.alloc(MIB), (error) => {
            called.push(i);
            errors.push(Boolean(error));
            if (called.length === 32) resolve();
          });
        }
      });
      await turn();
      client._socket.destroy();
      await done;
      await turn();
      assert.deepEqual(
        called,
        Array.from({ length: 32 }, (_, i) => i),
      );
      assert.ok(errors.includes(true));
      assert.deepEqual(errors, [...errors].sort());
    });

    it('is kept for messages that a listener sends at once and later', async () => {
      const { client, server } = await pair({ perMessageDeflate: false });
      server.on('message', async (data) => {
        server.send(`first ${data}`);
        await null;
        server.send(`second ${data}`);
        process.nextTick(() => server.send(`third ${data}`));
      });
      const seen = [];
      client.on('message', (data) => seen.push(data));
      const total = 200;
      const done = new Promise((resolve) => {
        client.on('message', () => {
          if (seen.length === 3 * total) resolve();
        });
      });
      for (let i = 0; i < total; i++) client.send(`${i}`);
      await done;
      const numbers = Array.from({ length: total }, (_, i) => i);
      assert.equal(new Set(seen).size, 3 * total);
      for (const which of ['first', 'second', 'third']) {
        assert.deepEqual(
          seen.filter((data) => data.startsWith(which)),
          numbers.map((i) => `${which} ${i}`),
        );
      }
    });

    it('is kept for a text that is sent repeatedly, among others', async () => {
      const { client, server } = await pair({ perMessageDeflate: false });
      const again = 'é'.repeat(50000);
      const expected = [];
      for (let i = 0; i < 60; i++) expected.push(again, again, `${i}`, 'short');
      // With and without masks, and more than fits into the outbox.
      const received = Promise.all(
        [client, server].map(
          (ws) =>
            new Promise((resolve) => {
              const seen = [];
              ws.on('message', (data) => {
                seen.push(data);
                if (seen.length === expected.length) resolve(seen);
              });
            }),
        ),
      );
      for (const text of expected) {
        client.send(text);
        server.send(text);
      }
      for (const seen of await received) assert.deepEqual(seen, expected);
    });

    it('is kept if the socket takes messages in part, one message per turn', async function () {
      this.timeout(20000);
      const { client, server } = await pair({ perMessageDeflate: false });
      const message = (i) => Buffer.alloc(20000 + (i % 7) * 6000, i);
      client.pause();
      // Send until the system takes no more, and then some more.
      let total = 0;
      while (server.bufferedAmount < 500000) {
        server.send(message(total++));
        await new Promise(setImmediate);
      }
      const received = new Promise((resolve) => {
        let seen = 0;
        client.on('message', (data) => {
          if (data === 'the end') resolve(seen);
          else assert.ok(data.equals(message(seen++)), `message ${seen}`);
        });
      });
      client.resume();
      // The system takes the data bit by bit, while more is sent.
      for (let i = 0; i < 200; i++) {
        server.send(message(total++));
        await new Promise(setImmediate);
      }
      await new Promise((resolve) => server.send('the end', resolve));
      assert.equal(server.bufferedAmount, 0);
      assert.equal(await received, total);
    });

    it('is kept for the pongs to a flood of pings', async function () {
      this.timeout(10000);
      const wss = track(await listen({ perMessageDeflate: false }));
      const floods = await Promise.all(
        Array.from({ length: 4 }, () => bareClient(wss)),
      );
      const count = 6000;
      await Promise.all(
        floods.map(async ({ server, socket, wire }, number) => {
          let received = 0;
          server.on('message', () => received++);
          const pieces = [];
          for (let i = 0; i < count; i++) {
            pieces.push(frame(2, Buffer.alloc(200), { key: null }));
            if (i % 300 === 0) {
              pieces.push(frame(2, Buffer.alloc(100000), { key: null }));
            }
            const data = `${number}-${i}-`.padEnd(125, 'p');
            pieces.push(frame(9, data, { key: null }));
          }
          socket.write(Buffer.concat(pieces));
          let last = -1;
          while (last < count - 1) {
            const pong = await wire.frame();
            assert.ok(pong, 'the connection ends');
            assert.equal(pong.opcode, 10);
            const [, which, at] = /^(\d)-(\d+)-p+$/.exec(`${pong.payload}`);
            assert.equal(Number(which), number);
            // Some are left out if pings arrive too fast, but never the last one.
            assert.ok(Number(at) > last);
            last = Number(at);
          }
          while (received < count + count / 300) await turn();
        }),
      );
    });
  });

  describe('a listener that throws', () => {
    it('does not stop the rest of the batch', async () => {
      const wss = track(await listen({ perMessageDeflate: false }));
      const { server, socket } = await bareClient(wss);
      const seen = [];
      const errors = await uncaught(async () => {
        server.on('message', (data) => {
          seen.push(data);
          if (data % 10 === 3) throw new Error(`at ${data}`);
        });
        const frames = Array.from({ length: 50 }, (_, i) => text(`${i}`));
        socket.end(Buffer.concat(frames));
        await closing(server);
      });
      assert.deepEqual(
        seen,
        Array.from({ length: 50 }, (_, i) => `${i}`),
      );
      assert.deepEqual(
        errors,
        [3, 13, 23, 33, 43].map((i) => `at ${i}`),
      );
    });

    it('does not stop what was sent before', async () => {
      const { client, server } = await pair({ perMessageDeflate: false });
      const errors = await uncaught(async () => {
        server.on('message', (data) => {
          server.send(`before ${data}`, () => {
            throw new Error(`callback ${data}`);
          });
          throw new Error(`message ${data}`);
        });
        const echoes = new Promise((resolve) => {
          const seen = [];
          client.on('message', (data) => {
            if (seen.push(data) === 3) resolve(seen);
          });
        });
        for (let i = 0; i < 3; i++) client.send(`${i}`);
        assert.deepEqual(await echoes, ['before 0', 'before 1', 'before 2']);
        client.close();
        await once(client, 'close');
      });
      assert.deepEqual(errors.sort(), [
        'callback 0',
        'callback 1',
        'callback 2',
        'message 0',
        'message 1',
        'message 2',
      ]);
    });

    it("for 'close' stops neither other listeners nor the clean-up", async () => {
      const wss = track(await listen({ perMessageDeflate: false }));
      const pairs = [];
      for (let i = 0; i < 3; i++) pairs.push(await join(wss));
      const errors = await uncaught(async () => {
        const closed = pairs
          .flatMap(({ client, server }) => [client, server])
          .map(closing);
        for (const { client } of pairs) {
          client.on('close', () => {
            throw new Error('on close');
          });
        }
        for (const { server } of pairs) server.close();
        await Promise.all(closed);
        await turn();
      });
      assert.deepEqual(errors, ['on close', 'on close', 'on close']);
      assert.equal(wss.clients.size, 0);
    });
  });

  describe('a busy connection', () => {
    /** Keeps a connection of `wss` busy until `stop` of the result is called. */
    async function flood(wss) {
      const { server, socket } = await bareClient(wss);
      const busy = { count: 0, stop: () => (busy.stopped = true) };
      const chunk = Buffer.concat(
        Array.from({ length: 2000 }, () => text('x')),
      );
      server.on('message', () => busy.count++);
      const write = () => {
        while (!busy.stopped && socket.write(chunk));
      };
      socket.on('drain', write);
      write();
      return busy;
    }

    it('does not delay promises and ticks', async function () {
      this.timeout(10000);
      const wss = track(await listen({ perMessageDeflate: false }));
      const busy = await flood(wss);
      const { client, server } = await join(wss);
      server.on('message', async (data) => {
        for (let i = 0; i < 100; i++) await null;
        await new Promise((resolve) => process.nextTick(resolve));
        server.send(data);
      });
      const before = busy.count;
      for (let i = 0; i < 20; i++) {
        client.send(`${i}`);
        assert.equal((await once(client, 'message'))[0], `${i}`);
      }
      busy.stop();
      assert.ok(busy.count > before);
    });

    it('does not delay timers and immediates', async function () {
      this.timeout(10000);
      const wss = track(await listen({ perMessageDeflate: false }));
      const busy = await flood(wss);
      const before = busy.count;
      for (let i = 0; i < 20; i++) {
        const start = Date.now();
        await new Promise((resolve) => setTimeout(resolve, 5));
        await turn();
        assert.ok(Date.now() - start < 500);
      }
      busy.stop();
      assert.ok(busy.count > before);
    });
  });

  describe('a compressed message', () => {
    const extensions = { 'Sec-WebSocket-Extensions': 'permessage-deflate' };

    /** Starts a server without a limit, and connects two raw clients. */
    async function twoBare() {
      const options = { perMessageDeflate: true, maxPayload: 0 };
      const wss = track(await listen(options));
      const first = await bareClient(wss, extensions);
      const second = await bareClient(wss, extensions);
      const seen = [];
      for (const { server } of [first, second]) {
        server.on('message', (data) => seen.push(data.length));
      }
      return { first, second, seen };
    }

    const bombs = {
      'a long frame': () => frame(2, bombOf(128), { rsv: 4 }),
      'a short frame': () => frame(2, bombOf(60), { rsv: 4 }),
      'short fragments': () => {
        const bomb = bombOf(128);
        const frames = [];
        for (let at = 0; at < bomb.length; at += 1000) {
          const fin = at + 1000 >= bomb.length;
          const rsv = at === 0 ? 4 : 0;
          const part = bomb.subarray(at, at + 1000);
          frames.push(frame(at === 0 ? 2 : 0, part, { fin, rsv }));
        }
        return Buffer.concat(frames);
      },
    };
    for (const [name, bomb] of Object.entries(bombs)) {
      it(`that is very long when inflated, and is ${name}, does not delay others`, async function () {
        this.timeout(10000);
        const { first, second, seen } = await twoBare();
        const bytes = bomb();
        const inflated = once(first.server, 'message');
        first.socket.write(bytes);
        second.socket.write(frame(1, 'light'));
        await inflated;
        assert.equal(seen[0], 5);
        assert.ok(seen[1] >= 60 * MIB, `${seen[1]}`);
        assert.equal(first.server.bytesReceived, bytes.length);
      });
    }

    it('that is heavy stays in order, in any chunks', async function () {
      this.timeout(10000);
      const { first, seen } = await twoBare();
      const { server, socket } = first;
      server.on('ping', (data) => seen.push(`ping ${data}`));
      const pieces = [];
      const expected = [];
      const push = (seen, ...frames) => {
        expected.push(seen);
        pieces.push(...frames);
      };
      for (let i = 0; i < 20; i++) {
        const light = 'x'.repeat(10 * i);
        push(10 * i, frame(1, deflate(light), { rsv: 4 }));
        push(`ping ${i}`, frame(9, `${i}`));
        const noise = deflate(randomBytes(70000 + i));
        const [head, tail] = [noise.subarray(0, 66000), noise.subarray(66000)];
        pieces.push(frame(2, head, { rsv: 4, fin: false }));
        push(`ping between ${i}`, frame(9, `between ${i}`));
        push(70000 + i, frame(0, tail));
        push(3 * MIB, frame(2, bombOf(3), { rsv: 4 }));
      }
      const bytes = Buffer.concat(pieces);
      const done = new Promise((resolve) => {
        server.on('ping', check);
        server.on('message', check);
        function check() {
          if (seen.length === expected.length) resolve();
        }
      });
      for (let at = 0, size = 1; at < bytes.length; at += size) {
        size = (size * 7 + 1) % 150000;
        socket.write(bytes.subarray(at, at + size));
        if (size % 2) await turn();
      }
      await done;
      assert.deepEqual(seen, expected);
      assert.equal(server.bytesReceived, bytes.length);
    });
  });

  describe('AsyncLocalStorage', () => {
    const storage = new AsyncLocalStorage();

    it('keeps the store that a client was made with', async () => {
      const wss = track(await listen());
      wss.on('connection', (ws) => {
        ws.on('message', (data) => ws.send(data));
      });
      const seen = [];
      const clients = ['a', 'b', undefined, 'c'].map((store) => {
        const open = () => track(new WebSocket(url(wss)));
        const client = store ? storage.run(store, open) : open();
        return { client, store };
      });
      await Promise.all(
        clients.map(async ({ client, store }) => {
          let left = 5;
          const done = new Promise((resolve) => {
            client.on('message', async () => {
              seen.push([store, storage.getStore()]);
              await null;
              seen.push([store, storage.getStore()]);
              if (--left === 0) resolve();
            });
          });
          await once(client, 'open');
          storage.run('sender', () => {
            for (let i = 0; i < 5; i++) client.send('x');
          });
          await done;
          const closed = new Promise((resolve) => {
            client.on('close', () => {
              seen.push([store, storage.getStore()]);
              resolve();
            });
          });
          client._socket.end();
          await closed;
        }),
      );
      assert.equal(seen.length, 44);
      for (const [expected, found] of seen) assert.equal(found, expected);
    });

    it('keeps the store that a connection was accepted with', async () => {
      const server = track(await listenHttp(http.createServer()));
      const wss = new WebSocket.Server({ noServer: true });
      let number = 0;
      server.on('upgrade', (req, socket, head) => {
        storage.run(`store ${number++}`, () => {
          wss.handleUpgrade(req, socket, head, (ws) => {
            const own = storage.getStore();
            ws.on('message', () => ws.send(`${own}, ${storage.getStore()}`));
          });
        });
      });
      const clients = [];
      for (let i = 0; i < 3; i++) {
        clients.push(track(new WebSocket(url(server))));
        await once(clients[i], 'open');
      }
      const answers = clients.map((client) => once(client, 'message'));
      for (const client of clients) client.send('?');
      const stores = (await Promise.all(answers)).map(([data]) => data);
      assert.deepEqual(
        stores,
        [0, 1, 2].map((i) => `store ${i}, store ${i}`),
      );
    });

    it('keeps the store over pause and resume', async () => {
      const wss = track(await listen({ perMessageDeflate: false }));
      const { server, socket } = await bareClient(wss);
      const seen = [];
      const done = new Promise((resolve) => {
        server.on('message', (data) => {
          seen.push(storage.getStore());
          if (data === '0') {
            server.pause();
            setImmediate(() => storage.run('other', () => server.resume()));
          }
          if (data === '4') resolve();
        });
      });
      const frames = Array.from({ length: 5 }, (_, i) => text(`${i}`));
      socket.write(Buffer.concat(frames));
      await done;
      assert.deepEqual(seen, Array(5).fill(undefined));
    });
  });

  describe('bufferedAmount', () => {
    it('counts at once, and is 0 when all data is sent', async () => {
      const { client } = await pair({ perMessageDeflate: false });
      assert.equal(client.bufferedAmount, 0);
      const sizes = [100, 1000, 1, 30000];
      let payloads = 0;
      let frames = 0;
      const sent = new Promise((resolve) => {
        sizes.forEach((size, i) => {
          const last = i === sizes.length - 1 ? resolve : undefined;
          client.send(Buffer.alloc(size), last);
          payloads += size;
          frames += size + 14;
          const { bufferedAmount } = client;
          assert.ok(bufferedAmount >= payloads, `${bufferedAmount}`);
          assert.ok(bufferedAmount <= frames, `${bufferedAmount}`);
        });
      });
      await sent;
      assert.equal(client.bufferedAmount, 0);
    });

    it('counts what a handler sends', async () => {
      const { client, server } = await pair({ perMessageDeflate: false });
      server.on('ping', () => {});
      const amounts = [];
      server.on('message', (data) => {
        const before = server.bufferedAmount;
        server.send(data);
        amounts.push(server.bufferedAmount - before);
        process.nextTick(() => amounts.push(server.bufferedAmount > 0));
      });
      // After the first message, the engine knows that the socket takes data.
      for (let i = 0; i < 3; i++) {
        client.send('x'.repeat(1000));
        await once(client, 'message');
      }
      const counted = amounts.filter((amount) => typeof amount === 'number');
      assert.equal(counted.length, 3);
      for (const amount of counted) {
        assert.ok(amount >= 1000 && amount <= 1014, `${amount}`);
      }
      assert.equal(server.bufferedAmount, 0);
    });

    it('counts what is to be compressed', async function () {
      this.timeout(10000);
      const { client, socket } = await bareServer({}, ACCEPTED);
      socket.removeAllListeners('data');
      socket.pause();
      const sent = new Promise((resolve) => {
        client.send(randomBytes(16 * MIB), resolve);
      });
      // Another thread may have sent some of it, but nobody reads.
      assert.ok(client.bufferedAmount > 8 * MIB);
      socket.resume();
      await sent;
      assert.equal(client.bufferedAmount, 0);
    });

    it('counts what the other end does not read', async () => {
      const { client, socket } = await bareServer({ perMessageDeflate: false });
      socket.removeAllListeners('data');
      socket.pause();
      const total = 64 * MIB;
      let calls = 0;
      const sent = new Promise((resolve) => {
        for (let i = 0; i < 64; i++) {
          client.send(Buffer.alloc(MIB), () => {
            if (++calls === 64) resolve();
          });
        }
      });
      for (let i = 0; i < 5; i++) await turn();
      const { bufferedAmount } = client;
      assert.ok(bufferedAmount > total / 2, `${bufferedAmount}`);
      assert.ok(bufferedAmount <= total + 64 * 14, `${bufferedAmount}`);
      assert.ok(calls < 64);
      socket.resume();
      await sent;
      assert.equal(client.bufferedAmount, 0);
    });
  });

  describe('pause', () => {
    it('delivers nothing until resume, even within a batch', async () => {
      const wss = track(await listen({ perMessageDeflate: false }));
      const { server, socket } = await bareClient(wss);
      const seen = [];
      let paused;
      const wait = new Promise((resolve) => {
        paused = resolve;
      });
      const all = new Promise((resolve) => {
        server.on('message', (data) => {
          seen.push(Number(data));
          if (data === '10') {
            server.pause();
            paused();
          }
          if (data === '49') resolve();
        });
      });
      server.on('ping', () => seen.push('ping'));
      const frames = Array.from({ length: 50 }, (_, i) => text(`${i}`));
      frames.splice(30, 0, frame(9, '', { key: null }));
      socket.write(Buffer.concat(frames));
      await wait;
      for (let i = 0; i < 10; i++) await turn();
      assert.equal(seen.length, 11);
      server.resume();
      await all;
      const expected = Array.from({ length: 50 }, (_, i) => i);
      expected.splice(30, 0, 'ping');
      assert.deepEqual(seen, expected);
    });

    it('and resume keep the order when called repeatedly', async () => {
      const { client, server } = await pair({ perMessageDeflate: false });
      const total = 500;
      const seen = [];
      const all = new Promise((resolve) => {
        server.on('message', (data) => {
          seen.push(data);
          server.pause();
          if (seen.length === total) resolve();
          else if (seen.length % 2) server.resume();
          else setImmediate(() => server.resume());
        });
      });
      for (let i = 0; i < total; i++) client.send(`${i}`);
      await all;
      assert.deepEqual(
        seen,
        Array.from({ length: total }, (_, i) => `${i}`),
      );
    });
  });

  describe('an end', () => {
    const ends = {
      'half-close by the client': [({ client }) => client._socket.end()],
      'half-close by the server': [({ server }) => server._socket.end()],
      'reset by the client': [({ client }) => client._socket.resetAndDestroy()],
      'reset by the server': [({ server }) => server._socket.resetAndDestroy()],
      'destroy by the client': [({ client }) => client._socket.destroy()],
      'destroy by the server': [({ server }) => server._socket.destroy()],
      'terminate by the client': [({ client }) => client.terminate()],
      'terminate by the server': [({ server }) => server.terminate()],
    };
    /**
     * The states before the end. Each function brings it about, and then calls `end`.
     */
    const states = {
      'before data': (both, end) => end(both),
      'mid-message': (both, end) => {
        // A part of a frame, from both ends.
        both.client._socket.write(frame(2, 'abc', { length: 1000 }));
        both.server._socket.write(
          frame(2, 'abc', { length: 100000, key: null }),
        );
        setImmediate(end, both);
      },
      'within a handler': (both, end) => {
        both.server.on('message', () => {
          if (both.server._socket && both.client._socket) end(both);
        });
        both.client.on('message', () => {});
        for (let i = 0; i < 10; i++) both.client.send(`${i}`);
        both.server.send('x'.repeat(100000));
      },
      'with much to send': (both, end) => {
        for (let i = 0; i < 8; i++) {
          both.client.send(Buffer.alloc(MIB));
          both.server.send(Buffer.alloc(MIB));
        }
        setImmediate(end, both);
      },
      'with much to compress': (both, end) => {
        both.client.send(randomBytes(MIB));
        both.server.send(Buffer.alloc(MIB));
        setImmediate(end, both);
      },
    };

    for (const [manner, [end]] of Object.entries(ends)) {
      for (const [state, prepare] of Object.entries(states)) {
        it(`${manner}, ${state}: closes once, with 1006`, async () => {
          const { client, server, wss } = await pair({
            perMessageDeflate: state === 'with much to compress',
          });
          const codes = { client: [], server: [] };
          client.on('error', () => {});
          server.on('error', () => {});
          const closed = [closing(client), closing(server)];
          client.on('close', (code) => codes.client.push(code));
          server.on('close', (code) => codes.server.push(code));
          prepare({ client, server }, end);
          await Promise.all(closed);
          await turn();
          assert.deepEqual(codes, { client: [1006], server: [1006] });
          assert.equal(wss.clients.size, 0);
          while (WebSocket.diagnostics().connections > 0) await turn();
        });
      }
    }

    it('by the peer closes the descriptor', async function () {
      if (descriptors() === 0) this.skip();
      this.timeout(5000);
      const wss = track(await listen({ perMessageDeflate: false }));
      const cycle = async (end) => {
        const { server, socket } = await bareClient(wss);
        socket.on('error', () => {});
        socket.write(frame(2, 'abc', { length: 1000 }));
        const closed = closing(server);
        const gone = once(socket, 'close');
        end(socket);
        assert.equal((await closed)[0], 1006);
        socket.destroy();
        await gone;
      };
      await cycle((socket) => socket.destroy());
      while (wss.clients.size > 0) await turn();
      const before = descriptors();
      for (let i = 0; i < 20; i++) {
        await cycle((socket) => socket.end());
        await cycle((socket) => socket.resetAndDestroy());
        await cycle((socket) => socket.destroy());
      }
      while (descriptors() > before) await turn();
    });
  });

  describe('the process', () => {
    it('keeps running when no descriptors are left', async function () {
      this.timeout(20000);
      for (const limit of [79, 80]) {
        const result = await run('few-descriptors', [], { limit });
        assert.ok(result.count > 0);
      }
    });

    /** Starts the program `client`. Resolves when it is connected. */
    async function program(...args) {
      const wss = track(await listen({ perMessageDeflate: false }));
      const child = start('client', [args[0], url(wss), ...args.slice(1)]);
      const [server] = await once(wss, 'connection');
      server.on('error', () => {});
      return { child, server };
    }

    it('stays alive with an open connection, and ends after it', async () => {
      const { child, server } = await program('stay');
      // Some round trips, long after the code of the program has run.
      for (let i = 0; i < 20; i++) {
        server.ping();
        await once(server, 'pong');
      }
      assert.doesNotMatch(child.output, /exit/);
      server.close();
      const { code, output } = await child.ended;
      assert.deepEqual([code, output], [0, 'open\nexit\n']);
    });

    for (const manner of ['close', 'terminate']) {
      it(`ends by itself after ${manner}`, async () => {
        const { child } = await program(manner);
        assert.equal((await child.ended).code, 0);
      });
    }

    it('ends by itself when its only connection is unref', async () => {
      const { child } = await program('unref');
      assert.equal((await child.ended).code, 0);
    });

    it('stays alive when its connection is ref again', async () => {
      const { child, server } = await program('ref');
      for (let i = 0; i < 20; i++) {
        server.ping();
        await once(server, 'pong');
      }
      assert.doesNotMatch(child.output, /exit/);
      server.terminate();
      assert.equal((await child.ended).code, 0);
    });

    for (const size of [5, 30000]) {
      it(`sends ${size} bytes before exit() in a listener`, async () => {
        const { child, server } = await program('stay', size);
        const message = once(server, 'message');
        server.send('exit');
        const [data] = await message;
        assert.equal(data.length, size);
        assert.equal((await child.ended).code, 0);
      });
    }

    it("sends a message before exit() in 'open'", async () => {
      const wss = track(await listen({ perMessageDeflate: false }));
      const message = new Promise((resolve) => {
        wss.on('connection', (ws) => {
          ws.on('message', resolve);
          ws.on('close', () => resolve('nothing'));
        });
      });
      const child = start('client', ['exit', url(wss), 5]);
      assert.equal(await message, 'xxxxx');
      assert.equal((await child.ended).code, 0);
    });

    it("sends a message before exit() in 'connection'", async () => {
      const child = start('server', [], { ipc: true });
      const [port] = await once(child, 'message');
      const client = track(new WebSocket(`ws://127.0.0.1:${port}`));
      const message = new Promise((resolve) => {
        client.on('error', () => {});
        client.on('message', resolve);
        client.on('close', () => resolve('nothing'));
      });
      assert.equal(await message, 'last words');
      assert.equal((await child.ended).code, 0);
    });
  });

  describe('threads and processes', () => {
    it('the main thread and workers have engines of their own', async function () {
      this.timeout(10000);
      const { counts } = await run('worker-echo');
      assert.deepEqual(counts, [500, 500, 500, 500]);
    });

    it('a cluster shares a port', async function () {
      this.timeout(10000);
      assert.deepEqual(await run('cluster'), {
        codes: [0, 0],
        echoed: 20,
        ports: 1,
        pids: 2,
      });
    });
  });

  describe('ws._socket', () => {
    it('is the socket of Node', async () => {
      const { client, server } = await pair();
      assert.ok(client._socket instanceof net.Socket);
      assert.equal(client._socket.remoteAddress, '127.0.0.1');
      assert.equal(server._socket.remotePort, client._socket.localPort);
      assert.equal(server._socket, server.upgradeReq.socket);
    });

    it('writes in order with send', async () => {
      const { client, server } = await pair({ perMessageDeflate: false });
      const seen = [];
      const expected = [];
      const done = new Promise((resolve) => {
        client.on('message', (data) => {
          if (data === 'last') resolve();
          else seen.push(data);
        });
      });
      for (let i = 0; i < 20; i++) {
        const large = `${i}`.repeat(70000);
        server.send(`sent ${i}`);
        server._socket.write(text(`raw ${i}`));
        server._socket.write(frame(1, large, { key: null }));
        server.send(large);
        expected.push(`sent ${i}`, `raw ${i}`, large, large);
      }
      server.send('last');
      await done;
      assert.equal(seen.length, expected.length);
      seen.forEach((data, i) => assert.ok(data === expected[i], `at ${i}`));
    });

    it('calls the callback of write()', async () => {
      const { client, server } = await pair({ perMessageDeflate: false });
      const message = once(client, 'message');
      await new Promise((resolve, reject) => {
        server._socket.write('8103616263', 'hex', (error) => {
          if (error) reject(error);
          else resolve();
        });
      });
      assert.equal((await message)[0], 'abc');
    });

    it("reports backpressure, and emits 'drain' after it", async () => {
      const { client, socket } = await bareServer({ perMessageDeflate: false });
      socket.removeAllListeners('data');
      socket.pause();
      assert.equal(client._socket.writableNeedDrain, false);
      const drained = once(client._socket, 'drain');
      const raw = frame(2, Buffer.alloc(MIB), { key: null });
      let full = 0;
      for (let i = 0; i < 32; i++) if (!client._socket.write(raw)) full++;
      assert.ok(full > 0);
      assert.equal(client._socket.writableNeedDrain, true);
      socket.resume();
      await drained;
      assert.equal(client._socket.writableNeedDrain, false);
      assert.equal(client._socket.writableLength, 0);
    });

    it("emits 'drain' whenever write() has returned false", async () => {
      const { client, server } = await pair({ perMessageDeflate: false });
      server.on('message', (data) => server.send(data.length));
      // Now the engine knows that both sockets take data.
      client.send('x');
      await once(client, 'message');
      for (const size of [20000, 50000, 100000]) {
        const raw = frame(2, Buffer.alloc(size));
        if (client._socket.write(raw)) continue;
        await once(client._socket, 'drain');
        assert.equal(client._socket.writableNeedDrain, false);
      }
    });

    it('pauses and resumes', async () => {
      const { client, server } = await pair({ perMessageDeflate: false });
      const seen = [];
      server.on('message', (data) => seen.push(data));
      server._socket.pause();
      const sent = new Promise((resolve) => client.send('x', resolve));
      await sent;
      for (let i = 0; i < 10; i++) await turn();
      assert.deepEqual(seen, []);
      const message = once(server, 'message');
      server._socket.resume();
      await message;
      assert.deepEqual(seen, ['x']);
    });

    it('counts the bytes read, message by message', async () => {
      const { client, server } = await pair({ perMessageDeflate: false });
      const socket = server._socket;
      const before = socket.bytesRead;
      assert.ok(before > 100, 'the handshake counts');
      let wire = 0;
      for (const size of [0, 5, 1000, 70000, 300000]) {
        client.send(Buffer.alloc(size));
        await once(server, 'message');
        wire += frame(2, Buffer.alloc(size)).length;
        assert.equal(socket.bytesRead - before, wire);
        assert.equal(server.bytesReceived, wire);
      }
      const closed = closing(server);
      client.terminate();
      await closed;
      assert.equal(socket.bytesRead - before, wire);
    });

    it('counts the bytes read of an incomplete message', async () => {
      const wss = track(await listen({ perMessageDeflate: false }));
      const { server, socket } = await bareClient(wss);
      const before = server._socket.bytesRead;
      const half = frame(2, Buffer.alloc(500), { length: 1000 });
      socket.write(half);
      while (server._socket.bytesRead < before + half.length) await turn();
      assert.equal(server._socket.bytesRead, before + half.length);
      assert.equal(server.bytesReceived, 0, 'it counts what was told');
    });

    it('counts the bytes written', async () => {
      const { client, server } = await pair({ perMessageDeflate: false });
      const socket = server._socket;
      const before = socket.bytesWritten;
      assert.ok(before > 100, 'the handshake counts');
      let wire = 0;
      for (const size of [0, 5, 1000, 70000, 300000]) {
        await new Promise((resolve) => {
          server.send(Buffer.alloc(size), resolve);
          assert.ok(socket.bytesWritten >= before + wire + size, 'at once');
        });
        wire += frame(2, Buffer.alloc(size), { key: null }).length;
        assert.equal(socket.bytesWritten - before, wire);
      }
      const closed = closing(server);
      client.terminate();
      await closed;
      assert.equal(socket.bytesWritten - before, wire);
    });

    it('counts queued bytes as written', async () => {
      const { client, socket } = await bareServer({ perMessageDeflate: false });
      socket.removeAllListeners('data');
      socket.pause();
      const { bytesWritten } = client._socket;
      const written = () => client._socket.bytesWritten - bytesWritten;
      for (let i = 0; i < 32; i++) client.send(Buffer.alloc(MIB));
      assert.ok(written() >= 32 * MIB, 'at once');
      const wire = 32 * frame(2, Buffer.alloc(MIB)).length;
      // Another thread may not have encoded all messages: then payloads are counted.
      while (written() !== wire) await turn();
      assert.ok(client.bufferedAmount > 0);
    });

    it('is destroyed by destroySoon() when all data is written', async () => {
      const { client, server } = await pair({ perMessageDeflate: false });
      client.pause();
      for (let i = 0; i < 8; i++) server.send(Buffer.alloc(MIB));
      const socket = server._socket;
      socket.destroySoon();
      for (let i = 0; i < 5; i++) await turn();
      assert.ok(!socket.destroyed);
      let received = 0;
      client.on('message', (data) => (received += data.length));
      const closed = [closing(client), closing(server)];
      client.resume();
      const codes = (await Promise.all(closed)).map(([code]) => code);
      assert.deepEqual(codes, [1006, 1006]);
      assert.equal(received, 8 * MIB);
      assert.ok(socket.destroyed);
    });

    it('has methods that return the socket', async () => {
      const { client } = await pair();
      const socket = client._socket;
      for (const name of ['ref', 'unref', 'pause', 'resume', 'setNoDelay']) {
        assert.equal(socket[name](), socket, name);
      }
      socket.ref();
    });
  });

  describe('diagnostics', () => {
    it('tell how connections are carried', async () => {
      const { client, server } = await pair();
      const host = IS_STREAM ? null : process.env.OXWS_HOST;
      for (const ws of [client, server]) {
        const found = WebSocket.diagnostics(ws);
        assert.equal(found.transport, IS_STREAM ? 'stream' : 'native');
        if (IS_STREAM || host) assert.equal(found.host, host);
        assert.equal(found.connections, 1);
        assert.equal(found.queuedBytes, 0);
      }
      const isNode = IS_STREAM || process.env.OXWS_LISTENER === 'node';
      const { listener } = WebSocket.diagnostics(server);
      assert.equal(listener, isNode ? 'node' : 'engine');
      assert.equal(WebSocket.diagnostics(client).listener, null);
      const all = WebSocket.diagnostics();
      assert.equal(all.connections, IS_STREAM ? 0 : 2);
      assert.equal(all.listener, isNode ? null : 'engine');
    });

    it('come with a warning if OXWS_HOST has another value', async () => {
      const wss = track(await listen());
      const program = path.join(__dirname, 'fixtures-engine', 'unref.js');
      const { stderr } = await promisify(execFile)(
        process.execPath,
        [program, url(wss)],
        { env: { ...process.env, OXWS_HOST: 'inlien', OXWS_TRANSPORT: '' } },
      );
      assert.match(stderr, /Warning: OXWS_HOST is 'inlien', which is none of/);
    });

    it('count queued bytes, and nothing after the end', async () => {
      const { client, server } = await pair({ perMessageDeflate: false });
      server.pause();
      for (let i = 0; i < 32; i++) client.send(Buffer.alloc(MIB));
      assert.ok(WebSocket.diagnostics(client).queuedBytes > 16 * MIB);
      if (!IS_STREAM) {
        assert.ok(WebSocket.diagnostics().queuedBytes > 16 * MIB);
      }
      const closed = [closing(client), closing(server)];
      client._socket.destroy();
      server._socket.destroy();
      await Promise.all(closed);
      assert.deepEqual(WebSocket.diagnostics(client), {
        transport: null,
        host: null,
        listener: null,
        connections: 0,
        queuedBytes: 0,
      });
      const { connections, queuedBytes } = WebSocket.diagnostics();
      assert.deepEqual([connections, queuedBytes], [0, 0]);
    });
  });
});
