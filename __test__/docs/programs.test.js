'use strict';

const assert = require('node:assert/strict');
const { once } = require('events');
const fs = require('fs');
const http = require('http');
const net = require('net');
const path = require('path');

const App = require('./App');
const of2016 = require('../..');
const { closing, collect, ledger, reader, request } = require('../ws8/support');
const { WebSocket: of8 } = require('../ws8/support');

/** The references, each with what differs between their APIs. */
const APIS = [
  {
    document: 'docs/ws8.md',
    WebSocket: of8,
    broadcast: 'broadcast.mjs',
    /** The arguments of a listener for `'message'`. */
    message: (data, binary) => [Buffer.from(data), binary],
  },
  {
    document: 'docs/ws2016.md',
    WebSocket: of2016,
    broadcast: 'broadcast.js',
    message: (data, binary) => [data, { binary, masked: false }],
  },
];

for (const { document, WebSocket, broadcast, message } of APIS) {
  describe(`The programs of ${document}`, function () {
    // Each test starts a process.
    this.timeout(20000);

    const { track } = ledger(WebSocket);
    let app;

    beforeEach(async () => {
      app = await App.create(document);
    });

    afterEach(() => app.close());

    /** Starts a program that listens. */
    async function start(file, options) {
      const child = app.start(file, options);
      await app.printed(child, /^listening$/m);
      return child;
    }

    /** A client of the program, and its first messages, of which there may be some. */
    function join(target = '/', options = {}, count = 1) {
      const address = `ws://127.0.0.1:${app.port()}${target}`;
      const ws = track(new WebSocket(address, options));
      return { ws, messages: collect(ws, 'message', count) };
    }

    async function joinOpen(...args) {
      const client = join(...args);
      await once(client.ws, 'open');
      return client;
    }

    it('echo: text comes back, and the close code arrives', async () => {
      const output = await app.run('echo.js');
      assert.equal(output, 'received: hello\nclosed: 1000 done\n');
    });

    it('deflate: what is compressed is shorter on the wire', async () => {
      const output = await app.run('deflate.js');
      const lines = output.trim().split('\n');
      assert.equal(lines.shift(), 'agreed on: permessage-deflate');
      const seen = lines.map((line) => line.match(/\d+/g).map(Number));
      const [[long, compressed], [same, plain], [short, asItIs]] = seen;
      assert.equal(seen.length, 3);
      assert.deepEqual([long, same, short], [93000, 93000, 5]);
      assert.ok(compressed < 1000, output);
      // The heads of frames are masked: 14 and 6 bytes.
      assert.equal(plain, 93000 + 14);
      assert.equal(asItIs, 5 + 6);
    });

    it('broadcast: all but the sender get it', async () => {
      await start(broadcast);
      const [a, b, c] = [
        await joinOpen('/', {}, 1),
        await joinOpen('/', {}, 2),
        await joinOpen('/', {}, 3),
      ];
      a.ws.send('from a');
      a.ws.send(Buffer.from([1, 2, 3]));
      const text = message('from a', false);
      const bytes = message(Buffer.from([1, 2, 3]), true);
      assert.deepEqual(await b.messages, [text, bytes]);
      b.ws.send('from b');
      const answer = message('from b', false);
      assert.deepEqual(await a.messages, [answer]);
      assert.deepEqual(await c.messages, [text, bytes, answer]);
    });

    it('prepared: all in the same room get it', async () => {
      await start('prepared.js');
      const [a, b, c] = [
        await joinOpen('/red', {}, 2),
        await joinOpen('/red', {}, 2),
        await joinOpen('/blue', {}, 1),
      ];
      a.ws.send('from a');
      b.ws.send(Buffer.from([1, 2, 3]));
      c.ws.send('from c');
      const text = message('from a', false);
      const bytes = message(Buffer.from([1, 2, 3]), true);
      for (const { messages } of [a, b]) {
        const seen = await messages;
        const inOrder = String(seen[0][0]) === 'from a' ? seen : seen.reverse();
        assert.deepEqual(inOrder, [text, bytes]);
      }
      assert.deepEqual(await c.messages, [message('from c', false)]);
    });

    describe('upgrade', () => {
      const statusOf = async (target, headers) => {
        const { ws } = join(target, { headers });
        const [req, res] = await once(ws, 'unexpected-response');
        req.destroy();
        return res.statusCode;
      };

      beforeEach(() => start('upgrade.js'));

      it('knows the user of /chat', async () => {
        const headers = { Authorization: 'Bearer sesame' };
        const { ws, messages } = await joinOpen('/chat?room=1', { headers });
        ws.send('hello');
        assert.equal(String((await messages)[0][0]), 'Ada: hello');
      });

      it('refuses others there, and other paths', async () => {
        const headers = { Authorization: 'Bearer wrong' };
        assert.equal(await statusOf('/chat', {}), 401);
        assert.equal(await statusOf('/chat', headers), 401);
        assert.equal(await statusOf('/other', {}), 404);
      });

      it('greets anybody at /news', async () => {
        const { messages } = await joinOpen('/news');
        assert.equal(String((await messages)[0][0]), 'no news');
      });

      it('answers other requests', async () => {
        const req = http.get({ host: '127.0.0.1', port: app.port() });
        const [res] = await once(req, 'response');
        assert.equal(res.statusCode, 200);
        assert.equal(String(await once(res, 'data')), 'a page\n');
      });
    });

    it('backpressure: a client that does not read is waited for', async () => {
      const server = await start('backpressure.js');
      const { ws } = join();
      let count = 0;
      ws.on('message', (data) => {
        assert.equal(data.length, 64 * 1024);
        assert.equal(data[0], count & 0xff);
        count++;
      });
      ws.once('open', () => ws.pause());
      await app.printed(server, /^waiting for the client$/m);
      const closed = closing(ws);
      ws.resume();
      assert.deepEqual(await closed, [1000, '']);
      assert.equal(count, 500);
      await app.printed(server, /at most \d+ bytes/);
      const [, most] = /at most (\d+) bytes/.exec(server.output);
      const limit = 1024 * 1024;
      assert.ok(most > limit && most < limit + 2 * 64 * 1024, most);
    });

    it('heartbeat: who does not answer is gone', async () => {
      const env = { INTERVAL: '500' };
      const server = await start('heartbeat.js', { env });
      const alive = await joinOpen();
      let pings = 0;
      alive.ws.on('ping', () => pings++);
      // A WebSocket of 2016 always answers: this peer is made by hand.
      const dead = track(net.connect(app.port(), '127.0.0.1'));
      dead.write(request());
      assert.ok(await reader(dead).head());
      await once(dead, 'end');
      await app.printed(server, /^gone: 1006$/m);
      assert.equal(alive.ws.readyState, WebSocket.OPEN);
      assert.ok(pings > 0);
      assert.equal(server.output, 'listening\ngone: 1006\n');
    });

    it('upload: the file arrives as it is', async () => {
      const output = await app.run('upload.js');
      assert.deepEqual(output.trim().split('\n').sort(), [
        'received all',
        'sent all',
      ]);
      const read = (name) =>
        fs.readFileSync(path.join(app.folder, name), 'utf8');
      assert.equal(read('received'), read('upload.js'));
    });

    if (WebSocket === of8) {
      it('echo: the same with the package oxws8', async () => {
        const file = path.join(app.folder, 'echo.js');
        const text = fs.readFileSync(file, 'utf8');
        fs.writeFileSync(file, text.replace("'oxws/ws8'", "'oxws8'"));
        const output = await app.run('echo.js');
        assert.equal(output, 'received: hello\nclosed: 1000 done\n');
      });
    } else {
      it('pieces: the file is one message', async () => {
        await start('pieces.js');
        const { messages } = join();
        const file = fs.readFileSync(path.join(app.folder, 'pieces.js'));
        assert.ok(file.length > 512);
        assert.deepEqual(await messages, [message(file, true)]);
      });
    }
  });
}
