'use strict';

// Limited resources that connections share: descriptors, threads, memory, and turns of
// the event loop.

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

/** A user for whom threads can be limited. There is no limit for the superuser. */
const NOBODY = 65534;

describe('Limited resources', () => {
  const { track, pair, bareClient, bareServer } = ledger();
  const { run } = programs();

  describe('descriptors', () => {
    for (const left of [0, 3, 5, 8]) {
      it(`are enough if ${left} are left when the engine starts`, async function () {
        if (IS_STREAM) this.skip(); // A stream needs no descriptor of its own.
        this.timeout(20000);
        const found = await run('starved', [left], { limit: 60 });
        assert.equal(found.first.data, 'Hello');
        assert.deepEqual(found.last, { data: 'Hello', transport: 'native' });
      });
    }
  });

  describe('threads', () => {
    it('are not needed to compress', async function () {
      if (IS_STREAM) this.skip(); // Node aborts if its thread pool cannot start.
      if (spawnSync('prlimit', ['--version']).error) this.skip();
      this.timeout(20000);
      const uid = process.getuid() === 0 ? NOBODY : undefined;
      if (uid !== undefined && !isReadableByAll()) this.skip();
      const found = await run('threadless', [], { uid });
      assert.equal(found.isSent, true);
      assert.equal(found.isRight, true);
    });

    it('are at most 4, however much has to be compressed', async function () {
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
    it('of a burst is freed', async function () {
      this.timeout(30000);
      const { growth, count } = await run('bursts', [], {
        node: ['--expose-gc'],
      });
      // The list of callbacks alone would keep 256 KiB, and the input 58 KiB.
      assert.ok(growth < 200 * 1024 * count, `${growth / count} bytes each`);
    });

    /** Returns the payload of a compressed text of this many MiB. */
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

    it('a client accepts more with maxPayload', async function () {
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
    /** Connects two ends that answer each other without end. */
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

    describe('of a connection that floods the server', () => {
      let flooder;

      afterEach(() => {
        if (flooder.connected) flooder.disconnect();
      });

      /**
       * Connects a raw client, and a client in another process that floods the server.
       */
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
       * The maximum number of flooding messages until others have their turn: those of
       * a few batches or turns, with some reserve for slow machines.
       */
      const SOON = 100000;

      it('are left to callbacks', async function () {
        this.timeout(10000);
        const { calm, flood } = await flooded();
        for (let i = 0; i < 5; i++) {
          const before = flood.received;
          await new Promise((resolve) => calm.server.send('x', resolve));
          assert.ok(flood.received - before < SOON);
        }
      });

      it('are left to messages and ends of other connections', async function () {
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

/** Whether all users may read this folder. */
function isReadableByAll() {
  const root = path.join(__dirname, '..');
  for (let at = root; at !== path.dirname(at); at = path.dirname(at)) {
    if ((fs.statSync(at).mode & 0o5) !== 0o5) return false;
  }
  return true;
}
