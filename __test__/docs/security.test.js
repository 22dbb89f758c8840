'use strict';

const assert = require('node:assert/strict');
const { once } = require('events');
const fs = require('fs');
const http = require('http');
const net = require('net');
const path = require('path');

const App = require('./App');
const Document = require('./Document');
const { frame } = require('../support');
const { version } = require('../../package.json');
const WebSocket2016 = require('../..');
const { WebSocket, WebSocketServer } = require('../../ws8');

const NAME = 'SECURITY.md';
const root = path.join(__dirname, '..', '..');

const MIB = 1024 * 1024;

describe(NAME, function () {
  this.timeout(20000);

  const document = new Document(NAME);

  it('supports the version that there is', () => {
    const [[newest]] = document.table('Supported versions');
    assert.ok(version.startsWith(`${newest}.`));
  });

  describe('Limits and their defaults', () => {
    const rows = document.table('Limits and their defaults');

    /** The cells of a limit for both APIs: that of 2016, and that of ws 8. */
    const limit = (name) => rows.find(([what]) => what === name).slice(2, 4);

    const inWords = (bytes) => `${bytes / MIB} MiB`;
    const seconds = (milliseconds) => `${milliseconds / 1000} s`;
    const counted = (number) => number.toLocaleString('en');

    const of8 = new WebSocketServer({ noServer: true }).options;
    const of2016 = new WebSocket2016.Server({ noServer: true }).options;
    const server = http.createServer();

    it('are right of servers', () => {
      assert.deepEqual(limit('longest message, server'), [
        inWords(of2016.maxPayload),
        inWords(of8.maxPayload),
      ]);
      const [, fragments] = limit('fragments of a message');
      assert.equal(fragments, counted(of8.maxFragments));
      const [, pongs] = limit('automatic pongs that wait');
      assert.equal(pongs, String(of8.maxPendingAutoPongs));
      const [, closing] = limit('time for the closing handshake');
      assert.equal(closing, seconds(of8.closeTimeout));
      const names = (on) => (on ? 'on' : 'off');
      assert.deepEqual(limit('permessage-deflate, server'), [
        names(of2016.perMessageDeflate),
        names(of8.perMessageDeflate),
      ]);
    });

    it('are right of clients', () => {
      const ws = new WebSocket2016('ws://127.0.0.1:1/');
      ws.on('error', () => {});
      ws.terminate();
      const [longest] = limit('longest message, client');
      assert.equal(longest, inWords(ws.maxPayload));
    });

    it('are right of fragments', () => {
      const [most] = limit('fragments of a message');
      const count = Number(most.replaceAll(',', ''));
      const next = frame(0, '', { fin: false, key: null });
      const outcome = (fragments) => {
        const receiver = new WebSocket2016.Receiver();
        let code = null;
        receiver.onerror = (error) => {
          code = error.code;
        };
        receiver.add(frame(1, '', { fin: false, key: null }));
        receiver.add(Buffer.alloc((fragments - 1) * next.length, next));
        return code;
      };
      assert.equal(outcome(count), null);
      assert.equal(outcome(count + 1), 'WS_ERR_TOO_MANY_BUFFERED_PARTS');
    });

    it('are right of Node', () => {
      const heads = `${http.maxHeaderSize / 1024} KiB`;
      assert.deepEqual(limit('head of a request'), [heads, heads]);
      for (const [name, value] of [
        ['time for the head of a request', server.headersTimeout],
        ['time for a request', server.requestTimeout],
      ]) {
        assert.deepEqual(limit(name), [seconds(value), seconds(value)]);
      }
    });
  });

  describe('Known attacks', () => {
    for (const [attack, , tests] of document.table('Known attacks')) {
      it(attack, () => {
        const named = [...tests.matchAll(/\]\(([^)]+)\): `([^`]+)`/g)];
        assert.ok(named.length > 0);
        assert.equal(named.length, tests.split(';').length);
        for (const [, file, title] of named) {
          const text = fs.readFileSync(path.join(root, file), 'utf8');
          assert.ok(text.includes(title), `${file}: ${title}`);
        }
      });
    }
  });

  describe('its programs:', () => {
    let app;

    beforeEach(async () => {
      app = await App.create(NAME);
    });

    afterEach(() => app.close());

    async function serve(file) {
      const child = app.start(file);
      await app.printed(child, /listening/);
      return child;
    }

    const make = (options) =>
      new WebSocket(`ws://127.0.0.1:${app.port()}/`, options);

    async function connect(options) {
      const ws = make(options);
      ws.closed = once(ws, 'close').then(([code]) => code);
      await once(ws, 'open');
      return ws;
    }

    /** The status that a client is refused with. */
    async function refusal(options) {
      const [, response] = await once(make(options), 'unexpected-response');
      response.resume();
      return response.statusCode;
    }

    async function echo(ws, text) {
      const received = once(ws, 'message');
      ws.send(text);
      return String((await received)[0]);
    }

    it('origin.js accepts pages of its own only', async () => {
      await serve('origin.js');
      const ws = await connect({ origin: 'https://example.com' });
      assert.equal(await echo(ws, 'Hello'), 'Hello');
      ws.terminate();
      for (const origin of ['https://example.com.evil.example', undefined]) {
        assert.equal(await refusal({ origin }), 401);
      }
    });

    it('authenticate.js accepts who has a session', async () => {
      await serve('authenticate.js');
      const cookie = (value) => ({ headers: { Cookie: value } });
      const ws = await connect(cookie('a=b; session=5e2f0a61'));
      assert.equal(await echo(ws, 'Hello'), 'Ada: Hello');
      ws.terminate();
      assert.equal(await refusal(cookie('session=other')), 401);
      assert.equal(await refusal({}), 401);
    });

    describe('limits.js', () => {
      it('limits the connections of an address', async () => {
        app.edit('limits.js', {
          'MAX_OF_ADDRESS = 20': 'MAX_OF_ADDRESS = 2',
          'count(remoteAddress, -1)':
            "console.log('closed', count(remoteAddress, -1))",
        });
        const server = await serve('limits.js');
        const first = await connect();
        const second = await connect();
        assert.equal(await refusal(), 429);
        first.close();
        await app.printed(server, /closed/);
        const third = await connect();
        assert.equal(await echo(third, 'Hello'), 'Hello');
        for (const ws of [second, third]) ws.terminate();
      });

      it('limits all connections', async () => {
        app.edit('limits.js', { '= 10000;': '= 1;' });
        await serve('limits.js');
        const ws = await connect();
        assert.equal(await refusal(), 503);
        ws.terminate();
      });

      it('limits messages in number and length', async () => {
        const server = await serve('limits.js');
        const many = await connect();
        // More than two seconds allow.
        for (let i = 0; i <= 100; i++) many.send('x');
        assert.equal(await many.closed, 1008);
        const long = await connect();
        long.send('x'.repeat(64 * 1024 + 1));
        assert.equal(await long.closed, 1009);
        await app.printed(server, /: WS_ERR_UNSUPPORTED_MESSAGE_LENGTH$/m);
      });

      it('limits what waits for a client', async () => {
        app.edit('limits.js', { 'MAX_MESSAGES = 50;': 'MAX_MESSAGES = 5000;' });
        await serve('limits.js');
        const ws = await connect();
        const count = 400;
        let received = 0;
        const all = new Promise((resolve) => {
          ws.on('message', () => {
            received++;
            if (received === count) resolve('all of it came');
          });
        });
        ws.pause();
        const sent = Array.from(
          { length: count },
          () =>
            new Promise((resolve) => ws.send(Buffer.alloc(60 * 1024), resolve)),
        );
        await Promise.all(sent);
        ws.resume();
        assert.equal(await Promise.race([ws.closed, all]), 1006);
      });

      it('ends a handshake that takes too long', async () => {
        app.edit('limits.js', {
          'headersTimeout: 10000': 'headersTimeout: 300',
          'connectionsCheckingInterval: 5000':
            'connectionsCheckingInterval: 100',
        });
        await serve('limits.js');
        const socket = net.connect(app.port(), '127.0.0.1');
        socket.on('error', () => {});
        socket.write('GET / HTTP/1.1\r\nHost: x\r\n');
        const [answer] = await once(socket, 'data');
        assert.match(String(answer), /^HTTP\/1\.1 408 /);
        socket.destroy();
      });
    });
  });
});
