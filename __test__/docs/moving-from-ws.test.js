'use strict';

const assert = require('node:assert/strict');
const { on, once } = require('events');
const fs = require('fs');
const net = require('net');
const path = require('path');

const App = require('./App');
const Document = require('./Document');
const manifest = require('../dependents/package.json');
const { version } = require('../../oxws8/package.json');
const { answer, frame, request, turn, uncaught } = require('../support');
const { WebSocket, WebSocketServer } = require('../../ws8');

const NAME = 'docs/moving-from-ws.md';
const PLAIN = { perMessageDeflate: false };
const isStream = process.env.OXWS_TRANSPORT === 'stream';

/** What stands between backticks in a cell. */
const codes = (cell) =>
  [...cell.matchAll(/`([^`]*)`/g)].map(([, code]) => code);

describe(NAME, function () {
  this.timeout(20000);

  const document = new Document(NAME);

  describe('Packages that ask for ws themselves', () => {
    const rows = document.table('Packages that ask for ws themselves');

    it('names the version of oxws8', () => {
      for (const [, , what] of rows) {
        assert.ok(what.includes(`npm:oxws8@^${version}`), what);
      }
    });

    it('has JSON for package.json', () => {
      for (const [, where, what] of rows) {
        if (codes(where)[0] !== 'package.json') continue;
        assert.doesNotThrow(() => JSON.parse(`{${codes(what)[0]}}`), what);
      }
    });

    it('has the override that the dependents are tested with', () => {
      const [[, , what]] = rows;
      const { overrides } = JSON.parse(`{${codes(what)[0]}}`);
      assert.equal(overrides.ws, manifest.overrides.ws);
    });
  });

  describe('check.js', () => {
    let app;

    beforeEach(async () => {
      app = await App.create(NAME);
    });

    afterEach(() => app.close());

    it('tells how connections are carried', async () => {
      const output = await app.run('check.js');
      const carried = /^connections are carried as (\w+), host (\w+)\n$/;
      const [, transport, host] = carried.exec(output);
      assert.equal(transport, isStream ? 'stream' : 'native');
      if (isStream) assert.equal(host, 'null');
      else assert.match(host, /^(inline|thread)$/);
    });

    it('tells the original apart', async () => {
      const ws = path.join(app.folder, 'node_modules', 'ws');
      fs.rmSync(ws);
      fs.mkdirSync(ws);
      const original = 'exports.WebSocket = class {};';
      fs.writeFileSync(path.join(ws, 'index.js'), original);
      await assert.rejects(app.run('check.js'), /this is the original ws/);
    });
  });

  describe('What differs from ws 8:', () => {
    let wss;
    let client;
    let server;

    beforeEach(async () => {
      wss = new WebSocketServer({ host: '127.0.0.1', port: 0, ...PLAIN });
      await once(wss, 'listening');
      const connected = once(wss, 'connection');
      const { port } = wss.address();
      client = new WebSocket(`ws://127.0.0.1:${port}`, PLAIN);
      await once(client, 'open');
      [server] = await connected;
    });

    afterEach(async () => {
      for (const ws of wss.clients) ws.terminate();
      client.terminate();
      const closed = once(wss, 'close');
      wss.close();
      await closed;
    });

    /** Sends a message that tells of the end, behind all others. */
    async function end() {
      client.send('end');
      for await (const [data] of on(server, 'message')) {
        if (String(data) === 'end') return;
      }
    }

    it('a late listener of the socket gets nothing', async function () {
      if (isStream) this.skip();
      await turn();
      const chunks = [];
      server._socket.on('data', (chunk) => chunks.push(chunk));
      await end();
      assert.deepEqual(chunks, []);
    });

    it('a method of the socket that is replaced is not called', async function () {
      if (isStream) this.skip();
      let calls = 0;
      client._socket.write = () => calls++;
      await end();
      assert.equal(calls, 0);
    });

    it('bufferedAmount counts until the tick ends', async () => {
      client.send('12345');
      assert.ok(client.bufferedAmount >= 5);
      await end();
      assert.equal(client.bufferedAmount, 0);
    });

    it('a SharedArrayBuffer stays as it is', async () => {
      const shared = new SharedArrayBuffer(64);
      client.send(shared);
      await end();
      assert.deepEqual(new Uint8Array(shared), new Uint8Array(64));
    });

    it('pause() holds back what is read already', async () => {
      const received = [];
      server.on('message', (data) => {
        received.push(String(data));
        if (received.length === 1) server.pause();
      });
      for (const text of ['1', '2', '3']) client.send(text);
      await once(server, 'message');
      await turn();
      assert.deepEqual(received, ['1']);
      const ended = end();
      server.resume();
      await ended;
      assert.deepEqual(received, ['1', '2', '3', 'end']);
    });

    it('a listener that throws stops nothing', async () => {
      const received = [];
      server.on('message', (data) => {
        received.push(String(data));
        if (received.length === 2) throw new Error('thrown');
      });
      const errors = await uncaught(async () => {
        for (const text of ['1', '2', '3']) client.send(text);
        await end();
      });
      assert.deepEqual(errors, ['thrown']);
      assert.deepEqual(received, ['1', '2', '3', 'end']);
    });

    it('a text fails at its first invalid byte', async () => {
      const connected = once(wss, 'connection');
      const socket = net.connect(wss.address().port, '127.0.0.1');
      socket.write(request());
      const [attacked] = await connected;
      const failed = once(attacked, 'error');
      socket.write(frame(1, [0xff], { length: 100 }));
      assert.equal((await failed)[0].code, 'WS_ERR_INVALID_UTF8');
      socket.destroy();
    });

    for (const [what, headers, status] of [
      ['a version of 13.0', { 'Sec-WebSocket-Version': '13.0' }, 400],
      ['Transfer-Encoding', { 'Transfer-Encoding': 'chunked' }, 400],
    ]) {
      it(`${what} gives ${status}`, async () => {
        assert.equal((await answer(wss, headers)).status, status);
      });
    }

    it('a line break of handleProtocols gives 500', async () => {
      wss.options.handleProtocols = () => 'a\r\nX-Other: b';
      const { status } = await answer(wss, { 'Sec-WebSocket-Protocol': 'a' });
      assert.equal(status, 500);
    });

    it('a verifyClient that throws gives 500', async () => {
      wss.options.verifyClient = () => {
        throw new Error('thrown');
      };
      let status;
      const errors = await uncaught(async () => {
        ({ status } = await answer(wss));
      });
      assert.deepEqual(errors, ['thrown']);
      assert.equal(status, 500);
    });
  });
});
