'use strict';

// What is scarce, and shared: descriptors, threads, memory, and turns of the event loop.

const assert = require('node:assert/strict');
const { fork, spawnSync } = require('child_process');
const { randomBytes } = require('crypto');
const { once } = require('events');
const fs = require('fs');
const http = require('http');
const path = require('path');
const zlib = require('zlib');

const {
  closing,
  frame,
  ledger,
  listen,
  listenHttp,
  programs,
  turn,
} = require('./support');

const MIB = 1 << 20;
const PLAIN = { perMessageDeflate: false };
const ACCEPTED = 'Sec-WebSocket-Extensions: permessage-deflate\r\n';
const IS_STREAM = process.env.OXWS_TRANSPORT === 'stream';

/** A user that may be kept from making threads: the superuser may not. */
const NOBODY = 65534;

describe('What is scarce', () => {
  const { track, pair, bareClient, bareServer } = ledger();
  const { run } = programs();

  describe('descriptors', () => {
    for (const left of [0, 3, 5, 8]) {
      it(`${left} of them at the start are enough to go on`, async function () {
        if (IS_STREAM) this.skip(); // It needs none of its own.
        this.timeout(20000);
        const found = await run('starved', [left], { limit: 60 });
        assert.equal(found.first.data, 'Hello');
        assert.deepEqual(found.last, { data: 'Hello', transport: 'native' });
      });
    }
  });

  describe('threads', () => {
    it('are not needed to compress', async function () {
      if (IS_STREAM) this.skip(); // Node ends a program whose pool cannot start.
      if (spawnSync('prlimit', ['--version']).error) this.skip();
      this.timeout(20000);
      const uid = process.getuid() === 0 ? NOBODY : undefined;
      if (uid !== undefined && !isReadableByAll()) this.skip();
      const found = await run('threadless', [], { uid });
      assert.equal(found.isSent, true);
      assert.equal(found.isRight, true);
    });

    it('are few, however much is to be compressed', async function () {
      const tasks = '/proc/self/task';
      if (IS_STREAM || !fs.existsSync(tasks)) this.skip();
      this.timeout(20000);
      const ends = await Promise.all(
        Array.from({ length: 20 }, () => pair({ perMessageDeflate: true })),
      );
      const text = randomBytes(MIB).toString('latin1');
      await Promise.all(
        ends.map(({ client, server }) => {
          const received = once(client, 'message');
          server.send(text);
          return received;
        }),
      );
      const names = fs
        .readdirSync(tasks)
        .map((task) => fs.readFileSync(`${tasks}/${task}/comm`, 'utf8').trim());
      const ours = names.filter((name) => name.startsWith('oxws work'));
      assert.ok(ours.length >= 1 && ours.length <= 4, `${names}`);
    });
  });

  describe('memory', () => {
    it('of a burst is given back', async function () {
      this.timeout(30000);
      const { growth, count } = await run('bursts', [], {
        node: ['--expose-gc'],
      });
      // The list of callbacks alone would keep 256 KiB, and what was read 58 KiB.
      assert.ok(growth < 200 * 1024 * count, `${growth / count} bytes each`);
    });

    /** A text of so many MiB, compressed, that refers to nothing before it. */
    function letters(mebibytes) {
      const { Z_FULL_FLUSH: finishFlush } = zlib.constants;
      const unit = zlib.deflateRawSync(Buffer.alloc(MIB, 'a'), { finishFlush });
      return Buffer.concat(Array(mebibytes).fill(unit)).subarray(0, -4);
    }

    for (const [name, options, size] of [
      ['than a client takes by default', {}, 257],
      ['than a string can be', { maxPayload: 0 }, 513],
    ]) {
      it(`a text that is longer ${name} is a violation`, async function () {
        this.timeout(30000);
        const { client, socket, wire } = await bareServer(options, ACCEPTED);
        const failed = once(client, 'error');
        const closed = closing(client);
        socket.write(frame(1, letters(size), { rsv: 4, key: null }));
        const { payload } = await wire.frame();
        assert.equal(payload.readUInt16BE(), 1009);
        const [error] = await failed;
        assert.equal(error.code, 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH');
        assert.equal((await closed)[0], 1006);
      });
    }

    it('a client can be told to take more', async function () {
      this.timeout(30000);
      const options = { maxPayload: 300 * MIB };
      const { client, socket } = await bareServer(options, ACCEPTED);
      const received = once(client, 'message');
      socket.write(frame(1, letters(257), { rsv: 4, key: null }));
      const [text] = await received;
      assert.equal(text.length, 257 * MIB);
    });
  });

  describe('turns', () => {
    /** Two ends in this process that answer each other for ever. */
    async function chatter() {
      const { client, server } = await pair(PLAIN, PLAIN);
      const chat = {
        trips: 0,
        stop() {
          client.removeAllListeners('message');
          server.removeAllListeners('message');
        },
      };
      server.on('message', (data) => server.send(data));
      client.on('message', (data) => {
        chat.trips++;
        client.send(data);
      });
      client.send('x');
      return chat;
    }

    it('are left to immediates', async () => {
      const chat = await chatter();
      let most = 0;
      while (chat.trips < 100) {
        const before = chat.trips;
        await turn();
        most = Math.max(most, chat.trips - before);
      }
      assert.ok(most <= 4, `${most} round trips between two immediates`);
      chat.stop();
    });

    it('are left to other sockets', async () => {
      const chat = await chatter();
      const agent = new http.Agent({ keepAlive: true });
      const server = track(await listenHttp());
      server.on('request', (request, response) => response.end('x'));
      const { port } = server.address();
      const get = () =>
        new Promise((resolve) => {
          http.get({ agent, host: '127.0.0.1', port }, (response) => {
            response.resume().on('end', resolve);
          });
        });
      await get();
      const before = chat.trips;
      const count = 50;
      for (let i = 0; i < count; i++) await get();
      const each = (chat.trips - before) / count;
      assert.ok(each < 20, `${each} round trips for a request`);
      agent.destroy();
      chat.stop();
    });

    describe('of one that floods', () => {
      let flooder;

      afterEach(() => {
        if (flooder.connected) flooder.disconnect();
      });

      /** A bare client and its counterpart, beside a client that floods the server. */
      async function flooded() {
        const wss = track(await listen(PLAIN));
        const calm = await bareClient(wss);
        const flood = { received: 0 };
        wss.on('connection', (ws) => ws.on('message', () => flood.received++));
        const { port } = wss._server.address();
        const file = path.join(__dirname, 'fixtures-engine', 'flooder.js');
        flooder = fork(file, [port]);
        while (flood.received < 100000) await turn();
        return { calm, flood };
      }

      /**
       * The messages of a few batches, and what a slow machine may have in between. By a
       * stream it is one turn of the loop, in which libuv reads up to 32 times 64 KiB.
       */
      const SOON = IS_STREAM ? (32 * 64 * 1024) / frame(2).length : 100000;

      it('are left to callbacks', async function () {
        this.timeout(10000);
        const { calm, flood } = await flooded();
        for (let i = 0; i < 5; i++) {
          const before = flood.received;
          await new Promise((resolve) => calm.server.send('x', resolve));
          assert.ok(flood.received - before < SOON);
        }
      });

      it('are left to what others send, and to their ends', async function () {
        this.timeout(10000);
        const { calm, flood } = await flooded();
        const before = flood.received;
        const received = once(calm.server, 'message');
        const closed = closing(calm.server);
        calm.socket.write(frame(1, 'x'));
        await received;
        calm.socket.end(frame(8, Buffer.from([0x0f, 0xa1])));
        assert.equal((await closed)[0], 4001);
        assert.ok(flood.received - before < 4 * SOON);
      });
    });
  });
});

/** Whether another user may read these files. */
function isReadableByAll() {
  const root = path.join(__dirname, '..');
  for (let at = root; at !== path.dirname(at); at = path.dirname(at)) {
    if ((fs.statSync(at).mode & 0o5) !== 0o5) return false;
  }
  return true;
}
