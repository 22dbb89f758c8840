'use strict';

// The data that `send` accepts, when its memory may be used again, and the callback.

const assert = require('node:assert/strict');
const { AsyncLocalStorage } = require('async_hooks');
const { once } = require('events');
const vm = require('vm');
const zlib = require('zlib');

const WebSocket = require('..');
const { closing, frame, ledger, listen, uncaught, turn } = require('./support');

const MIB = 1 << 20;
const PLAIN = { perMessageDeflate: false };
const OFFER = { 'Sec-WebSocket-Extensions': 'permessage-deflate' };

/** Returns the data of a frame, which may be compressed. */
function dataOf({ rsv, payload }) {
  if (rsv !== 4) return payload;
  const { Z_SYNC_FLUSH: finishFlush } = zlib.constants;
  const tail = Buffer.from([0, 0, 255, 255]);
  return zlib.inflateRawSync(Buffer.concat([payload, tail]), { finishFlush });
}

describe('A message', () => {
  const { track, pair, bareClient, bareServer } = ledger();

  /** For each kind of end, creates a WebSocket, `ws`, whose peer is a raw socket. */
  const ENDS = {
    async server() {
      const wss = track(await listen(PLAIN));
      const { server: ws, socket, wire } = await bareClient(wss);
      return { ws, socket, wire };
    },

    async client() {
      const { client: ws, socket, wire } = await bareServer(PLAIN);
      return { ws, socket, wire };
    },

    async 'compressing server'() {
      const deflate = { serverNoContextTakeover: true };
      const wss = track(await listen({ perMessageDeflate: deflate }));
      const { server: ws, socket, wire } = await bareClient(wss, OFFER);
      return { ws, socket, wire };
    },
  };

  for (const [name, connect] of Object.entries(ENDS)) {
    describe(`of a ${name}`, () => {
      it('may be transferred at once', async () => {
        const { ws, socket, wire } = await connect();
        socket.pause();
        const owned = [];
        for (let i = 0; i < 8; i++) {
          const { buffer } = Buffer.alloc(MIB, 'A');
          ws.send(new Uint8Array(buffer));
          const moved = structuredClone(buffer, { transfer: [buffer] });
          owned.push(Buffer.from(moved).fill('S'));
        }
        socket.resume();
        const expected = Buffer.alloc(MIB, 'A');
        for (let i = 0; i < 8; i++) {
          assert.ok(
            dataOf(await wire.frame()).equals(expected),
            `message ${i}`,
          );
        }
      });

      it('may be resized at once', async function () {
        if (!('resizable' in ArrayBuffer.prototype)) this.skip();
        const { ws, socket, wire } = await connect();
        socket.pause();
        const buffer = new ArrayBuffer(4 * MIB, { maxByteLength: 4 * MIB });
        const sent = [];
        ws.send(new Uint8Array(buffer).fill(7), (error) => sent.push(error));
        buffer.resize(0);
        ws.send('after', (error) => sent.push(error));
        socket.resume();
        const expected = Buffer.alloc(4 * MIB, 7);
        assert.ok(dataOf(await wire.frame()).equals(expected));
        assert.equal(`${dataOf(await wire.frame())}`, 'after');
        while (sent.length < 2) await turn();
        assert.deepEqual(sent, [null, null]);
      });

      it('may be changed at once', async () => {
        const { ws, socket, wire } = await connect();
        socket.pause();
        const data = Buffer.alloc(2 * MIB);
        for (let i = 0; i < 4; i++) ws.send(data.fill(i));
        data.fill(255);
        socket.resume();
        for (let i = 0; i < 4; i++) {
          assert.ok(
            dataOf(await wire.frame()).equals(Buffer.alloc(2 * MIB, i)),
          );
        }
      });
    });
  }

  describe('of binary data', () => {
    const VALUES = {
      'a Uint8Array': () => new Uint8Array([1, 2, 255]),
      'an ArrayBuffer': () => new Uint8Array([1, 2, 255]).buffer,
      'a DataView': () =>
        new DataView(new Uint8Array([0, 1, 2, 255]).buffer, 1),
      'a SharedArrayBuffer'() {
        const shared = new SharedArrayBuffer(3);
        new Uint8Array(shared).set([1, 2, 255]);
        return shared;
      },
      'an ArrayBuffer of another realm': () =>
        vm.runInNewContext('new Uint8Array([1, 2, 255]).buffer'),
      'a view of another realm': () =>
        vm.runInNewContext('new Uint8Array([1, 2, 255])'),
      'a SharedArrayBuffer of another realm': () =>
        vm.runInNewContext(
          'const shared = new SharedArrayBuffer(3);' +
            'new Uint8Array(shared).set([1, 2, 255]); shared',
        ),
    };
    for (const [name, make] of Object.entries(VALUES)) {
      it(`may be ${name}`, async () => {
        const { client, server } = await pair(PLAIN, PLAIN);
        for (const [from, to] of [
          [client, server],
          [server, client],
        ]) {
          const received = once(to, 'message');
          from.send(make());
          const [data, { binary }] = await received;
          assert.equal(binary, true);
          assert.deepEqual([...data], [1, 2, 255]);
        }
      });
    }

    it('may be a long view of shared memory', async () => {
      const { client, server } = await pair(PLAIN, PLAIN);
      const shared = new SharedArrayBuffer(MIB);
      const received = once(client, 'message');
      server.send(new Uint8Array(shared).fill(9));
      new Uint8Array(shared).fill(1);
      assert.ok((await received)[0].equals(Buffer.alloc(MIB, 9)));
    });
  });

  describe('with a callback', () => {
    it('calls it with the store of AsyncLocalStorage of the send', async () => {
      const storage = new AsyncLocalStorage();
      const { client, server } = await pair();
      for (const ws of [client, server]) {
        const seen = [];
        const send = (store, data) =>
          storage.run(store, () =>
            ws.send(data, () => seen.push([store, storage.getStore()])),
          );
        send('first', 'x');
        ws.send('y', () => seen.push([undefined, storage.getStore()]));
        send('second', Buffer.alloc(10));
        send('long', Buffer.alloc(300000));
        while (seen.length < 4) await turn();
        for (const [expected, store] of seen) assert.equal(store, expected);
      }
    });

    it('calls it before a peer in the same process receives the message', async () => {
      const { client, server } = await pair(PLAIN, PLAIN);
      for (const [from, to] of [
        [client, server],
        [server, client],
      ]) {
        const events = [];
        to.on('message', (data) => events.push(`message ${data.length}`));
        for (let i = 0; i < 50; i++) {
          const length = [1, 300, 100000][i % 3];
          const expected = [`sent ${length}`, `message ${length}`];
          events.length = 0;
          from.send('x'.repeat(length), () => events.push(expected[0]));
          while (events.length < 2) await turn();
          // The system may take a long message in parts.
          if (length < 100000) assert.deepEqual(events, expected);
        }
        to.removeAllListeners('message');
      }
    });

    it('also runs its ticks and promises before that', async () => {
      const { client, server } = await pair(PLAIN, PLAIN);
      for (const [from, to] of [
        [client, server],
        [server, client],
      ]) {
        const events = [];
        to.once('message', () => events.push('message'));
        from.send('x', () => {
          events.push('callback');
          process.nextTick(() => events.push('tick'));
          Promise.resolve().then(() => events.push('promise'));
        });
        while (events.length < 4) await turn();
        assert.deepEqual(events, ['callback', 'tick', 'promise', 'message']);
      }
    });

    it('calls the other callbacks if one throws', async () => {
      const { client, server } = await pair(PLAIN, PLAIN);
      for (const ws of [client, server]) {
        const calls = [];
        const errors = await uncaught(async () => {
          for (let i = 0; i < 6; i++) {
            ws.send('x', () => {
              calls.push(i);
              if (i % 2 === 1) throw new Error(`${i}`);
            });
          }
          while (calls.length < 6) await turn();
          await turn();
        });
        assert.deepEqual(calls, [0, 1, 2, 3, 4, 5]);
        assert.deepEqual(errors, ['1', '3', '5']);
      }
    });

    it('is sent without an error after the end of the peer', async () => {
      const { ws, socket, wire } = await ENDS.server();
      socket.pause();
      const calls = [];
      for (let i = 0; i < 8; i++) {
        ws.send(Buffer.alloc(2 * MIB), (error) => calls.push(error));
      }
      const closed = closing(ws);
      socket.end();
      await closed;
      socket.resume();
      await wire.frames(8);
      while (calls.length < 8) await turn();
      assert.deepEqual(calls, Array(8).fill(null));
    });

    it('has the cause in its error if it is not sent', async () => {
      const { ws, socket, wire } = await ENDS.server();
      socket.pause();
      const calls = [];
      for (let i = 0; i < 4; i++) {
        ws.send(Buffer.alloc(8 * MIB), (error) => calls.push(error));
      }
      await turn();
      socket.resetAndDestroy();
      await wire.head();
      while (calls.length < 4) await turn();
      const [error] = calls.slice(-1);
      assert.equal(error.code, 'ERR_OXWS_NOT_SENT');
      assert.match(error.cause.code, /^(ECONNRESET|EPIPE)$/);
    });
  });

  it('behind stream() fails if the connection ends, even if a callback throws', async () => {
    const { ws, socket } = await ENDS.server();
    const calls = [];
    const errors = await uncaught(async () => {
      ws.stream(() => {});
      for (const name of ['a', 'b']) {
        ws.send(name, (error) => {
          calls.push(`${name} ${error.message}`);
          throw new Error(name);
        });
      }
      const closed = closing(ws);
      socket.end();
      assert.equal((await closed)[0], 1006);
      await turn();
    });
    assert.deepEqual(calls, ['a not opened', 'b not opened']);
    assert.deepEqual(errors, ['a', 'b']);
  });

  it('of the peer is delivered, and its promises are settled, before the end', async () => {
    const wss = track(await listen(PLAIN));
    const ends = [];
    while (ends.length < 10) ends.push(await bareClient(wss));
    const answered = ends.map(({ server, wire }) => {
      server.on('message', async (data) => {
        await null;
        server.send(`answer to ${data}`);
      });
      return wire.frame();
    });
    await turn();
    // All messages and ends arrive in one turn of the event loop.
    for (const { socket } of ends) socket.end(frame(1, 'x'));
    for (const answer of await Promise.all(answered)) {
      assert.equal(`${answer.payload}`, 'answer to x');
    }
  });

  it('arrives even if its socket is destroyed in the same tick', async () => {
    for (const connect of [ENDS.server, ENDS.client]) {
      const { ws, wire } = await connect();
      ws.send('bye');
      ws.close(1001);
      ws._socket.destroy();
      assert.equal(`${(await wire.frame()).payload}`, 'bye');
      assert.equal((await wire.frame()).payload.readUInt16BE(), 1001);
    }
  });

  it('before the connection is open is an error of its callback', () => {
    const ws = new WebSocket('ws://127.0.0.1:1');
    ws.on('error', () => {});
    ws.send('x', (error) => assert.equal(error.message, 'not opened'));
    assert.throws(() => ws.send('x'), /not opened/);
  });
});
