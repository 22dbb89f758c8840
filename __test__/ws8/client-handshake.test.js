'use strict';

const assert = require('node:assert/strict');
const { once } = require('events');
const http = require('http');
const https = require('https');
const net = require('net');
const tls = require('tls');

const { BINARY, DEFLATE, TEXT, WebSocket } = require('./support');
const {
  accepting,
  beyondWs,
  close,
  closing,
  collect,
  each,
} = require('./support');
const { fixture, frame, ignore, ledger, listenHttp } = require('./support');
const { nextUncaught, portOf, recorded, turn, url } = require('./support');

const CLOSED_EARLY =
  'WebSocket was closed before the connection was established';
const EXTENSIONS = 'Sec-WebSocket-Extensions';
const PROTOCOL = 'Sec-WebSocket-Protocol';
const BAD_EXTENSIONS = 'Invalid Sec-WebSocket-Extensions header';

/** Invalid responses: name, header fields, options of the client, and error message. */
const BAD_ANSWERS = [
  ['another Upgrade', { Upgrade: 'h2c' }, {}, 'Invalid Upgrade header'],
  [
    'no accept key',
    { 'Sec-WebSocket-Accept': undefined },
    {},
    'Invalid Sec-WebSocket-Accept header',
  ],
  [
    'a wrong accept key',
    { 'Sec-WebSocket-Accept': 'CxYS6+NgJSBG74mdgLvGscRvpns=' },
    {},
    'Invalid Sec-WebSocket-Accept header',
  ],
  [
    'a subprotocol that nobody asked for',
    { [PROTOCOL]: 'a' },
    {},
    'Server sent a subprotocol but none was requested',
  ],
  [
    'another subprotocol',
    { [PROTOCOL]: 'b' },
    { protocols: 'a' },
    'Server sent an invalid subprotocol',
  ],
  [
    'two subprotocols',
    { [PROTOCOL]: 'a, b' },
    { protocols: ['a', 'b'] },
    'Server sent an invalid subprotocol',
  ],
  ['no subprotocol', {}, { protocols: 'a' }, 'Server sent no subprotocol'],
  [
    'an extension that nobody asked for',
    { [EXTENSIONS]: DEFLATE },
    { perMessageDeflate: false },
    'Server sent a Sec-WebSocket-Extensions header but no extension was requested',
  ],
  ['a broken extension', { [EXTENSIONS]: 'a;' }, {}, BAD_EXTENSIONS],
  ['an empty extension', { [EXTENSIONS]: '' }, {}, BAD_EXTENSIONS],
  [
    'another extension',
    { [EXTENSIONS]: 'another' },
    {},
    'Server indicated an extension that was not requested',
  ],
  [
    'an extension too many',
    { [EXTENSIONS]: `${DEFLATE}, another` },
    {},
    'Server indicated an extension that was not requested',
  ],
  [
    'a parameter that there is not',
    { [EXTENSIONS]: `${DEFLATE}; another` },
    {},
    BAD_EXTENSIONS,
  ],
];

const CERTIFICATE = {
  cert: fixture('server.pem'),
  key: fixture('server-key.pem'),
};

const plain = (status, headers = '', body = '') =>
  `HTTP/1.1 ${status} ${http.STATUS_CODES[status]}\r\n` +
  `Content-Length: ${body.length}\r\n${headers}\r\n${body}`;

const redirect = (location, status = 302) =>
  plain(status, `Location: ${location}\r\n`);

describe('The handshake of a client', () => {
  const { answering, listenBare, pair, serve, settle, track } = ledger();

  const connect = (server, ...args) =>
    track(new WebSocket(url(server), ...args));

  /** Resolves to the error of a client that fails, and checks its events. */
  async function failure(ws) {
    const events = recorded(ws, 'open', 'error', 'close');
    const states = [];
    ws.on('error', () => states.push(ws.readyState));
    ws.on('close', () => states.push(ws.readyState));
    const failed = once(ws, 'error');
    const [[code, reason]] = await collect(ws, 'close', 1);
    await turn();
    assert.deepEqual(events, ['error', 'close']);
    assert.deepEqual(states, [WebSocket.CLOSING, WebSocket.CLOSED]);
    assert.equal(code, 1006);
    assert.deepEqual(reason, Buffer.alloc(0));
    return (await failed)[0];
  }

  describe('sends', () => {
    /** Resolves to the header fields that a client with these options sends. */
    const sent = async (options) => (await pair({}, options)).req.headers;

    it('what RFC 6455 asks for', async () => {
      const headers = await sent();
      assert.equal(headers.connection, 'Upgrade');
      assert.equal(headers.upgrade, 'websocket');
      assert.equal(headers['sec-websocket-version'], '13');
      const key = Buffer.from(headers['sec-websocket-key'], 'base64');
      assert.equal(key.length, 16);
      assert.equal(headers.origin, undefined);
      assert.equal(headers.authorization, undefined);
    });

    it('another key each time', async () => {
      const keys = [await sent(), await sent()].map(
        (headers) => headers['sec-websocket-key'],
      );
      assert.notEqual(keys[0], keys[1]);
    });

    for (const [name, options, field, value] of [
      ['an origin', { origin: 'https://a.b' }, 'origin', 'https://a.b'],
      [
        'an origin in the field of version 8',
        { origin: 'https://a.b', protocolVersion: 8 },
        'sec-websocket-origin',
        'https://a.b',
      ],
      ['fields of its own', { headers: { 'X-Own': 'yes' } }, 'x-own', 'yes'],
      [
        'a list as a field of its own',
        { headers: { Cookie: ['a=1', 'b=2'] } },
        'cookie',
        'a=1; b=2',
      ],
      ['a Host of its own', { headers: { Host: 'a.b' } }, 'host', 'a.b'],
      [
        'no field of its own in place of one that is needed',
        { headers: { Upgrade: 'h2c', 'Sec-WebSocket-Version': 7 } },
        'sec-websocket-version',
        '13',
      ],
    ]) {
      it(name, async () => {
        assert.equal((await sent(options))[field], value);
      });
    }

    it('its headers without changing its options', async () => {
      const headers = Object.freeze({ 'X-Own': 'yes' });
      const options = Object.freeze({ headers, origin: 'a' });
      assert.equal((await sent(options))['x-own'], 'yes');
      assert.deepEqual(options, { headers: { 'X-Own': 'yes' }, origin: 'a' });
    });
  });

  describe('hands on what http.request takes:', () => {
    it('lookup', async () => {
      const wss = await serve();
      const lookup = (host, options, callback) => {
        const all = [{ address: '127.0.0.1', family: 4 }];
        if (options.all) callback(null, all);
        else callback(null, '127.0.0.1', 4);
      };
      const address = `ws://nowhere.invalid:${portOf(wss)}`;
      await once(track(new WebSocket(address, { lookup })), 'open');
    });

    it('agent', async () => {
      const wss = await serve();
      const agent = new http.Agent();
      const asked = [];
      const { addRequest } = agent;
      agent.addRequest = function spy(req, ...args) {
        asked.push(req.path);
        return addRequest.call(this, req, ...args);
      };
      const options = { agent };
      const address = url(wss, '/a');
      await once(track(new WebSocket(address, options)), 'open');
      assert.deepEqual(asked, ['/a']);
    });

    it('createConnection', async () => {
      const wss = await serve();
      let socket;
      const createConnection = ({ host, port }) => {
        socket = net.connect(port, host);
        return socket;
      };
      const ws = connect(wss, { createConnection });
      await once(ws, 'open');
      assert.equal(ws._socket, socket);
    });

    it('servername, by default the host of the URL', async () => {
      const server = track(https.createServer(CERTIFICATE));
      track(new WebSocket.Server({ server: await listenHttp(server) }));
      const names = [];
      for (const [host, options] of [
        ['localhost', {}],
        ['127.0.0.1', {}],
        ['127.0.0.1', { servername: 'localhost' }],
        ['localhost', { servername: '' }],
      ]) {
        const connected = once(server, 'secureConnection');
        const address = `wss://${host}:${portOf(server)}`;
        const given = { rejectUnauthorized: false, ...options };
        await once(track(new WebSocket(address, given)), 'open');
        names.push((await connected)[0].servername);
      }
      assert.deepEqual(names, ['localhost', false, 'localhost', false]);
    });

    it('rejectUnauthorized', async () => {
      const server = track(https.createServer(CERTIFICATE));
      track(new WebSocket.Server({ server: await listenHttp(server) }));
      const address = `wss://127.0.0.1:${portOf(server)}`;
      const options = { rejectUnauthorized: false };
      await once(track(new WebSocket(address, options)), 'open');
    });

    it('signal', async () => {
      const server = await listenBare(ignore);
      const abort = new AbortController();
      const failed = failure(connect(server, { signal: abort.signal }));
      abort.abort();
      assert.equal((await failed).name, 'AbortError');
    });
  });

  describe('calls finishRequest', () => {
    it('with the request, which it has to end, and the WebSocket', async () => {
      const wss = await serve();
      const connected = once(wss, 'connection');
      const seen = [];
      const ws = connect(wss, {
        finishRequest(req, websocket) {
          seen.push(websocket);
          assert.ok(req instanceof http.ClientRequest);
          req.setHeader('X-Own', 'yes');
          setImmediate(() => req.end());
        },
      });
      const [, req] = await connected;
      assert.equal(req.headers['x-own'], 'yes');
      assert.deepEqual(seen, [ws]);
    });

    it('for each redirect as well', async () => {
      const wss = await serve();
      const first = await answering(() => redirect(url(wss)));
      let calls = 0;
      const finishRequest = (req) => {
        calls++;
        req.end();
      };
      const ws = connect(first, { finishRequest, followRedirects: true });
      await once(ws, 'open');
      assert.equal(calls, 2);
    });
  });

  describe('opens', () => {
    it('whatever the case of the Upgrade header', async () => {
      const server = await answering((head) =>
        accepting(head, { Upgrade: 'WebSocket' }),
      );
      await once(connect(server), 'open');
    });

    it('with frames that follow the response in the same chunk', async () => {
      const server = await answering((head) =>
        Buffer.concat([
          Buffer.from(accepting(head)),
          frame(TEXT, 'one', { key: null }),
          frame(BINARY, 'two', { key: null }),
        ]),
      );
      const ws = connect(server);
      const events = recorded(ws, 'open', 'message');
      const messages = await collect(ws, 'message', 2);
      assert.deepEqual(messages.map(String), ['one,false', 'two,true']);
      assert.deepEqual(events, ['open', 'message', 'message']);
    });

    it('with a frame that follows the response in several chunks', async () => {
      const server = await listenBare(async (socket) => {
        const [head] = await once(socket, 'data');
        const bytes = frame(TEXT, 'text', { key: null });
        socket.setNoDelay();
        socket.write(accepting(head.toString()));
        socket.write(bytes.subarray(0, 1));
        setImmediate(() => socket.write(bytes.subarray(1)));
      });
      const [data] = await once(connect(server), 'message');
      assert.equal(data.toString(), 'text');
    });
  });

  describe("emits 'upgrade'", () => {
    it("with the answer, before 'open'", async () => {
      const server = await answering((head) =>
        accepting(head, { 'Set-Cookie': 'a=1' }),
      );
      const ws = connect(server);
      const events = recorded(ws, 'upgrade', 'open');
      const states = [];
      ws.on('upgrade', () => states.push(ws.readyState));
      const upgraded = once(ws, 'upgrade');
      await once(ws, 'open');
      const [res] = await upgraded;
      assert.deepEqual(states, [WebSocket.CONNECTING]);
      assert.ok(res instanceof http.IncomingMessage);
      assert.equal(res.statusCode, 101);
      assert.deepEqual(res.headers['set-cookie'], ['a=1']);
      assert.deepEqual(events, ['upgrade', 'open']);
    });

    it('before the answer is judged', async () => {
      const server = await answering((head) =>
        accepting(head, { Upgrade: 'h2c' }),
      );
      const ws = connect(server);
      const events = recorded(ws, 'upgrade', 'error');
      await failure(ws);
      assert.deepEqual(events, ['upgrade', 'error']);
    });

    for (const method of ['close', 'terminate']) {
      it(`whose listener may call ${method}()`, async () => {
        const server = await answering((head) => accepting(head));
        const ws = connect(server);
        ws.on('upgrade', () => ws[method]());
        assert.equal((await failure(ws)).message, CLOSED_EARLY);
      });
    }
  });

  describe('fails on', () => {
    for (const [name, fields, options, message] of BAD_ANSWERS) {
      it(name, async () => {
        let left;
        const server = await answering((head, socket) => {
          left = once(socket, 'close');
          return accepting(head, fields);
        });
        const error = await failure(connect(server, options));
        assert.equal(error.constructor, Error);
        assert.equal(error.message, message);
        await left;
      });
    }

    it('any other status', () =>
      each(
        [[200], [204], [301], [400], [401], [426], [503]],
        async (status) => {
          let left;
          const server = await answering((head, socket) => {
            left = once(socket, 'close');
            return plain(status, 'Location: /\r\n');
          });
          const error = await failure(connect(server));
          assert.equal(error.message, `Unexpected server response: ${status}`);
          await left;
        },
      ));

    it('the end of the connection', async () => {
      const server = await answering((head, socket) => {
        socket.end();
        return '';
      });
      const error = await failure(connect(server));
      assert.equal(error.message, 'socket hang up');
      assert.equal(error.code, 'ECONNRESET');
    });

    it('what is not HTTP', async () => {
      const server = await answering(() => 'SSH-2.0-OpenSSH_9.0\r\n');
      assert.match((await failure(connect(server))).code, /^HPE_/);
    });

    it('a port where nobody listens', async () => {
      const server = await listenHttp(net.createServer());
      const address = url(server);
      await close(server);
      const error = await failure(track(new WebSocket(address)));
      assert.equal(error.code, 'ECONNREFUSED');
    });

    it('a certificate that is not trusted', async () => {
      const server = track(https.createServer(CERTIFICATE));
      await listenHttp(server);
      const address = `wss://localhost:${portOf(server)}`;
      const { code } = await failure(track(new WebSocket(address)));
      assert.match(code, /SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_VERIFY/);
    });

    for (const [name, respond] of [
      ['answers nothing', ignore],
      ['answers in part', (socket) => socket.write('HTTP/1.1 101 ')],
    ]) {
      it(`a server that ${name} until handshakeTimeout`, async () => {
        const server = await listenBare(respond);
        const error = await failure(connect(server, { handshakeTimeout: 20 }));
        assert.equal(error.message, 'Opening handshake has timed out');
      });
    }

    it('no handshakeTimeout once it is open', async () => {
      const { client } = await pair({}, { handshakeTimeout: 20 });
      assert.equal(client._socket.timeout, 0);
    });

    it('an error without a listener, which is thrown', async () => {
      const server = await answering(() => plain(401));
      const thrown = await nextUncaught(() => connect(server));
      assert.equal(thrown, 'Unexpected server response: 401');
    });
  });

  describe('is aborted', () => {
    for (const method of ['close', 'terminate']) {
      it(`by ${method}() at once`, async () => {
        const wss = await serve();
        const connections = recorded(wss, 'connection');
        const ws = connect(wss);
        const failed = failure(ws);
        ws[method]();
        assert.equal(ws.readyState, WebSocket.CLOSING);
        const error = await failed;
        assert.equal(error.constructor, Error);
        assert.equal(error.message, CLOSED_EARLY);
        await settle();
        assert.deepEqual(connections, []);
      });

      it(`by ${method}() once the request has been sent`, async () => {
        const asked = {};
        const server = await answering((head, socket) => {
          asked.left = once(socket, 'close');
          asked.by[method]();
          return '';
        });
        asked.by = connect(server);
        assert.equal((await failure(asked.by)).message, CLOSED_EARLY);
        await asked.left;
      });

      it(`by ${method}() in the listener of its error`, async () => {
        const server = await answering(() => plain(401));
        const ws = connect(server);
        ws.on('error', () => ws[method]());
        await failure(ws);
      });

      it(`by ${method}() twice, as by calling it once`, async () => {
        const server = await listenBare(ignore);
        const ws = connect(server);
        const failed = failure(ws);
        ws[method]();
        ws[method]();
        await failed;
      });
    }

    it('by close() with a code, which is ignored', async () => {
      const server = await listenBare(ignore);
      const ws = connect(server);
      const failed = failure(ws);
      ws.close(1, 'x'.repeat(200));
      assert.equal((await failed).message, CLOSED_EARLY);
    });

    it('with an error that is thrown if nobody listens', async () => {
      const server = await listenBare(ignore);
      const thrown = await nextUncaught(() => connect(server).close());
      assert.equal(thrown, CLOSED_EARLY);
    });
  });

  describe("leaves to a listener of 'unexpected-response'", () => {
    it('the request and the answer', async () => {
      const server = await answering(() => plain(401, 'A: b\r\n', 'no entry'));
      const ws = connect(server);
      const events = recorded(ws, 'error', 'close');
      const [req, res] = await once(ws, 'unexpected-response');
      assert.ok(req instanceof http.ClientRequest);
      assert.equal(res.statusCode, 401);
      assert.equal(res.headers.a, 'b');
      const chunks = [];
      for await (const chunk of res) chunks.push(chunk);
      assert.equal(Buffer.concat(chunks).toString(), 'no entry');
      assert.equal(ws.readyState, WebSocket.CONNECTING);
      assert.deepEqual(events, []);
    });

    it('the end of the request', async () => {
      const server = await answering(() => plain(401, '', 'no entry'));
      const ws = connect(server);
      ws.on('unexpected-response', (req) => req.destroy(new Error('enough')));
      assert.equal((await failure(ws)).message, 'enough');
    });

    it('the end of the WebSocket', async () => {
      const server = await answering(() => plain(401));
      const ws = connect(server);
      ws.on('unexpected-response', () => ws.close());
      assert.equal((await failure(ws)).message, CLOSED_EARLY);
    });

    it('a redirect without followRedirects', async () => {
      const server = await answering(() => redirect('/'));
      const [, res] = await once(connect(server), 'unexpected-response');
      assert.equal(res.statusCode, 302);
    });
  });

  /** Tests that a listener for this event may throw. */
  const mayThrow = (event) =>
    it(`for '${event}' does not keep 'close' from coming`, async () => {
      const server = await answering((head, socket) => {
        setImmediate(() => socket.end());
        return event === 'error' ? plain(401) : accepting(head);
      });
      let closed;
      const thrown = await nextUncaught(() => {
        const ws = connect(server);
        closed = closing(ws);
        ws.prependListener(event, () => {
          throw new Error('thrown');
        });
      });
      assert.equal(thrown, 'thrown');
      assert.equal((await closed)[0], 1006);
    });

  describe('what a listener throws', () => {
    mayThrow('open');
  });

  beyondWs('what a listener throws', () => {
    mayThrow('upgrade');
    mayThrow('error');
  });
});

describe('The redirects of a client', () => {
  const { answering, serve, track } = ledger();

  const FOLLOW = { followRedirects: true };
  const SECRETS = {
    Authorization: 'Basic Zm9vOmJhcg==',
    Cookie: 'a=1',
    Host: 'a.b',
    'X-Own': 'yes',
  };

  const connect = (server, options) =>
    track(new WebSocket(url(server), { ...FOLLOW, ...options }));

  /** Resolves to the error of a client that fails, and checks its close code. */
  async function failure(ws) {
    const failed = once(ws, 'error');
    const [code] = await closing(ws);
    assert.equal(code, 1006);
    return (await failed)[0];
  }

  /**
   * Starts a server, `first`, that redirects to `target`, by default the server `wss`.
   */
  async function detour(target = (wss) => url(wss)) {
    const wss = await serve();
    const first = await answering(() => redirect(target(wss)));
    return { first, wss };
  }

  it('follow each status of 300 to 399', () =>
    each([[300], [301], [302], [303], [307], [308], [399]], async (status) => {
      const wss = await serve();
      const first = await answering(() => redirect(url(wss, '/a'), status));
      const ws = connect(first);
      const opened = once(ws, 'open');
      const [, req] = await once(wss, 'connection');
      await opened;
      assert.equal(req.url, '/a');
      assert.equal(ws.url, url(wss, '/a'));
      assert.equal(ws._redirects, 1);
    }));

  it('close the connection to the server that has sent them', async () => {
    const wss = await serve();
    let left;
    const first = await answering((head, socket) => {
      left = once(socket, 'close');
      return redirect(url(wss));
    });
    await once(connect(first), 'open');
    await left;
  });

  it('may be relative', async () => {
    const targets = [];
    const server = await answering((head) => {
      targets.push(/^GET (\S+)/.exec(head)[1]);
      return targets.length < 3 ? redirect(`b/${targets.length}`) : plain(200);
    });
    const ws = track(new WebSocket(url(server, '/a/a'), FOLLOW));
    const { message } = await failure(ws);
    assert.equal(message, 'Unexpected server response: 200');
    assert.deepEqual(targets, ['/a/a', '/a/b/1', '/a/b/b/2']);
  });

  it('may name an http: URL', async () => {
    const { first } = await detour((wss) => url(wss).replace('ws:', 'http:'));
    await once(connect(first), 'open');
  });

  it('fail without a Location', async () => {
    const server = await answering(() => plain(302));
    const { message } = await failure(connect(server));
    assert.equal(message, 'Unexpected server response: 302');
  });

  for (const [name, options, expected] of [
    ['ten by default', {}, 11],
    ['as many as maxRedirects says', { maxRedirects: 2 }, 3],
    ['none if it is 0', { maxRedirects: 0 }, 1],
  ]) {
    it(`are ${name}`, async () => {
      let requests = 0;
      const server = await answering(() => {
        requests++;
        return redirect('/');
      });
      const { message } = await failure(connect(server, options));
      assert.equal(message, 'Maximum redirects exceeded');
      assert.equal(requests, expected);
    });
  }

  for (const [location, message] of [
    ['http://', 'Invalid URL: http://'],
    [
      'ftp://localhost',
      'The URL\'s protocol must be one of "ws:", "wss:", "http:", "https:", or "ws+unix:"',
    ],
    ['/#fragment', 'The URL contains a fragment identifier'],
  ]) {
    it(`fail on ${location}`, async () => {
      const server = await answering(() => redirect(location));
      const error = await failure(connect(server));
      assert.equal(error.name, 'SyntaxError');
      assert.equal(error.message, message);
    });
  }

  it('have the whole handshakeTimeout each', async () => {
    const { first } = await detour();
    const ws = connect(first, { handshakeTimeout: 12345 });
    const [, request] = await once(ws, 'redirect');
    assert.equal(request.timeout, 12345);
    await once(ws, 'open');
  });

  describe("emit 'redirect'", () => {
    it('with the URL and the request', async () => {
      const { first, wss } = await detour();
      const ws = connect(first);
      const [address, request] = await once(ws, 'redirect');
      assert.equal(address, url(wss));
      assert.ok(request instanceof http.ClientRequest);
      assert.equal(ws.readyState, WebSocket.CONNECTING);
    });

    it('whose listener may change the request', async () => {
      const { first, wss } = await detour();
      const ws = connect(first, { headers: SECRETS });
      ws.on('redirect', (address, request) => {
        assert.equal(request.getHeader('Cookie'), 'a=1');
        request.removeHeader('Cookie');
      });
      const [, { headers }] = await once(wss, 'connection');
      assert.equal(headers.cookie, undefined);
      assert.equal(headers['x-own'], 'yes');
    });

    for (const method of ['close', 'terminate']) {
      it(`whose listener may call ${method}()`, async () => {
        const { first } = await detour();
        const ws = connect(first);
        ws.on('redirect', () => ws[method]());
        assert.equal((await failure(ws)).message, CLOSED_EARLY);
      });
    }

    it('whose listener may destroy the request', async () => {
      const { first } = await detour();
      const ws = connect(first);
      ws.on('redirect', (address, request) => {
        request.destroy(new Error('enough'));
      });
      assert.equal((await failure(ws)).message, 'enough');
    });
  });

  describe('to the same host', () => {
    /**
     * Resolves to the head of the second request to a server that redirects to itself.
     */
    async function second(options, address = (server) => url(server)) {
      const heads = [];
      const server = await answering((head) => {
        heads.push(head);
        return heads.length === 1 ? redirect('/') : plain(200);
      });
      const ws = new WebSocket(address(server), { ...FOLLOW, ...options });
      await failure(track(ws));
      return heads[1];
    }

    it('have all header fields', async () => {
      const head = await second({ headers: SECRETS });
      for (const [name, value] of Object.entries(SECRETS)) {
        assert.match(head, new RegExp(`^${name}: ${value}\\r$`, 'im'));
      }
    });

    it('have the user information of an option', async () => {
      const head = await second({ auth: 'foo:bar' });
      assert.match(head, /^authorization: Basic Zm9vOmJhcg==\r$/im);
    });

    it('have the user information of the first URL', async () => {
      const head = await second({}, (server) =>
        url(server).replace('//', '//foo:bar@'),
      );
      assert.match(head, /^authorization: Basic Zm9vOmJhcg==\r$/im);
    });

    it('have another key', async () => {
      const keys = [];
      const server = await answering((head) => {
        keys.push(/^Sec-WebSocket-Key: (.*)$/im.exec(head)[1]);
        return keys.length === 1 ? redirect('/') : plain(200);
      });
      await failure(connect(server));
      assert.notEqual(keys[0], keys[1]);
    });
  });

  describe('to another host', () => {
    /** Resolves to the header fields of the request to the other server. */
    async function second(options, listener) {
      const { first, wss } = await detour();
      const ws = connect(first, options);
      if (listener) ws.on('redirect', listener);
      const [, { headers }] = await once(wss, 'connection');
      return { headers, host: `127.0.0.1:${portOf(wss)}` };
    }

    it('lose authorization, cookies and Host', async () => {
      const { headers, host } = await second({ headers: SECRETS });
      assert.equal(headers.authorization, undefined);
      assert.equal(headers.cookie, undefined);
      assert.equal(headers.host, host);
      assert.equal(headers['x-own'], 'yes');
    });

    it('lose the user information of an option', async () => {
      const { headers } = await second({ auth: 'foo:bar' });
      assert.equal(headers.authorization, undefined);
    });

    it("lose nothing if 'redirect' is listened to", async () => {
      const { headers } = await second({ headers: SECRETS }, ignore);
      assert.equal(headers.authorization, SECRETS.Authorization);
      assert.equal(headers.cookie, 'a=1');
      assert.equal(headers.host, 'a.b');
    });

    it('lose even the user information of the new URL', async () => {
      const { first, wss } = await detour((to) =>
        url(to).replace('//', '//foo:bar@'),
      );
      connect(first);
      const [, { headers }] = await once(wss, 'connection');
      assert.equal(headers.authorization, undefined);
    });
  });

  describe('away from TLS', () => {
    /** Resolves to the header fields of the request that follows one over TLS. */
    async function second(options, listener) {
      const wss = await serve();
      const first = track(https.createServer(CERTIFICATE));
      await listenHttp(first);
      first.on('upgrade', (req, socket) => {
        socket.on('error', ignore);
        socket.end(redirect('ws://localhost/'));
      });
      const host = '127.0.0.1';
      const secure = { ca: fixture('ca.pem'), host, port: portOf(first) };
      const createConnection = ({ port }) =>
        port === 443 ? tls.connect(secure) : net.connect(portOf(wss), host);
      const ws = track(
        new WebSocket('wss://localhost', {
          ...FOLLOW,
          ...options,
          createConnection,
        }),
      );
      if (listener) ws.on('redirect', listener);
      const [, { headers }] = await once(wss, 'connection');
      return headers;
    }

    it('lose authorization and cookies', async () => {
      const headers = await second({ headers: SECRETS });
      assert.equal(headers.authorization, undefined);
      assert.equal(headers.cookie, undefined);
      assert.equal(headers.host, 'a.b');
      assert.equal(headers['x-own'], 'yes');
    });

    it("lose nothing if 'redirect' is listened to", async () => {
      const headers = await second({ headers: SECRETS }, ignore);
      assert.equal(headers.authorization, SECRETS.Authorization);
      assert.equal(headers.cookie, 'a=1');
    });
  });
});
