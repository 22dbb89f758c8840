'use strict';

const assert = require('node:assert/strict');
const { once } = require('events');
const http = require('http');
const https = require('https');
const net = require('net');
const os = require('os');
const path = require('path');

const { DEFLATE, TEXT, WebSocket, close, closing } = require('./support');
const { each, exchange, fixture, frame, ignore, ledger } = require('./support');
const { listenHttp, portOf, reader, recorded, request } = require('./support');
const { turn, url } = require('./support');

const ONE_OF_THREE =
  'One and only one of the "port", "server", or "noServer" options must be specified';
const ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=';
const KEY = 'Sec-WebSocket-Key';
const VERSION = 'Sec-WebSocket-Version';
const PROTOCOL = 'Sec-WebSocket-Protocol';
const EXTENSIONS = 'Sec-WebSocket-Extensions';
const BAD_KEY = 'Missing or invalid Sec-WebSocket-Key header';
const BAD_VERSION = 'Missing or invalid Sec-WebSocket-Version header';
const BAD_PROTOCOL = 'Invalid Sec-WebSocket-Protocol header';
const BAD_EXTENSIONS =
  'Invalid or unacceptable Sec-WebSocket-Extensions header';

const DEFAULTS = {
  WebSocket,
  allowSynchronousEvents: true,
  autoPong: true,
  backlog: null,
  clientTracking: true,
  closeTimeout: 30000,
  handleProtocols: null,
  host: null,
  maxBufferedChunks: 262144,
  maxFragments: 16384,
  maxPayload: 104857600,
  maxPendingAutoPongs: 60,
  noServer: true,
  path: null,
  perMessageDeflate: false,
  port: null,
  server: null,
  skipUTF8Validation: false,
  verifyClient: null,
};

/** Requests that are refused: name, header fields, and body of the response. */
const REFUSED = [
  [
    'an Upgrade to something else',
    { Upgrade: 'h2c' },
    'Invalid Upgrade header',
  ],
  ['no key', { [KEY]: undefined }, BAD_KEY],
  ['an empty key', { [KEY]: '' }, BAD_KEY],
  ['a short key', { [KEY]: 'dGhlIHNhbXBsZSBub25jZQ' }, BAD_KEY],
  ['a key of 21 characters', { [KEY]: 'GhlIHNhbXBsZSBub25jZQ==' }, BAD_KEY],
  ['a key of 23 characters', { [KEY]: 'AdGhlIHNhbXBsZSBub25jZQ==' }, BAD_KEY],
  ['a long key', { [KEY]: 'dGhlIHNhbXBsZSBub25jZQAA==' }, BAD_KEY],
  ['a key that is not Base64', { [KEY]: 'dGhlIHNhbXBsZSBub25jZ_==' }, BAD_KEY],
  ['no version', { [VERSION]: undefined }, BAD_VERSION],
  ['an empty version', { [VERSION]: '' }, BAD_VERSION],
  ['an old version', { [VERSION]: '7' }, BAD_VERSION],
  ['an unknown version', { [VERSION]: '14' }, BAD_VERSION],
  ['two versions', { [VERSION]: '13, 8' }, BAD_VERSION],
  ['an empty subprotocol', { [PROTOCOL]: '' }, BAD_PROTOCOL],
  ['a subprotocol with a space', { [PROTOCOL]: 'a b' }, BAD_PROTOCOL],
  ['a list that ends with a comma', { [PROTOCOL]: 'a,' }, BAD_PROTOCOL],
  ['a subprotocol twice', { [PROTOCOL]: 'a, a' }, BAD_PROTOCOL],
  ['a broken extension', { [EXTENSIONS]: 'a;' }, BAD_EXTENSIONS],
  [
    'a parameter that there is not',
    { [EXTENSIONS]: `${DEFLATE}; another` },
    BAD_EXTENSIONS,
  ],
  [
    'a parameter with a bad value',
    { [EXTENSIONS]: `${DEFLATE}; server_max_window_bits=16` },
    BAD_EXTENSIONS,
  ],
];

const BAD_OPTIONS = [
  [undefined],
  [{}],
  [{ host: '127.0.0.1' }],
  [{ noServer: false }],
  [{ port: 0, noServer: true }],
  [{ port: 0, server: http.createServer() }],
  [{ server: http.createServer(), noServer: true }],
];

/** Options, and the resulting fields of the receiver. */
const HANDED_ON = [
  ['maxPayload', 1000, '_maxPayload', 1000],
  ['maxPayload', '1000.7', '_maxPayload', 1000],
  ['maxFragments', 10.5, '_maxFragments', 10],
  ['maxBufferedChunks', true, '_maxBufferedChunks', 1],
  ['skipUTF8Validation', true, '_skipUTF8Validation', true],
  ['allowSynchronousEvents', false, '_allowSynchronousEvents', false],
];

/** Request targets, and whether they match the path /a. */
const PATHS = [
  ['/a', true],
  ['/a?b=c', true],
  ['/a/', false],
  ['/A', false],
  ['/?/a', false],
];

describe('A server', () => {
  const { bare, join, pair, serve, track } = ledger();

  /** Starts an HTTP server with a `WebSocketServer`. */
  async function attached(options) {
    const server = track(http.createServer());
    const wss = track(new WebSocket.Server({ server, ...options }));
    await listenHttp(server);
    return { server, wss };
  }

  /**
   * Starts an HTTP server that passes upgrades, and a `WebSocketServer`, to `handle`.
   */
  async function handed(options, handle) {
    const server = track(await listenHttp());
    const wss = track(new WebSocket.Server({ noServer: true, ...options }));
    server.on('upgrade', (req, socket, head) => {
      handle(wss, req, socket, head);
    });
    return { server, wss };
  }

  const open = async (server) => {
    const ws = track(new WebSocket(url(server)));
    await once(ws, 'open');
    return ws;
  };

  /** Resolves to the lines of the response that accepts a handshake. */
  async function accepted(server, fields, options) {
    const socket = track(net.connect(portOf(server), '127.0.0.1'));
    socket.write(request(fields, options));
    return (await reader(socket).head()).split('\r\n');
  }

  describe('options', () => {
    it('have exactly one of port, server and noServer', () =>
      each(BAD_OPTIONS, (options) => {
        assert.throws(() => new WebSocket.Server(options), {
          name: 'TypeError',
          message: ONE_OF_THREE,
        });
      }));

    it('have defaults', () => {
      const wss = new WebSocket.Server({ noServer: true });
      for (const [name, value] of Object.entries(DEFAULTS)) {
        assert.deepEqual({ [name]: wss.options[name] }, { [name]: value });
      }
    });

    it('are kept, and not changed', () => {
      const given = Object.freeze({ noServer: true, path: '/a' });
      assert.equal(new WebSocket.Server(given).options.path, '/a');
    });

    it('are passed to the receiver at both ends', () =>
      each(HANDED_ON, async (name, given, field, value) => {
        const options = { [name]: given };
        const { client, server } = await pair(options, options);
        assert.equal(client._receiver[field], value);
        assert.equal(server._receiver[field], value);
      }));

    it('WebSocket is the class of the connections', async () => {
      class Own extends WebSocket {}
      const { client, server } = await pair({ WebSocket: Own });
      assert.ok(server instanceof Own);
      assert.ok(!(client instanceof Own));
    });

    it('host and port are bound', async () => {
      const wss = await serve();
      assert.equal(wss.address().address, '127.0.0.1');
      const { port } = wss.address();
      await close(wss);
      const again = await serve({ port });
      assert.equal(again.address().port, port);
    });

    it('backlog is passed to listen()', async () => {
      const { listen } = net.Server.prototype;
      const given = [];
      net.Server.prototype.listen = function spy(...args) {
        given.push(...args);
        return listen.apply(this, args);
      };
      try {
        await serve({ backlog: 7 });
      } finally {
        net.Server.prototype.listen = listen;
      }
      assert.ok(given.includes(7));
    });
  });

  describe('of its own port', () => {
    it("calls back and emits 'listening'", async () => {
      const events = [];
      const wss = track(
        new WebSocket.Server({ host: '127.0.0.1', port: 0 }, () =>
          events.push('callback'),
        ),
      );
      await once(wss, 'listening');
      await turn();
      assert.deepEqual(events, ['callback']);
      assert.equal(typeof wss.address().port, 'number');
    });

    it("emits 'error' if it cannot listen", async () => {
      const { port } = (await serve()).address();
      const wss = track(new WebSocket.Server({ host: '127.0.0.1', port }));
      const [error] = await once(wss, 'error');
      assert.equal(error.code, 'EADDRINUSE');
    });

    it('answers 426 to what is no opening handshake', async () => {
      const wss = await serve();
      const plain = { Upgrade: undefined, Connection: 'close' };
      const { line, headers, body } = await exchange(wss, request(plain));
      assert.equal(line, 'HTTP/1.1 426 Upgrade Required');
      assert.equal(headers['content-type'], 'text/plain');
      assert.equal(body, 'Upgrade Required');
    });

    it('shows its HTTP server and its state', async () => {
      const wss = await serve();
      assert.ok(wss._server instanceof http.Server);
      assert.equal(wss._state, 0);
      const closed = close(wss);
      assert.equal(wss._state, 1);
      assert.equal(wss._server, null);
      await closed;
      assert.equal(wss._state, 2);
    });
  });

  describe('on a given HTTP server', () => {
    it("passes on 'listening' and 'error'", async () => {
      const server = track(http.createServer());
      const wss = track(new WebSocket.Server({ server }));
      const events = recorded(wss, 'listening', 'error');
      await listenHttp(server);
      server.emit('error', new Error('passed on'));
      assert.deepEqual(events, ['listening', 'error']);
    });

    it('leaves plain requests to it', async () => {
      const server = http.createServer((req, res) => res.end('mine'));
      track(new WebSocket.Server({ server: track(server) }));
      await listenHttp(server);
      const plain = { Upgrade: undefined, Connection: 'close' };
      assert.equal((await exchange(server, request(plain))).body, 'mine');
    });

    it('has the path of its option', async () => {
      const { server, wss } = await attached({ path: '/a' });
      const [ws] = [track(new WebSocket(url(server, '/a')))];
      const [connected] = await Promise.all([
        once(wss, 'connection'),
        once(ws, 'open'),
      ]);
      assert.equal(connected[1].url, '/a');
    });

    it('removes its listeners when it closes', async () => {
      const server = track(http.createServer());
      const names = ['listening', 'error', 'upgrade'];
      const count = () => names.map((name) => server.listenerCount(name));
      const before = count();
      const wss = new WebSocket.Server({ server });
      assert.notDeepEqual(count(), before);
      await close(wss);
      assert.deepEqual(count(), before);
    });
  });

  describe('address()', () => {
    it('is that of the HTTP server', async () => {
      const { server, wss } = await attached();
      assert.deepEqual(wss.address(), server.address());
    });

    it('is null before a given server listens', () => {
      const wss = new WebSocket.Server({ server: http.createServer() });
      assert.equal(wss.address(), null);
    });

    it('is null once it is closed', async () => {
      const wss = await serve();
      await close(wss);
      assert.equal(wss.address(), null);
    });

    it('is the path of a socket', async function () {
      if (process.platform === 'win32') this.skip();
      const name = `ws8-${process.pid}.sock`;
      const file = path.join(os.tmpdir(), name);
      const server = track(http.createServer()).listen(file);
      const wss = track(new WebSocket.Server({ server }));
      await once(wss, 'listening');
      assert.equal(wss.address(), file);
    });

    it('throws without a server', () => {
      const wss = new WebSocket.Server({ noServer: true });
      assert.throws(() => wss.address(), {
        message: 'The server is operating in "noServer" mode',
      });
    });
  });

  describe('accepts', () => {
    it('with the head of RFC 6455', async () => {
      assert.deepEqual(await accepted(await serve()), [
        'HTTP/1.1 101 Switching Protocols',
        'Upgrade: websocket',
        'Connection: Upgrade',
        `Sec-WebSocket-Accept: ${ACCEPT}`,
      ]);
    });

    for (const [name, fields] of [
      ['version 8', { [VERSION]: '8' }],
      ['an Upgrade in capitals', { Upgrade: 'WEBSOCKET' }],
      ['further values of Connection', { Connection: 'keep-alive, Upgrade' }],
      ['an extension that it does not know', { [EXTENSIONS]: 'another' }],
    ]) {
      it(name, async () => {
        const lines = await accepted(await serve(), fields);
        assert.equal(lines[0], 'HTTP/1.1 101 Switching Protocols');
        assert.equal(lines.length, 4);
      });
    }

    it('a broken extension if it takes none', async () => {
      const wss = await serve({ perMessageDeflate: false });
      const [line] = await accepted(wss, { [EXTENSIONS]: 'a;' });
      assert.equal(line, 'HTTP/1.1 101 Switching Protocols');
    });

    it('the first subprotocol', async () => {
      const lines = await accepted(await serve(), { [PROTOCOL]: 'a, b' });
      assert.equal(lines[4], 'Sec-WebSocket-Protocol: a');
    });

    it('permessage-deflate', async () => {
      const wss = await serve({ perMessageDeflate: true });
      const lines = await accepted(wss, { [EXTENSIONS]: DEFLATE });
      assert.equal(lines[4], 'Sec-WebSocket-Extensions: permessage-deflate');
    });

    it('frames behind the request in one piece', async () => {
      const wss = await serve();
      const socket = track(net.connect(portOf(wss), '127.0.0.1'));
      socket.write(Buffer.concat([Buffer.from(request()), frame(TEXT, 'one')]));
      const data = await new Promise((resolve) => {
        wss.on('connection', (ws) => ws.on('message', resolve));
      });
      assert.equal(data.toString(), 'one');
    });
  });

  describe("emits 'connection'", () => {
    it('with an open WebSocket and its request', async () => {
      const wss = await serve();
      track(new WebSocket(url(wss, '/a?b=c')));
      const [ws, req] = await new Promise((resolve) => {
        wss.on('connection', (...args) => {
          assert.equal(args[0].readyState, WebSocket.OPEN);
          assert.ok(wss.clients.has(args[0]));
          resolve(args);
        });
      });
      assert.ok(ws instanceof WebSocket);
      assert.ok(req instanceof http.IncomingMessage);
      assert.equal(req.url, '/a?b=c');
      assert.equal(ws._socket, req.socket);
    });

    it('once for each', async () => {
      const wss = await serve();
      const connections = recorded(wss, 'connection');
      for (let i = 0; i < 3; i++) await join(wss);
      assert.equal(connections.length, 3);
    });
  });

  describe("emits 'headers'", () => {
    it('with the lines of the answer and the request', async () => {
      const wss = await serve();
      const seen = once(wss, 'headers');
      await accepted(wss);
      const [lines, req] = await seen;
      assert.deepEqual(lines, [
        'HTTP/1.1 101 Switching Protocols',
        'Upgrade: websocket',
        'Connection: Upgrade',
        `Sec-WebSocket-Accept: ${ACCEPT}`,
      ]);
      assert.ok(req instanceof http.IncomingMessage);
    });

    it('whose listener may add lines', async () => {
      const wss = await serve();
      wss.on('headers', (lines) => lines.push('Set-Cookie: a=1'));
      assert.ok((await accepted(wss)).includes('Set-Cookie: a=1'));
    });
  });

  describe('refuses', () => {
    /** Checks the status, the body and the headers of a response. */
    function check({ line, headers, body }, status, text, more = {}) {
      assert.equal(line, `HTTP/1.1 ${status} ${http.STATUS_CODES[status]}`);
      assert.equal(body, text);
      assert.deepEqual(headers, {
        connection: 'close',
        'content-type': 'text/html',
        'content-length': `${text.length}`,
        ...more,
      });
    }

    for (const [name, fields, text] of REFUSED) {
      it(name, async () => {
        const wss = await serve({ perMessageDeflate: true });
        const events = recorded(wss, 'connection', 'headers');
        const answer = await exchange(wss, request(fields));
        const versions = { 'sec-websocket-version': '13, 8' };
        check(answer, 400, text, text === BAD_VERSION ? versions : {});
        assert.deepEqual(events, []);
      });
    }

    it('another method than GET', async () => {
      const options = { method: 'POST' };
      const answer = await exchange(await serve(), request({}, options));
      check(answer, 405, 'Invalid HTTP method');
    });

    it('another path', async () => {
      const wss = await serve({ path: '/a' });
      const answer = await exchange(wss, request({}, { target: '/b' }));
      check(answer, 400, 'Bad Request');
    });

    it('and destroys the socket even if the peer does not end', async () => {
      const wss = await serve();
      const connected = once(wss._server, 'connection');
      const options = { allowHalfOpen: true, host: '127.0.0.1' };
      const socket = track(net.connect({ ...options, port: portOf(wss) }));
      socket.write(request({ [VERSION]: '7' }));
      const [accepting] = await connected;
      await once(accepting, 'close');
      assert.equal(accepting.destroyed, true);
    });

    it('with verifyClient', async () => {
      const wss = await serve({ verifyClient: () => false });
      check(await exchange(wss, request()), 401, 'Unauthorized');
    });

    for (const [name, args, status, text, more] of [
      ['alone', [], 401, 'Unauthorized', {}],
      ['and a status', [404], 404, 'Not Found', {}],
      ['and a text', [404, 'Not here'], 404, 'Not here', {}],
      [
        'and headers',
        [503, 'Later', { 'Retry-After': 120, Connection: 'close, x' }],
        503,
        'Later',
        { 'retry-after': '120', connection: 'close, x' },
      ],
    ]) {
      it(`with the callback of verifyClient, false ${name}`, async () => {
        const wss = await serve({
          verifyClient: (info, callback) => callback(false, ...args),
        });
        check(await exchange(wss, request()), status, text, more);
      });
    }

    it('while it is closing', async () => {
      const { server, wss } = await handed({}, (to, ...args) => {
        to.handleUpgrade(...args, ignore);
      });
      wss.close();
      check(await exchange(server, request()), 503, 'Service Unavailable');
    });

    it('while it is closing, if verifyClient has waited', async () => {
      const verified = {};
      const wss = await serve({
        verifyClient: (info, callback) => {
          verified.callback = callback;
          wss.close();
          setImmediate(callback, true);
        },
      });
      check(await exchange(wss, request()), 503, 'Service Unavailable');
    });
  });

  describe("emits 'wsClientError'", () => {
    it('instead of an answer', async () => {
      const wss = await serve();
      const failed = once(wss, 'wsClientError');
      wss.on('wsClientError', (error, socket) => {
        socket.end('HTTP/1.1 418 I am a teapot\r\n\r\n');
      });
      const fields = { [VERSION]: '7' };
      const { line } = await exchange(wss, request(fields));
      assert.equal(line, 'HTTP/1.1 418 I am a teapot');
      const [error, socket, req] = await failed;
      assert.equal(error.constructor, Error);
      assert.equal(error.message, BAD_VERSION);
      assert.ok(socket instanceof net.Socket);
      assert.equal(req.headers['sec-websocket-version'], '7');
    });

    it('not for what verifyClient and path refuse', async () => {
      const options = { path: '/a', verifyClient: () => false };
      const wss = await serve(options);
      const events = recorded(wss, 'wsClientError');
      for (const target of ['/a', '/b']) {
        await exchange(wss, request({}, { target }));
      }
      assert.deepEqual(events, []);
    });
  });

  describe('path', () => {
    it('is compared without the query', () => {
      const wss = new WebSocket.Server({ noServer: true, path: '/a' });
      return each(PATHS, (target, expected) => {
        assert.equal(wss.shouldHandle({ url: target }), expected);
      });
    });

    it('matches everything by default', () => {
      const wss = new WebSocket.Server({ noServer: true });
      assert.equal(wss.shouldHandle({ url: '/a' }), true);
    });

    it('may be replaced with shouldHandle', async () => {
      const wss = await serve({ path: '/a' });
      wss.shouldHandle = (req) => req.headers['x-own'] === 'yes';
      const [line] = await accepted(wss, { 'X-Own': 'yes' });
      assert.equal(line, 'HTTP/1.1 101 Switching Protocols');
      const refused = await exchange(wss, request({}, { target: '/a' }));
      assert.equal(refused.line, 'HTTP/1.1 400 Bad Request');
    });
  });

  describe('verifyClient', () => {
    it('is told origin, request and security', async () => {
      const seen = [];
      const wss = await serve({ verifyClient: (info) => seen.push(info) });
      await accepted(wss, { Origin: 'https://a.b' });
      const [{ origin, req, secure }] = seen;
      assert.equal(origin, 'https://a.b');
      assert.equal(secure, false);
      assert.ok(req instanceof http.IncomingMessage);
    });

    it('is told the origin of version 8', async () => {
      const seen = [];
      const wss = await serve({ verifyClient: (info) => seen.push(info) });
      await accepted(wss, {
        [VERSION]: '8',
        'Sec-WebSocket-Origin': 'https://a.b',
        Origin: 'https://other',
      });
      assert.equal(seen[0].origin, 'https://a.b');
    });

    it('is told that TLS is secure', async () => {
      const cert = fixture('server.pem');
      const key = fixture('server-key.pem');
      const server = track(https.createServer({ cert, key }));
      await listenHttp(server);
      const seen = [];
      const verifyClient = (info) => seen.push(info.secure);
      track(new WebSocket.Server({ server, verifyClient }));
      const options = { ca: fixture('ca.pem') };
      const address = `wss://localhost:${portOf(server)}`;
      await once(track(new WebSocket(address, options)), 'open');
      assert.deepEqual(seen, [true]);
    });

    it('may accept at once', async () => {
      await pair({ verifyClient: () => true });
    });

    it('may accept later', async () => {
      await pair({
        verifyClient: (info, callback) => setImmediate(callback, true),
      });
    });

    it('may be called for a client that disconnects meanwhile', async () => {
      const verifyClient = ({ req: { socket } }, callback) => {
        socket.on('end', () => callback(true)).resume();
      };
      const wss = await serve({ verifyClient });
      const events = recorded(wss, 'connection', 'headers');
      const socket = track(net.connect(portOf(wss), '127.0.0.1'));
      socket.end(request());
      await once(socket.resume(), 'close');
      assert.deepEqual(events, []);
    });
  });

  describe('handleProtocols', () => {
    for (const [name, choice, expected] of [
      ['may choose', 'b', 'b'],
      ['may choose none with false', false, ''],
      ['may choose none with undefined', undefined, ''],
    ]) {
      it(name, async () => {
        const wss = await serve({ handleProtocols: () => choice });
        const connected = once(wss, 'connection');
        const lines = await accepted(wss, { [PROTOCOL]: 'a, b' });
        const [ws] = await connected;
        assert.equal(ws.protocol, expected);
        const sent = expected ? [`Sec-WebSocket-Protocol: ${expected}`] : [];
        assert.deepEqual(lines.slice(4), sent);
      });
    }

    it('gets a Set and the request', async () => {
      const seen = [];
      const handleProtocols = (...args) => {
        seen.push(args);
        return 'a';
      };
      const wss = await serve({ handleProtocols });
      await accepted(wss, { [PROTOCOL]: 'a,b , c' });
      const [[protocols, req]] = seen;
      assert.deepEqual(protocols, new Set(['a', 'b', 'c']));
      assert.ok(req instanceof http.IncomingMessage);
    });

    it('is not called if the client offers none', async () => {
      const seen = [];
      const wss = await serve({
        handleProtocols: (...args) => seen.push(args),
      });
      await accepted(wss);
      assert.deepEqual(seen, []);
    });
  });

  describe('handleUpgrade', () => {
    it('calls back with WebSocket and request', async () => {
      const called = {};
      const { server, wss } = await handed({}, (to, ...args) => {
        to.handleUpgrade(...args, (...result) => (called.with = result));
      });
      const connections = recorded(wss, 'connection');
      await open(server);
      const [ws, req] = called.with;
      assert.ok(ws instanceof WebSocket);
      assert.equal(ws.readyState, WebSocket.OPEN);
      assert.equal(req.url, '/');
      assert.ok(wss.clients.has(ws));
      assert.deepEqual(connections, []);
    });

    it("leaves it to the program to emit 'connection'", async () => {
      const { server, wss } = await handed({}, (to, req, socket, head) => {
        to.handleUpgrade(req, socket, head, (ws) => {
          to.emit('connection', ws, req);
        });
      });
      wss.on('connection', (ws) => ws.send('welcome'));
      const ws = track(new WebSocket(url(server)));
      assert.equal(String((await once(ws, 'message'))[0]), 'welcome');
    });

    for (const [name, again] of [
      ['throws', (wss, ...args) => wss.handleUpgrade(...args)],
      [
        'throws, as completeUpgrade does,',
        (wss, req, socket, head, callback) =>
          wss.completeUpgrade(
            {},
            req.headers['sec-websocket-key'],
            new Set(),
            req,
            socket,
            head,
            callback,
          ),
      ],
    ]) {
      it(`${name} if called twice with a socket`, async () => {
        const errors = [];
        const { server } = await handed({}, (wss, ...args) => {
          wss.handleUpgrade(...args, ignore);
          try {
            again(wss, ...args, ignore);
          } catch (error) {
            errors.push(error.message);
          }
        });
        await open(server);
        assert.deepEqual(errors, [
          'server.handleUpgrade() was called more than once with the same socket, possibly due to a misconfiguration',
        ]);
      });
    }

    it('destroys a socket that has ended already', async () => {
      const called = [];
      const { server } = await handed({}, (wss, req, socket, head) => {
        socket.once('end', () => {
          wss.handleUpgrade(req, socket, head, () => called.push('called'));
          called.push(socket.destroyed);
        });
        socket.resume();
      });
      const socket = track(net.connect(portOf(server), '127.0.0.1'));
      socket.end(request());
      socket.resume();
      await once(socket, 'close');
      assert.deepEqual(called, [true]);
    });

    it('may be called later', async () => {
      const { server } = await handed({}, (wss, ...args) => {
        setImmediate(() => wss.handleUpgrade(...args, (ws) => ws.send('late')));
      });
      const ws = track(new WebSocket(url(server)));
      assert.equal(String((await once(ws, 'message'))[0]), 'late');
    });
  });

  describe('completeUpgrade', () => {
    it('opens the connection without any checks', async () => {
      const { server } = await handed(
        { path: '/nowhere', verifyClient: () => false },
        (wss, req, socket, head) => {
          const key = req.headers['sec-websocket-key'];
          const protocols = new Set(['a']);
          const done = (ws) => ws.send('done');
          wss.completeUpgrade({}, key, protocols, req, socket, head, done);
        },
      );
      const ws = track(new WebSocket(url(server), 'a'));
      assert.equal(String((await once(ws, 'message'))[0]), 'done');
      assert.equal(ws.protocol, 'a');
    });

    it('may be overridden', async () => {
      class Own extends WebSocket.Server {
        completeUpgrade(extensions, key, protocols, ...args) {
          super.completeUpgrade(extensions, key, new Set(['own']), ...args);
        }
      }
      const wss = track(new Own({ host: '127.0.0.1', port: 0 }));
      await once(wss, 'listening');
      const lines = await accepted(wss, { [PROTOCOL]: 'a' });
      assert.equal(lines[4], 'Sec-WebSocket-Protocol: own');
    });
  });

  describe('clients', () => {
    it('are those that are open', async () => {
      const { client, server, wss } = await pair();
      const { server: second } = await join(wss);
      assert.deepEqual([...wss.clients], [server, second]);
      const closed = closing(server);
      client.close();
      await closed;
      assert.deepEqual([...wss.clients], [second]);
    });

    it('that terminate are removed', async () => {
      const { client, server, wss } = await pair();
      const closed = closing(server);
      client.terminate();
      await closed;
      assert.equal(wss.clients.size, 0);
    });

    it('are not tracked without clientTracking', async () => {
      const { wss } = await pair({ clientTracking: false });
      assert.equal(wss.clients, undefined);
    });
  });

  describe('close()', () => {
    it('of its own port waits for its clients without closing them', async () => {
      const { client, server, wss } = await pair();
      const order = recorded(wss, 'close');
      const closed = new Promise((resolve) => {
        wss.close((...args) => resolve(args));
      });
      const answered = once(client, 'message');
      server.send('still here');
      assert.equal(String((await answered)[0]), 'still here');
      assert.deepEqual(order, []);
      client.close();
      assert.deepEqual(await closed, []);
      assert.deepEqual(order, ['close']);
    });

    it('frees the port', async () => {
      const wss = await serve();
      const { port } = wss.address();
      await close(wss);
      const socket = track(net.connect(port, '127.0.0.1'));
      assert.equal((await once(socket, 'error'))[0].code, 'ECONNREFUSED');
    });

    for (const [name, make] of [
      ['on a given server', () => attached()],
      [
        'without a server',
        () => handed({}, (wss, ...args) => wss.handleUpgrade(...args, ignore)),
      ],
    ]) {
      it(`${name} waits for its clients`, async () => {
        const { server, wss } = await make();
        const ws = await open(server);
        const closed = close(wss);
        const order = recorded(wss, 'close');
        await turn();
        assert.deepEqual(order, []);
        ws.close();
        await closed;
        assert.equal(server.listening, true);
      });
    }

    for (const [name, options] of [
      ['a given server', { server: http.createServer() }],
      ['no server', { noServer: true }],
    ]) {
      it(`emits 'close' on the next tick with ${name} and no clients`, async () => {
        const wss = new WebSocket.Server(options);
        const events = recorded(wss, 'close');
        wss.close();
        assert.deepEqual(events, []);
        await new Promise((resolve) => process.nextTick(resolve));
        assert.deepEqual(events, ['close']);
      });
    }

    it('does not wait for clients that it does not track', async () => {
      const { server, wss } = await attached({ clientTracking: false });
      const ws = await open(server);
      await close(wss);
      assert.equal(ws.readyState, WebSocket.OPEN);
    });

    it('leaves a given server alone', async () => {
      const { server, wss } = await attached();
      await close(wss);
      server.on('request', (req, res) => res.end());
      const ws = track(new WebSocket(url(server)));
      const [{ message }] = await once(ws, 'error');
      assert.equal(message, 'Unexpected server response: 200');
    });

    it('twice calls both back, without an error', async () => {
      const wss = await serve();
      const called = [];
      wss.close((error) => called.push(error));
      wss.close((error) => called.push(error));
      await once(wss, 'close');
      assert.deepEqual(called, [undefined, undefined]);
    });

    for (const [name, make] of [
      ['of its own port', () => serve()],
      ['without a server', () => new WebSocket.Server({ noServer: true })],
    ]) {
      it(`${name} calls back with an error once it is closed`, async () => {
        const wss = await make();
        await close(wss);
        const again = once(wss, 'close');
        const error = await new Promise((resolve) => wss.close(resolve));
        assert.equal(error.constructor, Error);
        assert.equal(error.message, 'The server is not running');
        await again;
      });
    }
  });

  describe('whose peer', () => {
    it('disconnects before the response does not affect others', async () => {
      const wss = await serve();
      const socket = track(net.connect(portOf(wss), '127.0.0.1'));
      await once(socket, 'connect');
      socket.write(request());
      socket.resetAndDestroy();
      await once(socket, 'close');
      await join(wss);
    });

    it('sends its request in several chunks is accepted', async () => {
      const wss = await serve();
      const socket = track(net.connect(portOf(wss), '127.0.0.1'));
      const text = request();
      socket.setNoDelay();
      socket.write(text.slice(0, 50));
      setImmediate(() => socket.write(text.slice(50)));
      await once(wss, 'connection');
    });

    it('negotiates an extension has it in ws.extensions', async () => {
      const options = { perMessageDeflate: true };
      const { client, server } = await pair(options);
      assert.equal(client.extensions, DEFLATE);
      assert.equal(server.extensions, DEFLATE);
      const { ws } = await bare('server', options);
      assert.equal(ws.extensions, '');
    });
  });
});
