'use strict';

// The API of ws 8: how a server answers opening handshakes.

const assert = require('node:assert/strict');
const { once } = require('events');
const http = require('http');
const net = require('net');
const { Duplex } = require('stream');

const { WebSocket, WebSocketServer } = require('../../ws8');
const {
  answer,
  exchange,
  frame,
  ledger,
  listenHttp,
  reader,
  request,
  uncaught,
} = require('../support');

const turn = () => new Promise((resolve) => setImmediate(resolve));

const fail = () => {
  throw new Error('on purpose');
};

describe('ws 8: a server', () => {
  const { track } = ledger();

  /** Starts an HTTP server whose connections are destroyed after the test. */
  async function listen() {
    const server = track(await listenHttp());
    server.on('connection', track);
    return server;
  }

  /** Starts a WebSocketServer on a new HTTP server. */
  async function serve(options) {
    const server = await listen();
    return { server, wss: new WebSocketServer({ server, ...options }) };
  }

  /** Connects a raw socket to a server. */
  async function connect(server) {
    const socket = track(net.connect(server.address().port, '127.0.0.1'));
    socket.on('error', () => {});
    await once(socket, 'connect');
    return { socket, wire: reader(socket) };
  }

  /** Resolves to the status and the body of the response to a handshake. */
  async function verdict(server, headers, options) {
    const { status, body } = await answer(server, headers, options);
    return [status, body];
  }

  const BAD_HEADERS = {
    'an Upgrade that is another': [
      { Upgrade: 'h2c' },
      'Invalid Upgrade header',
    ],
    'no key': [
      { 'Sec-WebSocket-Key': undefined },
      'Missing or invalid Sec-WebSocket-Key header',
    ],
    'a key of 15 bytes': [
      { 'Sec-WebSocket-Key': Buffer.alloc(15).toString('base64') },
      'Missing or invalid Sec-WebSocket-Key header',
    ],
    'no version': [
      { 'Sec-WebSocket-Version': undefined },
      'Missing or invalid Sec-WebSocket-Version header',
    ],
    'an unknown version': [
      { 'Sec-WebSocket-Version': '12' },
      'Missing or invalid Sec-WebSocket-Version header',
    ],
    'a subprotocol that is no token': [
      { 'Sec-WebSocket-Protocol': 'a b' },
      'Invalid Sec-WebSocket-Protocol header',
    ],
    'a subprotocol that comes twice': [
      { 'Sec-WebSocket-Protocol': 'a, a' },
      'Invalid Sec-WebSocket-Protocol header',
    ],
    'extensions that cannot be read': [
      { 'Sec-WebSocket-Extensions': 'permessage-deflate;' },
      'Invalid or unacceptable Sec-WebSocket-Extensions header',
    ],
    'an extension that cannot be had': [
      {
        'Sec-WebSocket-Extensions':
          'permessage-deflate; server_max_window_bits=7',
      },
      'Invalid or unacceptable Sec-WebSocket-Extensions header',
    ],
  };

  describe('refuses', () => {
    for (const [what, [headers, text]] of Object.entries(BAD_HEADERS)) {
      it(what, async () => {
        const { server } = await serve({ perMessageDeflate: true });
        assert.deepEqual(await verdict(server, headers), [400, text]);
      });
    }

    it('a method other than GET before anything else', async () => {
      const { server } = await serve({ path: '/other' });
      assert.deepEqual(
        await verdict(server, { Upgrade: 'h2c' }, { method: 'POST' }),
        [405, 'Invalid HTTP method'],
      );
    });

    it('another path before it checks the offers', async () => {
      const { server } = await serve({ path: '/other' });
      assert.deepEqual(
        await verdict(server, { 'Sec-WebSocket-Protocol': ',' }),
        [400, 'Bad Request'],
      );
    });

    it('with a complete response, and closes the connection', async () => {
      const { server } = await serve();
      const bytes = await exchange(server, request({ Upgrade: 'h2c' }));
      assert.deepEqual(`${bytes}`.split('\r\n'), [
        'HTTP/1.1 400 Bad Request',
        'Connection: close',
        'Content-Type: text/html',
        'Content-Length: 22',
        '',
        'Invalid Upgrade header',
      ]);
    });

    it('only an unsupported version with the supported versions', async () => {
      const { server } = await serve();
      for (const [headers, versions] of [
        [{ 'Sec-WebSocket-Version': '7' }, '13, 8'],
        [{ Upgrade: 'h2c' }, undefined],
      ]) {
        const { headers: found } = await answer(server, headers);
        assert.equal(found['sec-websocket-version'], versions);
      }
    });

    it('with the status and the body of verifyClient', async () => {
      for (const [verifyClient, status, body] of [
        [() => false, 401, 'Unauthorized'],
        [(_, cb) => cb(false), 401, 'Unauthorized'],
        [(_, cb) => cb(false, 404), 404, 'Not Found'],
        [(_, cb) => setImmediate(cb, false, 403, 'No!'), 403, 'No!'],
        [(_, cb) => cb(false, 499), 499, ''],
      ]) {
        const { server } = await serve({ verifyClient });
        assert.deepEqual(await verdict(server), [status, body]);
      }
    });

    it('with the headers that verifyClient gives', async () => {
      const { server } = await serve({
        verifyClient: (_, cb) =>
          cb(false, 503, 'Later', { 'Retry-After': 120, Connection: 'Close' }),
      });
      const { headers, reason, status } = await answer(server);
      assert.deepEqual([status, reason], [503, 'Service Unavailable']);
      assert.equal(headers['retry-after'], '120');
      assert.equal(headers.connection, 'Close');
    });

    it('with 503 while it closes and after', async () => {
      const wss = new WebSocketServer({ noServer: true });
      const server = await listen();
      server.on('upgrade', (...args) => wss.handleUpgrade(...args, () => {}));
      const { socket, wire } = await connect(server);
      socket.write(request());
      await wire.head();
      wss.close();
      assert.deepEqual(await verdict(server), [503, 'Service Unavailable']);
      assert.equal(wss.clients.size, 1);
      socket.destroy();
      await once(wss, 'close');
      assert.deepEqual(await verdict(server), [503, 'Service Unavailable']);
    });

    it('headers of the program that contain line breaks', async () => {
      const value = 'a\r\nX-Evil: 1';
      for (const options of [
        { handleProtocols: () => value },
        { verifyClient: (_, cb) => cb(false, 401, 'No', { Good: value }) },
        { verifyClient: (_, cb) => cb(false, 401, 'No', { [value]: 'a' }) },
      ]) {
        const { server } = await serve(options);
        const { headers, status } = await answer(server, {
          'Sec-WebSocket-Protocol': 'a',
        });
        assert.equal(status, 500);
        assert.equal(headers['x-evil'], undefined);
      }
    });
  });

  describe('accepts', () => {
    it('a request with another Connection header, or none', async () => {
      for (const connection of ['close', undefined]) {
        const wss = new WebSocketServer({ noServer: true });
        const server = await listen();
        server.on('upgrade', ({ method, url, headers }, socket, head) => {
          const plain = { method, url, headers: { ...headers, connection } };
          wss.handleUpgrade(plain, socket, head, () => {});
        });
        assert.equal((await answer(server)).status, 101);
      }
    });

    it('versions 8 and 13, each with its origin', async () => {
      const seen = [];
      const { server } = await serve({
        verifyClient: ({ origin }) => seen.push(origin),
      });
      for (const version of ['8', '13', 13]) {
        const { status } = await answer(server, {
          'Sec-WebSocket-Version': version,
          'Sec-WebSocket-Origin': 'eight',
          Origin: 'thirteen',
        });
        assert.equal(status, 101);
      }
      assert.deepEqual(seen, ['eight', 'thirteen', 'thirteen']);
    });

    it('a plain object for a request, and any Duplex', async () => {
      const chunks = [];
      const socket = new Duplex({
        read() {},
        write(chunk, encoding, cb) {
          chunks.push(chunk);
          cb();
        },
      });
      const wss = new WebSocketServer({
        noServer: true,
        verifyClient: ({ secure }) => !secure,
      });
      const plain = {
        method: 'GET',
        url: '/',
        headers: {
          upgrade: 'WebSocket',
          'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
          'sec-websocket-version': 13,
        },
      };
      let given;
      wss.handleUpgrade(plain, socket, Buffer.alloc(0), (...args) => {
        given = args;
      });
      // The callback was called synchronously.
      assert.equal(given[0].readyState, WebSocket.OPEN);
      assert.equal(given[1], plain);
      assert.deepEqual([...wss.clients], [given[0]]);
      assert.match(
        `${Buffer.concat(chunks)}`,
        /^HTTP\/1\.1 101 [^]*Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n\r\n$/,
      );
      socket.destroy();
    });

    it('the subprotocol that handleProtocols chooses', async () => {
      for (const [handleProtocols, expected] of [
        [null, 'a'],
        [(offered) => [...offered][1], 'b'],
        [(_, { url }) => url.slice(1), 'c'],
        [() => false, undefined],
        [() => undefined, undefined],
      ]) {
        const { server, wss } = await serve({ handleProtocols });
        const connected = once(wss, 'connection');
        const { headers } = await answer(
          server,
          { 'Sec-WebSocket-Protocol': 'a, b' },
          { path: '/c' },
        );
        const [ws] = await connected;
        assert.equal(headers['sec-websocket-protocol'], expected);
        assert.equal(ws.protocol, expected || '');
      }
    });

    it('without asking handleProtocols, if nothing is offered', async () => {
      const { server } = await serve({ handleProtocols: fail });
      assert.equal((await answer(server)).status, 101);
    });

    it('with the lines that listeners of "headers" leave', async () => {
      const { server, wss } = await serve();
      wss.on('headers', (lines, { url }) => lines.push(`X-Path: ${url}`));
      const { headers } = await answer(server, {}, { path: '/here?a=b' });
      assert.equal(headers['x-path'], '/here?a=b');
    });

    it('permessage-deflate if it is on', async () => {
      const offer = { 'Sec-WebSocket-Extensions': 'permessage-deflate' };
      for (const [perMessageDeflate, expected] of [
        [undefined, undefined],
        [true, 'permessage-deflate'],
        [
          { serverMaxWindowBits: 10 },
          'permessage-deflate; server_max_window_bits=10',
        ],
      ]) {
        const { server, wss } = await serve({ perMessageDeflate });
        const connected = once(wss, 'connection');
        const { headers } = await answer(server, offer);
        assert.equal(headers['sec-websocket-extensions'], expected);
        const [ws] = await connected;
        assert.equal(ws.extensions, expected ? 'permessage-deflate' : '');
      }
    });

    it('with an instance of the option WebSocket', async () => {
      class Mine extends WebSocket {}
      const { server, wss } = await serve({ WebSocket: Mine });
      const connected = once(wss, 'connection');
      await answer(server);
      const [ws, req] = await connected;
      assert.ok(ws instanceof Mine);
      assert.equal(req.method, 'GET');
    });
  });

  describe("'wsClientError'", () => {
    for (const [what, [headers, text]] of Object.entries(BAD_HEADERS)) {
      it(`is emitted for ${what}`, async () => {
        const { server, wss } = await serve({ perMessageDeflate: true });
        wss.on('wsClientError', (error, socket, { method }) => {
          socket.end(`HTTP/1.1 418 X\r\n\r\n${error.message} ${method}`);
        });
        assert.deepEqual(await verdict(server, headers), [418, `${text} GET`]);
      });
    }

    it('is not emitted for what path and verifyClient refuse', async () => {
      for (const [options, status] of [
        [{ path: '/other' }, 400],
        [{ verifyClient: () => false }, 401],
      ]) {
        const { server, wss } = await serve(options);
        wss.on('wsClientError', fail);
        assert.equal((await answer(server)).status, status);
      }
    });

    it('closes the connection if its listener throws', async () => {
      const { server, wss } = await serve();
      wss.on('wsClientError', fail);
      const errors = await uncaught(async () => {
        const { socket } = await connect(server);
        socket.write(request({ Upgrade: 'h2c' }));
        await once(socket, 'close');
      });
      assert.deepEqual(errors, ['on purpose']);
    });
  });

  describe('whose program throws', () => {
    class Failing extends WebSocket {
      constructor(...args) {
        super(...args);
        fail();
      }
    }
    for (const [name, options] of Object.entries({
      'in verifyClient': { verifyClient: () => fail() },
      'in verifyClient with a callback': { verifyClient: (_, cb) => fail(cb) },
      'in handleProtocols': { handleProtocols: fail },
      'in the constructor of its class': { WebSocket: Failing },
      'in shouldHandle': 'shouldHandle',
      "in a listener of 'headers'": 'headers',
    })) {
      it(`${name} answers with 500`, async () => {
        const { server, wss } = await serve(options);
        if (options === 'shouldHandle') wss.shouldHandle = fail;
        if (options === 'headers') wss.on('headers', fail);
        let status;
        const errors = await uncaught(async () => {
          ({ status } = await answer(server, {
            'Sec-WebSocket-Protocol': 'a',
          }));
        });
        assert.equal(status, 500);
        assert.deepEqual(errors, ['on purpose']);
        assert.equal(wss.clients.size, 0);
      });
    }

    it("in a listener of 'connection' keeps the connection", async () => {
      const { server, wss } = await serve();
      wss.on('connection', (ws) => ws.on('message', (data) => ws.send(data)));
      wss.on('connection', fail);
      const { socket, wire } = await connect(server);
      const errors = await uncaught(async () => {
        socket.write(request());
        await wire.head();
        socket.write(frame(2, 'Hello'));
        assert.equal(`${(await wire.frame()).payload}`, 'Hello');
        assert.equal(wss.clients.size, 1);
      });
      assert.deepEqual(errors, ['on purpose']);
    });

    it('in the callback of handleUpgrade makes handleUpgrade throw', async () => {
      const wss = new WebSocketServer({ noServer: true });
      const server = await listen();
      const errors = [];
      server.on('upgrade', (...args) => {
        try {
          wss.handleUpgrade(...args, fail);
        } catch (error) {
          errors.push(error.message);
        }
      });
      assert.equal((await answer(server)).status, 101);
      assert.deepEqual(errors, ['on purpose']);
    });

    it('after the callback of verifyClient keeps its result', async () => {
      for (const [answers, status] of [
        [[true], 101],
        [[true, false], 101],
        [[false, true], 401],
      ]) {
        const { server } = await serve({
          verifyClient(_, cb) {
            for (const each of answers) cb(each);
            fail();
          },
        });
        let found;
        const errors = await uncaught(async () => {
          found = await answer(server);
        });
        assert.equal(found.status, status);
        assert.deepEqual(errors, ['on purpose']);
      }
    });

    it('by a second handleUpgrade keeps the connection', async () => {
      const wss = new WebSocketServer({ noServer: true });
      const server = await listen();
      server.on('upgrade', (...args) => {
        wss.handleUpgrade(...args, (ws) => {
          ws.on('message', (data) => ws.send(data));
        });
        assert.throws(() => wss.handleUpgrade(...args, fail), {
          message:
            'server.handleUpgrade() was called more than once with the same ' +
            'socket, possibly due to a misconfiguration',
        });
      });
      const { socket, wire } = await connect(server);
      socket.write(request());
      assert.match(await wire.head(), /^HTTP\/1\.1 101 /);
      socket.write(frame(2, 'Hello'));
      assert.equal(`${(await wire.frame()).payload}`, 'Hello');
      assert.equal(wss.clients.size, 1);
    });
  });

  describe('whose connection has more than the request', () => {
    /** Starts a server. The test responds to plain requests by `responses`. */
    async function patient(options) {
      const responses = [];
      const server = track(
        await listenHttp(http.createServer((req, res) => responses.push(res))),
      );
      server.on('connection', track);
      const wss = new WebSocketServer({ server, ...options });
      wss.on('connection', (ws) => ws.on('message', (data) => ws.send(data)));
      return { server, responses };
    }

    const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';

    for (const [what, headers, status] of [
      ['accepts', {}, 101],
      ['refuses', { Upgrade: 'h2c' }, 400],
    ]) {
      it(`${what} after the responses to earlier requests`, async () => {
        const { server, responses } = await patient();
        const { socket, wire } = await connect(server);
        socket.write(GET + request(headers));
        while (responses.length === 0) await turn();
        for (let i = 0; i < 20; i++) await turn();
        responses[0].writeHead(200, { 'Content-Length': 0 }).end();
        assert.match(await wire.head(), /^HTTP\/1\.1 200 /);
        assert.ok((await wire.head()).startsWith(`HTTP/1.1 ${status} `));
      });
    }

    it('does not read a body as frames', async () => {
      const { server } = await patient();
      const { socket, wire } = await connect(server);
      const body = frame(1, 'body');
      socket.write(request({ 'Content-Length': body.length }));
      socket.write(Buffer.concat([body, frame(2, 'Hello')]));
      assert.match(await wire.head(), /^HTTP\/1\.1 101 /);
      assert.equal(`${(await wire.frame()).payload}`, 'Hello');
    });

    it('refuses a body of unknown length', async () => {
      const chunked = { 'Transfer-Encoding': 'chunked' };
      const { server } = await patient();
      assert.deepEqual(await verdict(server, chunked), [400, 'Bad Request']);
      assert.deepEqual(await verdict(server, chunked, { method: 'PUT' }), [
        405,
        'Invalid HTTP method',
      ]);
    });

    it('forgets a client that disconnects while it is verified', async () => {
      let asked = null;
      const { server, wss } = await serve({
        verifyClient: (info, cb) => (asked = { info, cb }),
      });
      wss.on('connection', fail);
      const { socket } = await connect(server);
      socket.write(request());
      while (asked === null) await turn();
      socket.resetAndDestroy();
      const other = asked.info.req.socket;
      while (!other.destroyed) await turn();
      asked.cb(true);
      assert.equal(wss.clients.size, 0);
    });
  });

  describe('that is closed', () => {
    const seen = (wss) => {
      const events = [];
      wss.on('close', () => events.push('close'));
      return events;
    };

    it("emits 'close' asynchronously without clients", async () => {
      for (const options of [{}, { clientTracking: false }]) {
        const wss = new WebSocketServer({ noServer: true, ...options });
        const events = seen(wss);
        wss.close(() => events.push('callback'));
        assert.deepEqual(events, []);
        await turn();
        assert.deepEqual(events, ['close', 'callback']);
      }
    });

    it("emits 'close' when its clients have disconnected", async () => {
      const { server, wss } = await serve();
      const { socket, wire } = await connect(server);
      socket.write(request());
      await wire.head();
      const events = seen(wss);
      wss.close();
      for (let i = 0; i < 5; i++) await turn();
      assert.deepEqual(events, []);
      socket.destroy();
      await once(wss, 'close');
      for (let i = 0; i < 5; i++) await turn();
      assert.deepEqual(events, ['close']);
      assert.equal(server.listening, true);
    });

    it('calls back when its own HTTP server has closed', async () => {
      const wss = new WebSocketServer({ host: '127.0.0.1', port: 0 });
      await once(wss, 'listening');
      const { port } = wss.address();
      await new Promise((resolve) => wss.close(resolve));
      assert.equal(wss.address(), null);
      const [error] = await once(net.connect(port, '127.0.0.1'), 'error');
      assert.equal(error.code, 'ECONNREFUSED');
    });

    it('calls back each time, with an error after it has closed', async () => {
      const wss = new WebSocketServer({ noServer: true });
      const results = [];
      wss.close((error) => results.push(error));
      wss.close((error) => results.push(error));
      await turn();
      wss.close((error) => results.push(error.message));
      await turn();
      assert.deepEqual(results, [
        undefined,
        undefined,
        'The server is not running',
      ]);
    });

    it('removes its listeners from a given server', async () => {
      const server = await listen();
      const names = ['upgrade', 'listening', 'error'];
      const counts = () => names.map((name) => server.listenerCount(name));
      const before = counts();
      const wss = new WebSocketServer({ server });
      assert.deepEqual(
        counts(),
        before.map((count) => count + 1),
      );
      wss.close();
      assert.deepEqual(counts(), before);
    });
  });

  describe('has', () => {
    it('exactly one of port, server and noServer', () => {
      const server = http.createServer();
      for (const options of [
        undefined,
        {},
        { port: null, noServer: false },
        { port: 0, server },
        { port: 0, noServer: true },
        { server, noServer: true },
      ]) {
        assert.throws(() => new WebSocketServer(options), {
          name: 'TypeError',
          message:
            'One and only one of the "port", "server", or "noServer" options ' +
            'must be specified',
        });
      }
    });

    it('options that act on later handshakes', async () => {
      const { server, wss } = await serve();
      wss.options.path = '/other';
      assert.equal((await answer(server)).status, 400);
      wss.options.path = null;
      assert.equal((await answer(server)).status, 101);
    });

    it('clients only if they are tracked', async () => {
      const { server, wss } = await serve({ clientTracking: false });
      assert.equal(wss.clients, undefined);
      assert.equal((await answer(server)).status, 101);
    });

    it('no address in noServer mode', () => {
      const wss = new WebSocketServer({ noServer: true });
      assert.throws(() => wss.address(), {
        message: 'The server is operating in "noServer" mode',
      });
    });

    it("'error' events for the errors of its HTTP server", async () => {
      const server = await listen();
      const { port } = server.address();
      const wss = new WebSocketServer({ host: '127.0.0.1', port });
      const [error] = await once(wss, 'error');
      assert.equal(error.code, 'EADDRINUSE');
    });

    it('the response 426 to requests that are no upgrade', async () => {
      const wss = new WebSocketServer({ host: '127.0.0.1', port: 0 });
      track(wss._server);
      await once(wss, 'listening');
      assert.deepEqual(
        await verdict(wss, { Connection: 'close', Upgrade: undefined }),
        [426, 'Upgrade Required'],
      );
    });
  });
});
