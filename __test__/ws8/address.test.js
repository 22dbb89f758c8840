'use strict';

const assert = require('node:assert/strict');
const { once } = require('events');
const fs = require('fs');
const http = require('http');
const https = require('https');
const os = require('os');
const path = require('path');

const { WebSocket, each, fixture, ledger } = require('./support');
const { listenHttp, portOf, silent, url } = require('./support');

const BAD_PROTOCOL =
  'The URL\'s protocol must be one of "ws:", "wss:", "http:", "https:", or "ws+unix:"';
const BAD_PATH = "The URL's pathname is empty";
const BAD_FRAGMENT = 'The URL contains a fragment identifier';
const BAD_SUBPROTOCOL = 'An invalid or duplicated subprotocol was specified';

/** Addresses, and their normalized form. */
const URLS = [
  ['ws://localhost', 'ws://localhost/'],
  ['ws://LOCALHOST:80/a/../b?c', 'ws://localhost/b?c'],
  ['wss://localhost:443', 'wss://localhost/'],
  ['wss://localhost:80', 'wss://localhost:80/'],
  ['http://localhost/a', 'ws://localhost/a'],
  ['https://localhost/a', 'wss://localhost/a'],
  ['ws://user:secret@localhost', 'ws://user:secret@localhost/'],
  ['ws://localhost/a b?c d', 'ws://localhost/a%20b?c%20d'],
  ['ws://localhost/#', 'ws://localhost/#'],
  ['ws+unix:/some.sock:/path?query', 'ws+unix:/some.sock:/path?query'],
];

/** Addresses with their host, port, request target and `Host` header. */
const TARGETS = [
  ['ws://localhost', 'localhost', 80, '/', 'localhost'],
  ['ws://localhost:443', 'localhost', 443, '/', 'localhost:443'],
  ['wss://localhost', 'localhost', 443, '/', 'localhost'],
  ['wss://localhost:80', 'localhost', 80, '/', 'localhost:80'],
  ['ws://127.0.0.1:1/a?b=c', '127.0.0.1', 1, '/a?b=c', '127.0.0.1:1'],
  ['ws://[::1]:1234', '::1', 1234, '/', '[::1]:1234'],
];

const BAD_URLS = [
  ['', 'Invalid URL: '],
  ['nowhere', 'Invalid URL: nowhere'],
  ['/path', 'Invalid URL: /path'],
  ['ws:', 'Invalid URL: ws:'],
  ['ws://', 'Invalid URL: ws://'],
  ['ws://localhost:99999', 'Invalid URL: ws://localhost:99999'],
  [undefined, 'Invalid URL: undefined'],
  [42, 'Invalid URL: 42'],
  ['ftp://localhost', BAD_PROTOCOL],
  ['file:///localhost', BAD_PROTOCOL],
  [new URL('ftp://localhost'), BAD_PROTOCOL],
  ['ws+unix:', BAD_PATH],
  ['ws://localhost/#fragment', BAD_FRAGMENT],
  ['wss://localhost#fragment', BAD_FRAGMENT],
  ['https://localhost/#fragment', BAD_FRAGMENT],
  ['ws+unix:/some.sock#fragment', BAD_FRAGMENT],
  [new URL('ws://localhost/#fragment'), BAD_FRAGMENT],
];

const AUTH = { auth: 'option:secret' };

/** User information in a URL, options, and the credentials that are sent. */
const USERS = [
  ['user:secret@', {}, 'user:secret'],
  ['user@', {}, 'user:'],
  [':secret@', {}, ':secret'],
  ['us%40er:p%3Ass@', {}, 'us@er:p:ss'],
  ['', AUTH, 'option:secret'],
  ['a:b@', AUTH, 'a:b'],
];

/** Arguments of a client, and the subprotocols that it offers. */
const SUBPROTOCOLS = [
  [['a'], 'a'],
  [[['a', 'b']], 'a,b'],
  [[[]], undefined],
  [[undefined, { protocols: 'a' }], 'a'],
  [[{ protocols: 'a' }], 'a'],
  [[{ protocols: ['a', 'b'] }], 'a,b'],
  [['a', { protocols: 'b' }], 'a'],
  [["!#$%&'*+-.^_`|~09AZaz"], "!#$%&'*+-.^_`|~09AZaz"],
];

const BAD_SUBPROTOCOLS = [
  [''],
  ['a b'],
  ['a,b'],
  ['\u00e4'],
  [null],
  [42],
  [['a', undefined]],
  [['a', 'b', 'a']],
];

describe('The address', () => {
  const { serve, track } = ledger();

  /**
   * Creates a client that never connects. `asked` is what `createConnection` was given.
   */
  function unconnected(address, options) {
    let asked;
    const createConnection = (given) => {
      asked = given;
      return silent();
    };
    const ws = track(new WebSocket(address, { ...options, createConnection }));
    return { ws, asked, req: ws._req };
  }

  /** Connects a client with these arguments. Resolves to its request at the server. */
  async function requested(address, ...args) {
    const wss = await serve();
    const connected = once(wss, 'connection');
    const ws = track(new WebSocket(address(portOf(wss)), ...args));
    const opened = once(ws, 'open');
    const [, req] = await connected;
    await opened;
    return req;
  }

  describe('is written to url', () => {
    it('in its normal form', () =>
      each(URLS, (address, expected) => {
        assert.equal(unconnected(address).ws.url, expected);
        assert.equal(unconnected(new URL(address)).ws.url, expected);
      }));

    it('without a change to a given URL', () => {
      const address = new URL('http://localhost/a');
      unconnected(address);
      assert.equal(address.href, 'http://localhost/a');
    });
  });

  describe('decides about the connection and the request', () => {
    it('as it says', () =>
      each(TARGETS, (address, host, port, target, header) => {
        const { asked, req } = unconnected(address);
        assert.equal(asked.host, host);
        assert.equal(Number(asked.port), port);
        assert.equal(req.method, 'GET');
        assert.equal(req.path, target);
        assert.equal(req.getHeader('host'), header);
      }));

    it('whatever the options say', () => {
      const { asked, req } = unconnected('ws://localhost:1234/a', {
        host: 'elsewhere',
        hostname: 'elsewhere',
        method: 'POST',
        path: '/elsewhere',
        port: 4321,
        protocol: 'https:',
        socketPath: '/elsewhere.sock',
      });
      assert.equal(asked.host, 'localhost');
      assert.equal(Number(asked.port), 1234);
      assert.equal(asked.socketPath, undefined);
      assert.equal(req.method, 'GET');
      assert.equal(req.path, '/a');
    });
  });

  describe('may begin with', () => {
    for (const scheme of ['ws', 'http']) {
      it(`${scheme}:`, async () => {
        const req = await requested((port) => `${scheme}://localhost:${port}/`);
        assert.equal(req.url, '/');
      });
    }

    for (const scheme of ['wss', 'https']) {
      it(`${scheme}:`, async () => {
        const cert = fixture('server.pem');
        const key = fixture('server-key.pem');
        const server = track(https.createServer({ cert, key }));
        await listenHttp(server);
        const wss = track(new WebSocket.Server({ server }));
        wss.on('connection', (ws) => ws.on('message', (data) => ws.send(data)));
        const address = `${scheme}://localhost:${portOf(server)}`;
        const ws = track(new WebSocket(address, { ca: fixture('ca.pem') }));
        await once(ws, 'open');
        ws.send('secret');
        assert.equal(String((await once(ws, 'message'))[0]), 'secret');
        assert.ok(ws._socket.encrypted);
      });
    }

    for (const [name, suffix, target] of [
      ['alone', '', '/'],
      ['with a path', ':/a', '/a'],
      ['with a path and a query', ':/a?b=c', '/a?b=c'],
      ['with a path that has a colon', ':/a:/b', '/a:/b'],
    ]) {
      it(`ws+unix: ${name}`, async function () {
        if (process.platform === 'win32') this.skip();
        const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ws8-'));
        const file = path.join(folder, 'socket');
        try {
          const server = track(http.createServer()).listen(file);
          await once(server, 'listening');
          const wss = track(new WebSocket.Server({ server }));
          assert.equal(wss.address(), file);
          const connected = once(wss, 'connection');
          const ws = track(new WebSocket(`ws+unix:${file}${suffix}`));
          await once(ws, 'open');
          const [, req] = await connected;
          assert.equal(req.url, target);
          assert.equal(req.headers.host, 'localhost');
        } finally {
          fs.rmSync(folder, { recursive: true });
        }
      });
    }
  });

  it('that is bad throws a SyntaxError', () =>
    each(BAD_URLS, (address, message) => {
      const expected = { name: 'SyntaxError', message };
      assert.throws(() => new WebSocket(address), expected);
    }));

  describe('has user information', () => {
    it('that is decoded, and has precedence over the option auth', () =>
      each(USERS, async (userinfo, options, expected) => {
        const { headers } = await requested(
          (port) => `ws://${userinfo}127.0.0.1:${port}`,
          options,
        );
        const credentials = Buffer.from(expected).toString('base64');
        assert.equal(headers.authorization, `Basic ${credentials}`);
      }));
  });
});

describe('The subprotocols', () => {
  const { join, serve, track } = ledger();

  it('are offered, and the first is taken', () =>
    each(SUBPROTOCOLS, async (args, expected) => {
      const wss = await serve();
      const connected = once(wss, 'connection');
      const ws = track(new WebSocket(url(wss), ...args));
      const opened = once(ws, 'open');
      const [server, { headers }] = await connected;
      await opened;
      assert.equal(headers['sec-websocket-protocol'], expected);
      assert.equal(ws.protocol, (expected || '').split(',')[0]);
      assert.equal(server.protocol, ws.protocol);
    }));

  it('must be tokens, each listed once', () =>
    each(BAD_SUBPROTOCOLS, (protocols) => {
      const expected = { name: 'SyntaxError', message: BAD_SUBPROTOCOL };
      const address = 'ws://localhost';
      assert.throws(() => new WebSocket(address, protocols), expected);
      assert.throws(() => new WebSocket(address, { protocols }), expected);
    }));

  it('may be chosen by the server', async () => {
    const wss = await serve({ handleProtocols: () => 'b' });
    const { client, server } = await join(wss, {}, ['a', 'b']);
    assert.equal(client.protocol, 'b');
    assert.equal(server.protocol, 'b');
  });
});

describe('The protocol version', () => {
  const { pair } = ledger();

  for (const protocolVersion of [8, 13]) {
    it(`may be ${protocolVersion}`, async () => {
      const { req } = await pair({}, { protocolVersion });
      assert.equal(req.headers['sec-websocket-version'], `${protocolVersion}`);
    });
  }

  it('must not be another', () =>
    each([[7], [14], ['13'], [null]], (protocolVersion) => {
      const options = { protocolVersion };
      assert.throws(() => new WebSocket('ws://localhost', options), {
        name: 'RangeError',
        message: `Unsupported protocol version: ${protocolVersion} (supported versions: 8, 13)`,
      });
    }));
});
