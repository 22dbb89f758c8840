'use strict';

// Attacks on the opening handshake that were possible with ws and similar packages.
// After each of them, the process must serve the next client.

const assert = require('node:assert/strict');
const { createHash } = require('crypto');
const { once } = require('events');
const http = require('http');
const net = require('net');

const WebSocket = require('..');
const {
  answer,
  frame,
  ledger,
  listen,
  listenHttp,
  reader,
  request,
  url,
} = require('./support');

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

const NODE = Number(process.versions.node.split('.')[0]);

describe('attacks on the handshake', () => {
  const { track } = ledger();

  /** Starts a server whose connections are destroyed after the test. */
  const serve = async (options) => {
    const wss = track(await listen(options));
    wss._server.on('connection', track);
    return wss;
  };

  /** Starts a raw server that accepts every client, with `headers` in its response. */
  const impostor = async (headers) => {
    const server = track(await listenHttp(net.createServer()));
    server.on('connection', async (socket) => {
      const head = await reader(track(socket)).head();
      const [, key] = /^sec-websocket-key: (.*)$/im.exec(head);
      const accept = createHash('sha1')
        .update(key + GUID)
        .digest('base64');
      socket.write(
        [
          'HTTP/1.1 101 Switching Protocols',
          'Upgrade: websocket',
          'Connection: Upgrade',
          `Sec-WebSocket-Accept: ${accept}`,
          ...headers,
          '\r\n',
        ].join('\r\n'),
      );
    });
    return server;
  };

  /** Connects a client to a server. Resolves to "open", or to the error. */
  const outcome = (server, protocols, options) =>
    new Promise((resolve) => {
      const client = new WebSocket(url(server), protocols, options);
      track(client);
      client.on('open', () => resolve('open'));
      client.on('error', resolve);
    });

  const names = ['__proto__', 'constructor', 'hasOwnProperty', 'toString'];

  describe('Sec-WebSocket-Extensions of a request', () => {
    const offer = async (value) => {
      const { status, headers } = await answer(await serve(), {
        'Sec-WebSocket-Extensions': value,
      });
      return [status, headers['sec-websocket-extensions']];
    };

    for (const name of names) {
      it(`declines an extension ${name}`, async () => {
        assert.deepEqual(await offer(name), [101, undefined]);
      });

      it(`declines an extension with a parameter ${name}`, async () => {
        assert.deepEqual(await offer(`x-any; ${name}; ${name}=1`), [
          101,
          undefined,
        ]);
      });

      it(`refuses permessage-deflate with a parameter ${name}`, async () => {
        const [status] = await offer(`permessage-deflate; ${name}`);
        assert.equal(status, 400);
      });
    }

    it('negotiates permessage-deflate among hostile names', async () => {
      const value = [...names, 'permessage-deflate', ...names].join(', ');
      assert.deepEqual(await offer(value), [101, 'permessage-deflate']);
    });

    it('does not change Object.prototype', async () => {
      const before = Reflect.ownKeys(Object.prototype);
      await offer('__proto__; polluted=1, constructor; prototype=1');
      assert.deepEqual(Reflect.ownKeys(Object.prototype), before);
    });

    it('is parsed promptly with very many blanks', async () => {
      const server = http.createServer({ maxHeaderSize: 4 << 20 });
      track(await listenHttp(server));
      track(new WebSocket.Server({ server }));
      const blanks = ' '.repeat(1 << 20);
      const { headers } = await answer(server, {
        'Sec-WebSocket-Extensions':
          `x${blanks}y, permessage-deflate${blanks};`.concat(
            `${blanks}client_max_window_bits`,
          ),
      });
      assert.equal(headers['sec-websocket-extensions'], 'permessage-deflate');
    });

    it('is parsed promptly with very many elements', async () => {
      const server = http.createServer({ maxHeaderSize: 4 << 20 });
      track(await listenHttp(server));
      track(new WebSocket.Server({ server }));
      const { headers } = await answer(server, {
        'Sec-WebSocket-Extensions': `${'x;,'.repeat(1 << 16)}permessage-deflate`,
      });
      assert.equal(headers['sec-websocket-extensions'], 'permessage-deflate');
    });
  });

  describe('Sec-WebSocket-Extensions of a response', () => {
    const fares = async (value) =>
      outcome(await impostor([`Sec-WebSocket-Extensions: ${value}`]));

    for (const name of names) {
      it(`does not crash a client by an extension ${name}`, async () => {
        const result = await fares(`${name}; ${name}`);
        assert.ok(result === 'open' || result instanceof Error);
        assert.equal(await outcome(await impostor([])), 'open');
      });

      it(`fails a client by a parameter ${name}`, async () => {
        const result = await fares(`permessage-deflate; ${name}`);
        assert.match(`${result}`, /^Error: invalid extension parameter/);
      });
    }

    for (const parameter of [
      'server_max_window_bits=7',
      'server_max_window_bits=16',
      'server_max_window_bits=-9',
      'server_max_window_bits=NaN',
      'server_max_window_bits=1e400',
      'server_max_window_bits=',
      'server_max_window_bits',
      'client_max_window_bits=16',
      'client_max_window_bits',
      'server_max_window_bits=10; server_max_window_bits=10',
    ]) {
      it(`fails a client by the parameter ${parameter}`, async () => {
        const result = await fares(`permessage-deflate; ${parameter}`);
        assert.match(`${result}`, /^Error: invalid extension parameter/);
      });
    }

    it('does not affect a server in the same process', async () => {
      const wss = await serve();
      await fares('permessage-deflate; server_max_window_bits=99');
      assert.equal(await outcome(wss), 'open');
    });

    it('opens a client with every valid window size', async () => {
      const results = [];
      for (let bits = 8; bits <= 15; bits++) {
        const value = `permessage-deflate; server_max_window_bits=${bits}`;
        results.push(await fares(value));
      }
      assert.deepEqual(results, Array(8).fill('open'));
    });
  });

  describe('Sec-WebSocket-Protocol', () => {
    const blanks = ' '.repeat(1 << 20);

    for (const [what, value, expected] of [
      ['after a comma', `a,${blanks}b`, ['a', 'b']],
      ['before a comma', `a${blanks},b`, ['a', 'b']],
      ['on both sides of a comma', `a${blanks},${blanks}b`, ['a', 'b']],
      ['within a name', `a${blanks}b`, [`a${blanks}b`]],
    ]) {
      it(`is parsed promptly with many blanks ${what}`, async () => {
        const server = http.createServer({ maxHeaderSize: 4 << 20 });
        track(await listenHttp(server));
        let offered;
        const handleProtocols = (list) => !(offered = list);
        track(new WebSocket.Server({ server, handleProtocols }));
        const { status } = await answer(server, {
          'Sec-WebSocket-Protocol': value,
        });
        assert.equal(status, 401);
        assert.deepEqual(
          offered.map((name) => name.trim()),
          expected,
        );
      });
    }

    it('of a response is checked promptly with many blanks', async () => {
      const value = `a${' '.repeat(8000)}b`;
      const server = await impostor([`Sec-WebSocket-Protocol: ${value}`]);
      const result = await outcome(server, ['a', 'b']);
      assert.match(`${result}`, /server responded with an invalid protocol/);
    });
  });

  describe('missing headers', () => {
    it('of a request object give 400 and do not throw', async () => {
      const server = track(await listenHttp());
      const wss = track(new WebSocket.Server({ noServer: true }));
      const accepted = [];
      server.on('upgrade', (req, socket, head) => {
        delete req.headers.upgrade;
        wss.handleUpgrade(req, socket, head, (ws) => accepted.push(ws));
      });
      assert.equal((await answer(server)).status, 400);
      assert.deepEqual(accepted, []);
    });

    // Up to Node.js 20, the parser recognizes the upgrade, but drops the headers beyond
    // the limit. Since Node.js 22, Node itself refuses such a request.
    for (const [name, before] of [
      ['Upgrade', []],
      ['Sec-WebSocket-Key', ['Upgrade', 'Connection']],
      ['Sec-WebSocket-Version', ['Upgrade', 'Connection', 'Sec-WebSocket-Key']],
    ]) {
      it(`are refused with ${name} beyond maxHeadersCount`, async () => {
        const server = http.createServer();
        server.maxHeadersCount = before.length + 1;
        track(await listenHttp(server));
        const wss = track(new WebSocket.Server({ server }));
        wss.on('connection', () => assert.fail('a connection'));
        const seen = [];
        server.on('upgrade', (req) => seen.push(Object.keys(req.headers)));
        const { status } = await answer(server);
        if (NODE < 22) {
          const names = ['Host', ...before].map((each) => each.toLowerCase());
          assert.deepEqual(seen, [names]);
          assert.equal(status, 400);
        } else {
          assert.deepEqual(seen, []);
          assert.equal(status, 431);
        }
      });
    }
  });

  describe('a socket that is gone before verifyClient answers', () => {
    /**
     * Resolves to a server and its `verifyClient` callback after the client has left.
     */
    const pending = async (leave, event) => {
      let ask;
      const asked = new Promise((resolve) => (ask = resolve));
      const verifyClient = (info, cb) => ask({ cb, socket: info.req.socket });
      const wss = await serve({ verifyClient });
      const { port } = wss._server.address();
      const client = track(net.connect(port, '127.0.0.1'));
      client.on('error', () => {});
      client.write(request());
      const { cb, socket } = await asked;
      const gone = new Promise((resolve) => socket.once(event, resolve));
      leave(client);
      await gone;
      wss.options.verifyClient = null;
      return { wss, cb };
    };

    for (const [what, leave, event] of [
      ['half-closed', (client) => client.end(), 'end'],
      ['closed', (client) => client.destroy(), 'end'],
      ['reset', (client) => client.resetAndDestroy(), 'close'],
    ]) {
      it(`cannot be accepted if it was ${what}`, async () => {
        const { wss, cb } = await pending(leave, event);
        const connected = once(wss, 'connection');
        cb(true);
        await answer(wss, { 'X-Next': 'yes' });
        const [ws] = await connected;
        assert.equal(ws.upgradeReq.headers['x-next'], 'yes');
      });

      it(`may be refused if it was ${what}`, async () => {
        const { wss, cb } = await pending(leave, event);
        cb(false, 403);
        assert.equal((await answer(wss)).status, 101);
      });
    }
  });

  describe('line breaks from the application', () => {
    for (const [what, breaks] of [
      ['CR LF', '\r\n'],
      ['LF', '\n'],
      ['CR', '\r'],
    ]) {
      it(`${what} of handleProtocols add no header`, async () => {
        const wss = await serve({
          handleProtocols: () => `chat${breaks}X-Injected: yes`,
        });
        const socket = net.connect(wss._server.address().port, '127.0.0.1');
        const wire = reader(track(socket));
        socket.write(request());
        const head = await wire.head();
        assert.ok(head);
        assert.doesNotMatch(head, /[\r\n]X-Injected:/);
      });
    }

    it('two CR LF of handleProtocols do not end the head', async () => {
      const wss = await serve({
        handleProtocols: () => 'chat\r\n\r\nX-Smuggled: yes',
      });
      const socket = net.connect(wss._server.address().port, '127.0.0.1');
      const closed = new Promise((resolve) => socket.on('close', resolve));
      const chunks = [];
      track(socket).on('error', () => {});
      socket.on('data', (chunk) => {
        // If the handshake was accepted, this close frame ends the connection.
        if (chunks.push(chunk) === 1) socket.end(frame(8));
      });
      socket.write(request());
      await closed;
      const text = Buffer.concat(chunks).toString();
      assert.match(text, /^HTTP\/1\.1 \d{3} /);
      assert.doesNotMatch(text, /\r\n\r\nX-Smuggled:/);
    });

    it('a bad value of handleProtocols does not affect later clients', async () => {
      let bad = true;
      const wss = await serve({
        handleProtocols: () => (bad ? 'a\r\nX-Injected: yes' : 'a'),
      });
      const first = await answer(wss);
      bad = false;
      const second = await answer(wss);
      assert.equal(first.headers['x-injected'], undefined);
      assert.equal(second.status, 101);
    });

    it('CR LF in the name of a refusal are sent only in its body', async () => {
      const name = 'no\r\nX-Injected: yes';
      const wss = await serve({
        verifyClient: (info, cb) => cb(false, 403, name),
      });
      const { status, headers, body } = await answer(wss);
      assert.deepEqual([status, body], [403, name]);
      assert.equal(headers['x-injected'], undefined);
    });
  });
});
