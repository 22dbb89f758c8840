'use strict';

const assert = require('node:assert/strict');
const { EventEmitter, once } = require('events');
const http = require('http');
const net = require('net');
const { Duplex } = require('stream');
const { inherits } = require('util');

const WebSocket = require('..');
const {
  answer,
  close,
  collect,
  exchange,
  frame,
  ledger,
  listen,
  listenHttp,
  pair,
  reader,
  request,
  url,
} = require('./support');

/** Returns two streams, each of which reads what is written to the other. */
function duplexPair() {
  const ends = [];
  const make = (other) =>
    new Duplex({
      allowHalfOpen: false,
      read() {},
      write(chunk, encoding, callback) {
        ends[other].push(chunk);
        callback();
      },
      final(callback) {
        ends[other].push(null);
        callback();
      },
    });
  ends.push(make(1), make(0));
  return ends;
}

describe('WebSocket.Server', () => {
  const { bareClient, track } = ledger();
  const serve = async (options) => track(await listen(options));

  /** Starts an HTTP server that passes its upgrades to a server in noServer mode. */
  const serveHanded = async (hand) => {
    const server = track(await listenHttp());
    const wss = track(new WebSocket.Server({ noServer: true }));
    const accepted = new Promise((resolve) => {
      server.on('upgrade', (...args) => {
        if (hand) hand(wss, args, resolve);
        else wss.handleUpgrade(...args, resolve);
      });
    });
    return { server, wss, accepted };
  };

  /** Starts a server on a given HTTP server. */
  const serveOn = async (options) => {
    const server = track(await listenHttp());
    const wss = new WebSocket.Server(Object.assign({ server }, options));
    track(wss);
    return { server, wss };
  };

  describe('close', () => {
    it('frees its own port', async () => {
      const wss = await serve();
      const { port } = wss._server.address();
      await close(wss);
      const [error] = await once(net.connect(port, '127.0.0.1'), 'error');
      assert.equal(error.code, 'ECONNREFUSED');
    });

    it('works without a callback', async () => {
      const wss = await serve();
      const closed = once(wss._server, 'close');
      wss.close();
      await closed;
    });

    it('gives the callback the error of closing the port', async () => {
      const wss = await serve();
      wss._server.close();
      const error = await new Promise((resolve) => wss.close(resolve));
      assert.equal(error.code, 'ERR_SERVER_NOT_RUNNING');
    });

    it('ends the clients of its own port', async () => {
      const wss = await serve();
      const { client, server } = await pair(wss);
      const gone = [once(client, 'close'), once(server, 'close')];
      await close(wss);
      assert.equal((await Promise.all(gone)).length, 2);
    });

    it('ends the clients on a given server', async () => {
      const { server, wss } = await serveOn();
      const connected = once(wss, 'connection');
      const client = track(new WebSocket(url(server)));
      const [socket] = await connected;
      await once(client, 'open');
      const gone = [once(client, 'close'), once(socket, 'close')];
      wss.close();
      assert.equal((await Promise.all(gone)).length, 2);
    });

    it('ends the clients in noServer mode', async () => {
      const { server, wss, accepted } = await serveHanded();
      const client = track(new WebSocket(url(server)));
      await Promise.all([once(client, 'open'), accepted]);
      const gone = once(client, 'close');
      wss.close();
      assert.equal((await gone)[0], 1006);
    });

    it('does not end clients that it does not track', async () => {
      const { server, wss } = await serveOn({ clientTracking: false });
      const connected = once(wss, 'connection');
      const client = track(new WebSocket(url(server)));
      const [socket] = await connected;
      await once(client, 'open');
      wss.close();
      const message = once(client, 'message');
      socket.send('still here');
      assert.equal((await message)[0], 'still here');
    });

    it('does not close a given server', async () => {
      const { server, wss } = await serveOn();
      await close(wss);
      assert.ok(server.listening);
    });

    it('stops upgrades on a given server', async () => {
      const { server, wss } = await serveOn();
      server.on('request', (req, res) => {
        res.writeHead(200, { Connection: 'close' }).end('plain');
      });
      await close(wss);
      assert.equal((await answer(server)).body, 'plain');
    });

    it('removes only its own listeners from a given server', async () => {
      const server = track(await listenHttp());
      const events = ['listening', 'error', 'upgrade'];
      const listeners = () => events.map((name) => server.listeners(name));
      for (const name of events) server.on(name, () => {});
      const before = listeners();
      const wss = new WebSocket.Server({ server });
      assert.notDeepEqual(listeners(), before);
      await close(wss);
      assert.deepEqual(listeners(), before);
    });

    it('calls back in noServer mode', async () => {
      const wss = new WebSocket.Server({ noServer: true });
      const given = await new Promise((resolve) => wss.close(resolve));
      assert.equal(given, undefined);
    });

    for (const [mode, start] of [
      ['with its own port', serve],
      ['on a given server', async () => (await serveOn()).wss],
      ['in noServer mode', async () => (await serveHanded()).wss],
    ]) {
      it(`may be called twice ${mode}`, async () => {
        const wss = await start();
        const given = await Promise.all([
          new Promise((resolve) => wss.close(resolve)),
          new Promise((resolve) => wss.close(resolve)),
        ]);
        assert.deepEqual(given, [undefined, undefined]);
      });
    }
  });

  describe('events', () => {
    it('"error" is emitted if the port is in use', async () => {
      const { port } = (await serve())._server.address();
      const wss = new WebSocket.Server({ host: '127.0.0.1', port });
      const [error] = await once(wss, 'error');
      wss.close(() => {});
      assert.equal(error.code, 'EADDRINUSE');
    });

    it('"error" forwards the error of a given server', async () => {
      const { server, wss } = await serveOn();
      const error = new Error('broken');
      const emitted = once(wss, 'error');
      server.emit('error', error);
      assert.equal((await emitted)[0], error);
    });

    it('"listening" is emitted when the port is bound', async () => {
      const wss = new WebSocket.Server({ host: '127.0.0.1', port: 0 });
      track(wss);
      await once(wss, 'listening');
      assert.equal((await answer(wss)).status, 101);
    });

    it('"listening" is forwarded from a given server', async () => {
      const server = http.createServer();
      const wss = track(new WebSocket.Server({ server }));
      const listening = once(wss, 'listening');
      track(await listenHttp(server));
      assert.equal((await listening).length, 0);
    });

    it('"connection" comes with an open WebSocket', async () => {
      const wss = await serve();
      const connected = once(wss, 'connection');
      await answer(wss);
      const [ws] = await connected;
      assert.ok(ws instanceof WebSocket);
      assert.ok(ws instanceof EventEmitter);
    });

    it('"connection" comes while the WebSocket is open', async () => {
      const wss = await serve();
      const states = [];
      wss.on('connection', (ws) => states.push(ws.readyState));
      await pair(wss).then(({ client }) => track(client));
      assert.deepEqual(states, [WebSocket.OPEN]);
    });

    it('"connection" with the URL appended comes before it', async () => {
      const wss = await serve();
      const seen = [];
      wss.on('connection/room?a=1', (ws) => seen.push(['path', ws]));
      wss.on('connection', (ws) => seen.push(['any', ws]));
      const connected = once(wss, 'connection');
      await answer(wss, {}, { path: '/room?a=1' });
      const [ws] = await connected;
      assert.deepEqual(
        seen.map(([name, socket]) => [name, socket === ws]),
        [
          ['path', true],
          ['any', true],
        ],
      );
    });

    it('"connection" with another URL appended does not come', async () => {
      const wss = await serve();
      const seen = [];
      wss.on('connection/lobby', (ws) => seen.push(ws));
      const connected = once(wss, 'connection');
      await answer(wss, {}, { path: '/room' });
      await connected;
      assert.deepEqual(seen, []);
    });

    it('"headers" comes with the lines of the answer', async () => {
      const wss = await serve();
      const emitted = once(wss, 'headers');
      await answer(wss, { 'Sec-WebSocket-Protocol': 'chat' });
      const [lines] = await emitted;
      assert.deepEqual(lines, [
        'HTTP/1.1 101 Switching Protocols',
        'Upgrade: websocket',
        'Connection: Upgrade',
        'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
        'Sec-WebSocket-Protocol: chat',
      ]);
    });

    it('"headers" may add a line to the answer', async () => {
      const wss = await serve();
      wss.on('headers', (lines) => lines.push('X-Served-By: mocha'));
      const { headers } = await answer(wss);
      assert.equal(headers['x-served-by'], 'mocha');
    });

    it('"headers" may remove a line from the answer', async () => {
      const wss = await serve();
      wss.on('headers', (lines) => lines.pop());
      const { headers } = await answer(wss, {
        'Sec-WebSocket-Protocol': 'chat',
      });
      assert.equal(headers['sec-websocket-protocol'], undefined);
    });

    it('"headers" does not come for a refused handshake', async () => {
      const wss = await serve({ verifyClient: () => false });
      const seen = [];
      wss.on('headers', (lines) => seen.push(lines));
      await answer(wss);
      assert.deepEqual(seen, []);
    });
  });

  describe('clients', () => {
    it('holds every open connection', async () => {
      const wss = await serve();
      const pairs = [await pair(wss), await pair(wss)];
      for (const { client } of pairs) track(client);
      assert.deepEqual(
        [...wss.clients],
        pairs.map(({ server }) => server),
      );
    });

    it('holds a connection by the time of its event', async () => {
      const wss = await serve();
      const sizes = [];
      wss.on('connection', () => sizes.push(wss.clients.size));
      track((await pair(wss)).client);
      assert.deepEqual(sizes, [1]);
    });

    it('holds what is accepted in noServer mode', async () => {
      const { server, wss, accepted } = await serveHanded();
      track(new WebSocket(url(server)));
      const ws = await accepted;
      assert.deepEqual([...wss.clients], [ws]);
    });

    for (const [how, leave] of [
      ['a client that closes', (client) => client.close()],
      ['a client that terminates', (client) => client.terminate()],
      ['a client that is cut off', (client) => client._socket.destroy()],
      ['a connection that the server closes', (client, ws) => ws.close()],
      ['a connection that the server ends', (client, ws) => ws.terminate()],
    ]) {
      it(`loses ${how} by its "close"`, async () => {
        const wss = await serve();
        const stays = track((await pair(wss)).client);
        const { client, server } = await pair(wss);
        track(client);
        const closed = once(server, 'close');
        leave(client, server);
        await closed;
        assert.deepEqual(
          [wss.clients.size, wss.clients.has(server)],
          [1, false],
        );
        assert.equal(stays.readyState, WebSocket.OPEN);
      });
    }

    it('holds nothing of a refused handshake', async () => {
      const wss = await serve({ verifyClient: () => false });
      await answer(wss);
      assert.equal(wss.clients.size, 0);
    });
  });

  describe('handleUpgrade', () => {
    it('gives the callback an open WebSocket', async () => {
      const { server, accepted } = await serveHanded((wss, args, resolve) => {
        wss.handleUpgrade(...args, (ws) => resolve([ws, ws.readyState]));
      });
      await answer(server);
      const [ws, state] = await accepted;
      assert.ok(ws instanceof WebSocket);
      assert.equal(state, WebSocket.OPEN);
    });

    it('does not emit "connection"', async () => {
      const seen = [];
      const { server, wss, accepted } = await serveHanded();
      wss.on('connection', (ws) => seen.push(ws));
      await Promise.all([answer(server), accepted]);
      assert.deepEqual(seen, []);
    });

    it('does not call back for a refused handshake', async () => {
      const seen = [];
      const { server } = await serveHanded((wss, args) => {
        wss.handleUpgrade(...args, (ws) => seen.push(ws));
      });
      await answer(server, { 'Sec-WebSocket-Key': undefined });
      assert.deepEqual(seen, []);
    });

    it('keeps the request as upgradeReq', async () => {
      const { server, accepted } = await serveHanded((wss, args, resolve) => {
        wss.handleUpgrade(...args, (ws) => resolve([ws.upgradeReq, args[0]]));
      });
      await answer(server);
      const [kept, given] = await accepted;
      assert.equal(kept, given);
    });

    it('reads frames from the head', async () => {
      const bytes = Buffer.concat([frame(1, 'one'), frame(1, 'two')]);
      const { server, accepted } = await serveHanded(
        (wss, [req, socket], resolve) => {
          wss.handleUpgrade(req, socket, bytes, (ws) => {
            resolve(collect(ws, 'message', 2));
          });
        },
      );
      track(new WebSocket(url(server)));
      const messages = (await accepted).map(([message]) => message);
      assert.deepEqual(messages, ['one', 'two']);
    });

    it('joins a frame that is partly in the head', async () => {
      const bytes = frame(1, 'in two parts');
      const { server, accepted } = await serveHanded(
        (wss, [req, socket], resolve) => {
          wss.handleUpgrade(req, socket, bytes.subarray(0, 7), (ws) => {
            resolve(once(ws, 'message'));
          });
        },
      );
      const socket = net.connect(server.address().port, '127.0.0.1');
      const wire = reader(track(socket));
      socket.write(request());
      await wire.head();
      socket.write(bytes.subarray(7));
      assert.equal((await accepted)[0], 'in two parts');
    });

    it('loses no frame that arrives with the request', async () => {
      const wss = await serve();
      const message = new Promise((resolve) => {
        wss.on('connection', (ws) => resolve(once(ws, 'message')));
      });
      const socket = net.connect(wss._server.address().port, '127.0.0.1');
      track(socket);
      socket.write(Buffer.concat([Buffer.from(request()), frame(1, 'early')]));
      assert.equal((await message)[0], 'early');
    });
  });

  describe('handleUpgrade without HTTP', () => {
    const plainRequest = () => ({
      method: 'GET',
      url: '/',
      headers: {
        upgrade: 'websocket',
        connection: 'Upgrade',
        'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
        'sec-websocket-version': '13',
      },
    });

    const handOver = async (options, req = plainRequest()) => {
      const wss = new WebSocket.Server(
        Object.assign({ noServer: true }, options),
      );
      track(wss);
      const [near, far] = duplexPair();
      const wire = reader(far);
      const accepted = [];
      wss.handleUpgrade(req, near, Buffer.alloc(0), (ws) => accepted.push(ws));
      return { far, near, wire, head: await wire.head(), ws: accepted[0] };
    };

    it('takes a request that is a plain object', async () => {
      const { server } = await serveHanded((wss, [, ...rest], resolve) => {
        wss.handleUpgrade(plainRequest(), ...rest, resolve);
      });
      assert.equal((await answer(server)).status, 101);
    });

    it('answers over any Duplex', async () => {
      const { head } = await handOver();
      assert.deepEqual(head.split('\r\n'), [
        'HTTP/1.1 101 Switching Protocols',
        'Upgrade: websocket',
        'Connection: Upgrade',
        'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      ]);
    });

    it('keeps the Duplex as _socket', async () => {
      const { near, ws } = await handOver();
      assert.equal(ws._socket, near);
    });

    it('receives messages over any Duplex', async () => {
      const { far, ws } = await handOver();
      const message = once(ws, 'message');
      far.write(frame(1, 'in'));
      assert.equal((await message)[0], 'in');
    });

    it('sends messages over any Duplex', async () => {
      const { wire, ws } = await handOver();
      ws.send('out');
      const { masked, opcode, payload } = await wire.frame();
      assert.deepEqual([masked, opcode, `${payload}`], [false, 1, 'out']);
    });

    it('closes cleanly over any Duplex', async () => {
      const { far, ws } = await handOver();
      const closed = once(ws, 'close');
      far.write(frame(8, Buffer.from([0x03, 0xe8])));
      assert.equal((await closed)[0], 1000);
    });

    it('closes when a Duplex ends', async () => {
      const { far, ws } = await handOver();
      const closed = once(ws, 'close');
      far.end();
      assert.equal((await closed)[0], 1006);
    });

    it('treats a plain request as not secure', async () => {
      let info;
      await handOver({ verifyClient: (i) => !(info = i) });
      assert.equal(info.secure, false);
    });

    it('refuses a bad handshake over any Duplex', async () => {
      const req = Object.assign(plainRequest(), { headers: {} });
      const { head, ws } = await handOver({}, req);
      assert.equal(head.split('\r\n')[0], 'HTTP/1.1 400 Bad Request');
      assert.equal(ws, undefined);
    });
  });

  describe('shouldHandle', () => {
    it('returns whether the path of a request matches', () => {
      const wss = new WebSocket.Server({ noServer: true, path: '/a' });
      const verdicts = ['/a', '/a?b', '/b'].map((target) =>
        wss.shouldHandle({ url: target }),
      );
      assert.deepEqual(verdicts, [true, true, false]);
    });

    it('may be replaced on an instance', async () => {
      const wss = await serve();
      wss.shouldHandle = (req) => req.url.startsWith('/mine');
      const status = async (target) =>
        (await answer(wss, {}, { path: target })).status;
      assert.deepEqual(
        [await status('/mine/1'), await status('/yours')],
        [101, 400],
      );
    });

    it('may be overridden by a subclass', async () => {
      class Closed extends WebSocket.Server {
        shouldHandle() {
          return false;
        }
      }
      const wss = track(new Closed({ host: '127.0.0.1', port: 0 }));
      await once(wss, 'listening');
      assert.equal((await answer(wss)).status, 400);
    });
  });

  describe('options set after construction', () => {
    for (const [name, value, status] of [
      ['path', '/elsewhere', 400],
      ['handleProtocols', () => false, 401],
      ['verifyClient', () => false, 401],
    ]) {
      it(`options.${name} acts on the next handshake`, async () => {
        const wss = await serve();
        assert.equal((await answer(wss)).status, 101);
        wss.options[name] = value;
        assert.equal((await answer(wss)).status, status);
      });
    }

    it('options.perMessageDeflate acts on the next handshake', async () => {
      const wss = await serve();
      wss.options.perMessageDeflate = false;
      const { headers } = await answer(wss, {
        'Sec-WebSocket-Extensions': 'permessage-deflate',
      });
      assert.equal(headers['sec-websocket-extensions'], undefined);
    });

    it('options.maxPayload acts on the next connection', async () => {
      const wss = await serve();
      wss.options.maxPayload = 4;
      const { server, socket, wire } = await bareClient(wss);
      server.on('error', () => {});
      socket.write(frame(2, 'large'));
      assert.equal((await wire.frame()).payload.readUInt16BE(), 1009);
    });

    it('path starts as the option and may be set', () => {
      const wss = new WebSocket.Server({ noServer: true, path: '/a' });
      const before = wss.path;
      wss.path = '/b';
      assert.deepEqual([before, wss.path], ['/a', '/b']);
    });
  });

  describe('responds with', () => {
    it('426 to a plain request for its own port', async () => {
      const wss = await serve();
      const { status, body, headers } = await answer(wss, {
        Upgrade: undefined,
        Connection: 'close',
      });
      assert.deepEqual(
        { status, body, type: headers['content-type'] },
        { status: 426, body: 'Upgrade Required', type: 'text/plain' },
      );
    });

    for (const [what, headers] of [
      ['no key', { 'Sec-WebSocket-Key': undefined }],
      ['an empty key', { 'Sec-WebSocket-Key': '' }],
      ['no version', { 'Sec-WebSocket-Version': undefined }],
      ['version 12', { 'Sec-WebSocket-Version': '12' }],
      ['versions 13, 8', { 'Sec-WebSocket-Version': '13, 8' }],
      ['a version that is no number', { 'Sec-WebSocket-Version': 'x' }],
      ['another upgrade', { Upgrade: 'h2c' }],
    ]) {
      it(`400 to a handshake with ${what}`, async () => {
        const wss = await serve();
        assert.equal((await answer(wss, headers)).status, 400);
      });
    }

    for (const [what, headers] of [
      ['version 8', { 'Sec-WebSocket-Version': '8' }],
      ['version 13', { 'Sec-WebSocket-Version': '13' }],
      ['capitals in the upgrade', { Upgrade: 'WebSocket' }],
    ]) {
      it(`101 to a handshake with ${what}`, async () => {
        const wss = await serve();
        assert.equal((await answer(wss, headers)).status, 101);
      });
    }

    it('405 to a handshake that is no GET', async () => {
      const wss = await serve();
      const { status } = await answer(wss, {}, { method: 'POST' });
      assert.equal(status, 405);
    });

    it('a refusal that has a length, and ends the connection', async () => {
      const wss = await serve();
      const bytes = await exchange(wss, request({ Upgrade: 'h2c' }));
      const [head, body] = bytes.toString().split('\r\n\r\n');
      const [status, ...lines] = head.toLowerCase().split('\r\n');
      assert.equal(status, 'http/1.1 400 bad request');
      assert.ok(lines.includes('connection: close'));
      assert.ok(lines.includes('content-length: 11'));
      assert.equal(body, 'Bad Request');
    });

    it('101 to further clients after a refusal', async () => {
      const wss = await serve();
      await answer(wss, { 'Sec-WebSocket-Key': undefined });
      assert.equal((await answer(wss)).status, 101);
    });
  });

  describe('called as a function', () => {
    it('returns a server', () => {
      const { Server } = WebSocket;
      assert.ok(Server({ noServer: true }) instanceof Server);
    });

    it('throws on missing options as with new', () => {
      const { Server } = WebSocket;
      assert.throws(
        () => Server({}),
        /^TypeError: missing or invalid options$/,
      );
    });

    it('prepares the `this` of a class that inherits from it', async () => {
      function Derived(options) {
        WebSocket.Server.call(this, options);
        this.name = 'derived';
      }
      inherits(Derived, WebSocket.Server);

      const wss = track(new Derived({ host: '127.0.0.1', port: 0 }));
      await once(wss, 'listening');
      const connected = once(wss, 'connection');
      const { client } = await pair(wss);
      track(client);
      assert.equal((await connected)[0].readyState, WebSocket.OPEN);
      assert.equal(wss.clients.size, 1);
      assert.equal(wss.name, 'derived');
      assert.ok(wss instanceof Derived);
    });
  });
});
