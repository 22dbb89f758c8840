'use strict';

// The API of ws 8: how a client opens its connection, and how that fails.

const assert = require('node:assert/strict');
const { createHash } = require('crypto');
const { once } = require('events');
const fs = require('fs');
const http = require('http');
const net = require('net');
const os = require('os');
const path = require('path');
const { inspect } = require('util');

const { WebSocket, WebSocketServer } = require('../../ws8');
const { closing, ledger, listenHttp, uncaught, url } = require('../support');

const turn = () => new Promise((resolve) => setImmediate(resolve));

const fail = () => {
  throw new Error('on purpose');
};

/** Resolves to the events of a client until it closes, as texts, and its close code. */
function story(ws) {
  const events = [];
  ws.on('redirect', (to) => events.push(`redirect ${new URL(to).pathname}`));
  ws.on('open', () => events.push('open'));
  ws.on('error', ({ message }) => events.push(message));
  return new Promise((resolve) => {
    ws.on('close', (code) => {
      assert.equal(ws.readyState, WebSocket.CLOSED);
      resolve([...events, code]);
    });
  });
}

/** Returns the `Sec-WebSocket-Accept` for a request. */
function acceptOf({ headers }) {
  return createHash('sha1')
    .update(headers['sec-websocket-key'])
    .update('258EAFA5-E914-47DA-95CA-C5AB0DC85B11')
    .digest('base64');
}

describe('ws 8: a client', () => {
  const { track } = ledger();

  /** Starts an HTTP server whose connections are destroyed after the test. */
  async function listen() {
    const server = track(await listenHttp());
    server.on('connection', track);
    return server;
  }

  /** Starts a server that accepts all clients. `requests` are their requests. */
  async function accepting(options) {
    const server = await listen();
    const requests = [];
    const wss = new WebSocketServer({ server, ...options });
    wss.on('connection', (ws, req) => requests.push(req));
    return { requests, server, wss };
  }

  /** Starts a server that responds to each upgrade with these headers. */
  async function answering(headers) {
    const server = await listen();
    server.on('upgrade', (req, socket) => {
      const all = {
        Upgrade: 'websocket',
        Connection: 'Upgrade',
        'Sec-WebSocket-Accept': acceptOf(req),
        ...headers,
      };
      const lines = Object.entries(all).map(
        ([name, value]) => `${name}: ${value}\r\n`,
      );
      socket.write(`HTTP/1.1 101 X\r\n${lines.join('')}\r\n`);
    });
    return server;
  }

  /** Starts a server that redirects clients to the result of `locate`. */
  async function redirecting(locate) {
    const server = await listen();
    const requests = [];
    server.on('upgrade', (req, socket) => {
      requests.push(req);
      const location = locate(req);
      socket.end(`HTTP/1.1 302 Found\r\nLocation: ${location}\r\n\r\n`);
    });
    return { requests, server };
  }

  /** Resolves to the request of a client with these arguments. */
  async function requestOf(...args) {
    const server = await listen();
    const upgrade = once(server, 'upgrade');
    const ws = new WebSocket(url(server, '/path'), ...args);
    ws.on('error', () => {});
    const [req, socket] = await upgrade;
    socket.destroy();
    await closing(ws);
    return req;
  }

  describe('refuses at once', () => {
    const lookup = fail;
    for (const [address, message] of [
      ['', 'Invalid URL: '],
      ['//here', 'Invalid URL: //here'],
      [undefined, 'Invalid URL: undefined'],
      ...['ftp://here', 'about:blank', 'wss+unix:/sock'].map((each) => [
        each,
        'The URL\'s protocol must be one of "ws:", "wss:", ' +
          '"http:", "https:", or "ws+unix:"',
      ]),
      ['ws+unix:', "The URL's pathname is empty"],
      ['ws://here#there', 'The URL contains a fragment identifier'],
    ]) {
      it(`the address ${address}`, () => {
        assert.throws(() => new WebSocket(address, { lookup }), {
          name: 'SyntaxError',
          message,
        });
      });
    }

    for (const names of [
      null,
      '',
      'a b',
      'a,b',
      1,
      ['a', 'a'],
      ['a', ''],
      [undefined],
    ]) {
      it(`the subprotocols ${inspect(names)}`, () => {
        const error = {
          name: 'SyntaxError',
          message: 'An invalid or duplicated subprotocol was specified',
        };
        const options = { lookup };
        const make = (...args) => new WebSocket('ws://here', ...args);
        assert.throws(() => make(names, options), error);
        assert.throws(() => make({ lookup, protocols: names }), error);
      });
    }

    it('versions that it does not speak', () => {
      for (const protocolVersion of [7, '13', null]) {
        assert.throws(() => new WebSocket('', { protocolVersion }), {
          name: 'RangeError',
          message:
            `Unsupported protocol version: ${protocolVersion} ` +
            '(supported versions: 8, 13)',
        });
      }
    });

    it('with the error of finishRequest, and leaves no request behind', async () => {
      const server = await listen();
      let req;
      const errors = await uncaught(async () => {
        assert.throws(
          () =>
            new WebSocket(url(server), {
              finishRequest(request) {
                req = request;
                fail();
              },
            }),
          { message: 'on purpose' },
        );
        await closing(req);
      });
      assert.equal(req.destroyed, true);
      assert.deepEqual(errors, []);
    });
  });

  describe('has an address', () => {
    it('whose url has the scheme of WebSockets', () => {
      const options = { lookup() {} };
      for (const [given, expected] of [
        ['ws://HERE', 'ws://here/'],
        ['http://here:80/a?b', 'ws://here/a?b'],
        ['https://here:80/', 'wss://here:80/'],
        ['HTTPS://here:443/', 'wss://here/'],
      ]) {
        for (const address of [given, new URL(given)]) {
          const { href } = new URL(given);
          assert.equal(new WebSocket(address, options).url, expected);
          if (address instanceof URL) assert.equal(address.href, href);
        }
      }
    });

    it('whose user information is decoded if possible', async () => {
      for (const [userInfo, expected] of [
        ['user:pass', 'user:pass'],
        ['user', 'user:'],
        [':pass', ':pass'],
        ['u%3Aser:p%C3%A4ss', 'u:ser:päss'],
        ['100%:a', '100%:a'],
      ]) {
        const server = await listen();
        const upgrade = once(server, 'upgrade');
        const address = url(server).replace('//', `//${userInfo}@`);
        const ws = new WebSocket(address, { auth: 'no:body' });
        ws.on('error', () => {});
        const [{ headers }] = await upgrade;
        const [, credentials] = headers.authorization.split(' ');
        assert.equal(`${Buffer.from(credentials, 'base64')}`, expected);
        ws.terminate();
        await closing(ws);
      }
    });

    it('of a Unix-domain socket up to the first colon', async function () {
      if (process.platform === 'win32') this.skip();
      const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'oxws-'));
      const file = path.join(folder, 'socket');
      const server = track(http.createServer());
      server.on('connection', track);
      const paths = [];
      server.on('upgrade', (req, socket) => {
        paths.push(req.url);
        socket.destroy();
      });
      try {
        server.listen(file);
        await once(server, 'listening');
        for (const rest of ['', ':', ':/a:b?c:d']) {
          const ws = new WebSocket(`ws+unix:${file}${rest}`);
          ws.on('error', () => {});
          await closing(ws);
        }
      } finally {
        server.close();
        fs.rmSync(folder, { recursive: true });
      }
      assert.deepEqual(paths, ['/', '/', '/a:b?c:d']);
    });
  });

  describe('sends', () => {
    it('the headers of an opening handshake', async () => {
      const { headers, method, url: target } = await requestOf();
      assert.deepEqual([method, target], ['GET', '/path']);
      assert.equal(headers.upgrade, 'websocket');
      assert.equal(headers.connection, 'Upgrade');
      assert.equal(headers['sec-websocket-version'], '13');
      assert.match(headers['sec-websocket-key'], /^[\w+/]{22}==$/);
      assert.equal(
        headers['sec-websocket-extensions'],
        'permessage-deflate; client_max_window_bits',
      );
      assert.equal(headers['sec-websocket-protocol'], undefined);
      assert.equal(headers.origin, undefined);
    });

    it('what the options say, unless the address decides', async () => {
      const {
        headers,
        method,
        url: target,
      } = await requestOf({
        auth: 'user:pass',
        headers: { Host: 'there', 'x-mine': 'a', upgrade: 'h2c' },
        hostname: 'nowhere',
        method: 'POST',
        origin: 'http://here',
        path: '/other',
        perMessageDeflate: false,
        port: 1,
        protocolVersion: 8,
        socketPath: '/nowhere',
      });
      assert.deepEqual([method, target], ['GET', '/path']);
      assert.equal(headers.host, 'there');
      assert.equal(headers['x-mine'], 'a');
      assert.equal(headers.upgrade, 'websocket');
      assert.equal(headers.authorization, 'Basic dXNlcjpwYXNz');
      assert.equal(headers['sec-websocket-version'], '8');
      assert.equal(headers['sec-websocket-origin'], 'http://here');
      assert.equal(headers.origin, undefined);
      assert.equal(headers['sec-websocket-extensions'], undefined);
    });

    for (const [args, expected] of [
      [['a'], 'a'],
      [[['a', 'b']], 'a,b'],
      [[undefined, { protocols: 'a' }], 'a'],
      [[{ protocols: ['a', 'b'] }], 'a,b'],
      [[{ protocols: undefined }], undefined],
      [['a', { protocols: 'b' }], 'a'],
      [[[], { protocols: 'b' }], undefined],
      [[undefined, null], undefined],
    ]) {
      it(`the subprotocols of ${inspect(args)}`, async () => {
        const { headers } = await requestOf(...args);
        assert.equal(headers['sec-websocket-protocol'], expected);
      });
    }

    it('the request when finishRequest ends it', async () => {
      let given;
      const { headers } = await requestOf({
        finishRequest(req, ws) {
          given = [req, ws._req, this.extra];
          req.setHeader('X-Late', 'a');
          setImmediate(() => req.end());
        },
        extra: 1,
      });
      assert.equal(headers['x-late'], 'a');
      assert.equal(given[0], given[1]);
      assert.equal(given[2], 1);
    });

    it('through the options agent and createConnection', async () => {
      const server = await listen();
      const agent = new http.Agent();
      const used = [];
      agent.createConnection = (options, cb) => {
        used.push('agent');
        return net.connect(options, cb);
      };
      const createConnection = ({ host, port }) => {
        used.push('createConnection');
        return net.connect(port, host);
      };
      server.on('upgrade', (req, socket) => socket.destroy());
      for (const options of [{ agent }, { createConnection }]) {
        const ws = new WebSocket(url(server), options);
        assert.deepEqual(await story(ws), ['socket hang up', 1006]);
      }
      assert.deepEqual(used, ['agent', 'createConnection']);
    });
  });

  describe('fails', () => {
    for (const [headers, protocols, options, message] of [
      [{ Upgrade: 'h2c' }, [], {}, 'Invalid Upgrade header'],
      [
        { 'Sec-WebSocket-Accept': 'CxYS6+NgJSBG74mdgLvGscRvpns=' },
        [],
        {},
        'Invalid Sec-WebSocket-Accept header',
      ],
      [
        { 'Sec-WebSocket-Protocol': 'a' },
        [],
        {},
        'Server sent a subprotocol but none was requested',
      ],
      [
        { 'Sec-WebSocket-Protocol': 'c' },
        ['a', 'b'],
        {},
        'Server sent an invalid subprotocol',
      ],
      [{}, ['a', 'b'], {}, 'Server sent no subprotocol'],
      [
        { 'Sec-WebSocket-Extensions': 'permessage-deflate' },
        [],
        { perMessageDeflate: false },
        'Server sent a Sec-WebSocket-Extensions header but no extension was ' +
          'requested',
      ],
      [
        { 'Sec-WebSocket-Extensions': 'permessage-deflate;' },
        [],
        {},
        'Invalid Sec-WebSocket-Extensions header',
      ],
      [
        { 'Sec-WebSocket-Extensions': 'permessage-foo' },
        [],
        {},
        'Server indicated an extension that was not requested',
      ],
      [
        {
          'Sec-WebSocket-Extensions':
            'permessage-deflate; server_max_window_bits=7',
        },
        [],
        {},
        'Invalid Sec-WebSocket-Extensions header',
      ],
    ]) {
      const what = inspect(headers);
      it(`on ${what} for ${inspect([protocols, options])}`, async () => {
        const server = await answering(headers);
        const upgrade = once(server, 'upgrade');
        const ws = new WebSocket(url(server), protocols, options);
        const told = story(ws);
        const [, socket] = await upgrade;
        // The client also ends the connection.
        await once(socket.resume(), 'end');
        assert.deepEqual(await told, [message, 1006]);
        assert.equal(ws._req, null);
        assert.equal(ws._socket, null);
      });
    }

    it("on another response without a listener for 'unexpected-response'", async () => {
      const server = await listen();
      server.on('upgrade', (req, socket) =>
        socket.end('HTTP/1.1 401 No\r\nContent-Length: 3\r\n\r\nNo!'),
      );
      const ws = new WebSocket(url(server));
      assert.deepEqual(await story(ws), [
        'Unexpected server response: 401',
        1006,
      ]);

      const other = new WebSocket(url(server));
      const told = story(other);
      const [req, res] = await once(other, 'unexpected-response');
      assert.equal(req, other._req);
      const [body] = await once(res, 'data');
      assert.equal(`${body}`, 'No!');
      assert.equal(other.readyState, WebSocket.CONNECTING);
      other.close();
      assert.deepEqual(await told, [
        'WebSocket was closed before the connection was established',
        1006,
      ]);
    });

    it('if it takes too long', async () => {
      const server = await listen();
      server.on('upgrade', () => {});
      const ws = new WebSocket(url(server), { handshakeTimeout: 20 });
      assert.deepEqual(await story(ws), [
        'Opening handshake has timed out',
        1006,
      ]);
    });

    for (const method of ['close', 'terminate']) {
      it(`by ${method}(), on a later tick`, async () => {
        const server = await listen();
        const ws = new WebSocket(url(server));
        const told = story(ws);
        ws[method]();
        assert.equal(ws.readyState, WebSocket.CLOSING);
        ws[method]();
        assert.deepEqual(await told, [
          'WebSocket was closed before the connection was established',
          1006,
        ]);
      });

      it(`by ${method}() in 'upgrade'`, async () => {
        const { server } = await accepting();
        const ws = new WebSocket(url(server));
        ws.on('upgrade', () => ws[method]());
        assert.deepEqual(await story(ws), [
          'WebSocket was closed before the connection was established',
          1006,
        ]);
      });
    }

    it('with the error of its signal', async () => {
      const server = await listen();
      const controller = new AbortController();
      const { signal } = controller;
      const ws = new WebSocket(url(server), { signal });
      controller.abort();
      assert.deepEqual(await story(ws), ['The operation was aborted', 1006]);
    });

    it("with 'close', also where a listener of 'error' throws", async () => {
      const server = await answering({ Upgrade: 'h2c' });
      const ws = new WebSocket(url(server));
      let code;
      ws.on('error', fail);
      const errors = await uncaught(async () => {
        [code] = await closing(ws);
        await turn();
      });
      assert.equal(code, 1006);
      assert.deepEqual(errors, ['on purpose']);
    });
  });

  describe('opens', () => {
    it("after emitting 'upgrade' with the response", async () => {
      const { server, wss } = await accepting();
      wss.on('headers', (lines) => lines.push('X-Mine: a'));
      const ws = new WebSocket(url(server), 'a');
      const opened = once(ws, 'open');
      const [res] = await once(ws, 'upgrade');
      assert.equal(res.headers['x-mine'], 'a');
      await opened;
      assert.equal(ws.protocol, 'a');
      assert.equal(ws._req, null);
      ws.terminate();
    });

    it("even if a listener of 'upgrade' throws", async () => {
      const { server } = await accepting();
      const ws = new WebSocket(url(server));
      ws.on('upgrade', fail);
      const errors = await uncaught(async () => {
        await once(ws, 'open');
        await turn();
      });
      assert.deepEqual(errors, ['on purpose']);
      ws.terminate();
    });
  });

  describe('follows redirects', () => {
    const followRedirects = true;

    it('only with followRedirects', async () => {
      const { server } = await redirecting(() => '/next');
      const ws = new WebSocket(url(server));
      assert.deepEqual(await story(ws), [
        'Unexpected server response: 302',
        1006,
      ]);
    });

    it('at most maxRedirects times', async () => {
      let count = 0;
      const { requests, server } = await redirecting(() => `/${++count}`);
      const options = { followRedirects, maxRedirects: 2 };
      const ws = new WebSocket(url(server), options);
      assert.deepEqual(await story(ws), [
        'redirect /1',
        'redirect /2',
        'Maximum redirects exceeded',
        1006,
      ]);
      assert.equal(ws._redirects, 3);
      const targets = requests.map((each) => each.url);
      assert.deepEqual(targets, ['/', '/1', '/2']);
      const keys = requests.map(({ headers }) => headers['sec-websocket-key']);
      assert.equal(new Set(keys).size, 3);
    });

    it('with the whole handshakeTimeout for each', async () => {
      const { server } = await redirecting(() => '/next');
      const timeouts = [];
      const ws = new WebSocket(url(server), {
        finishRequest(req) {
          timeouts.push(req.timeout);
          req.end();
        },
        followRedirects,
        handshakeTimeout: 60000,
        maxRedirects: 1,
      });
      await story(ws);
      assert.deepEqual(timeouts, [60000, 60000]);
    });

    for (const [location, message] of [
      ['http://a b', 'Invalid URL: http://a b'],
      [
        'ftp://here/',
        'The URL\'s protocol must be one of "ws:", "wss:", ' +
          '"http:", "https:", or "ws+unix:"',
      ],
      ['/#there', 'The URL contains a fragment identifier'],
    ]) {
      it(`but fails on ${location}`, async () => {
        const { server } = await redirecting(() => location);
        const ws = new WebSocket(url(server), { followRedirects });
        assert.deepEqual(await story(ws), [message, 1006]);
      });
    }

    it('but fails if the agent does not support the protocol', async () => {
      const { server } = await redirecting(() => 'wss://127.0.0.1/');
      const agent = new http.Agent();
      const ws = new WebSocket(url(server), { agent, followRedirects });
      const [message, code] = await story(ws);
      assert.match(message, /^Protocol "https:" not supported/);
      assert.equal(code, 1006);
    });

    for (const [name, prepare] of [
      [
        "a listener of 'redirect'",
        (ws) => ws.prependListener('redirect', fail),
      ],
      ['finishRequest', null],
    ]) {
      it(`but fails with the error of ${name}, and sends nothing`, async () => {
        const { requests, server } = await redirecting(() => '/next');
        const finishRequest = (req, { _redirects: count }) =>
          count === 0 ? req.end() : fail();
        const options = prepare ? {} : { finishRequest };
        const ws = new WebSocket(url(server), { followRedirects, ...options });
        if (prepare) prepare(ws);
        const told = await story(ws);
        assert.deepEqual(told.slice(-2), ['on purpose', 1006]);
        for (let i = 0; i < 5; i++) await turn();
        assert.equal(requests.length, 1);
      });
    }

    it('but not after a listener has closed it', async () => {
      for (const then of [() => {}, fail]) {
        const { server } = await redirecting(() => '/next');
        const ws = new WebSocket(url(server), { followRedirects });
        ws.prependListener('redirect', () => {
          ws.terminate();
          then();
        });
        const errors = await uncaught(async () => {
          const told = await story(ws);
          assert.deepEqual(told.slice(-2), [
            'WebSocket was closed before the connection was established',
            1006,
          ]);
        });
        assert.deepEqual(errors, then === fail ? ['on purpose'] : []);
      }
    });

    describe('with credentials', () => {
      const SECRETS = ['authorization', 'cookie', 'host', 'x-other'];
      const given = {
        Authorization: 'Basic b25lOnR3bw==',
        COOKIE: 'a=b',
        Host: 'mine',
        'X-Other': 'c',
      };

      /** Returns the names of the given headers that a request has. */
      const shown = ({ headers }) =>
        SECRETS.filter(
          (name) =>
            headers[name] && (name !== 'host' || headers.host === 'mine'),
        );

      it('for redirects within the first server only', async () => {
        const end = await accepting();
        const back = await redirecting(() => url(end.server, '/end'));
        // start -> start -> there -> back -> end
        const there = await redirecting(() => url(back.server, '/again'));
        const start = await redirecting((req) =>
          req.url === '/start' ? '/same' : url(there.server),
        );
        const ws = new WebSocket(url(start.server, '/start'), {
          followRedirects,
          headers: given,
        });
        await once(ws, 'open');
        assert.deepEqual(start.requests.map(shown), [SECRETS, SECRETS]);
        assert.deepEqual(there.requests.map(shown), [['x-other']]);
        assert.deepEqual(back.requests.map(shown), [['x-other']]);
        assert.deepEqual(end.requests.map(shown), [['x-other']]);
        assert.deepEqual(Object.keys(given), [
          'Authorization',
          'COOKIE',
          'Host',
          'X-Other',
        ]);
        ws.terminate();
      });

      it('for a redirect back to the first server', async () => {
        const there = await redirecting(() => url(start.server, '/end'));
        const start = await redirecting(() => url(there.server));
        const options = { followRedirects, headers: given, maxRedirects: 2 };
        const ws = new WebSocket(url(start.server), options);
        // A listener for 'redirect' would keep the credentials.
        ws.on('error', () => {});
        await closing(ws);
        assert.deepEqual(there.requests.map(shown), [['x-other']]);
        assert.deepEqual(start.requests.map(shown), [SECRETS, SECRETS]);
      });

      it("for every server with a listener for 'redirect'", async () => {
        const end = await accepting();
        const start = await redirecting(() => url(end.server));
        const ws = new WebSocket(url(start.server), {
          followRedirects,
          headers: given,
        });
        ws.on('redirect', (to, req) => {
          assert.equal(to, url(end.server, '/'));
          assert.equal(req, ws._req);
          req.removeHeader('cookie');
        });
        await once(ws, 'open');
        assert.deepEqual(end.requests.map(shown), [
          SECRETS.filter((name) => name !== 'cookie'),
        ]);
        ws.terminate();
      });

      it('of the address for the first server only', async () => {
        const there = await redirecting(() => url(start.server, '/back'));
        const start = await redirecting(({ url: target }) =>
          target === '/' ? '/same' : url(there.server).replace('//', '//c:d@'),
        );
        const address = url(start.server).replace('//', '//a:b@');
        const ws = new WebSocket(address, { followRedirects, maxRedirects: 3 });
        ws.on('error', () => {});
        await closing(ws);
        const values = ({ requests }) =>
          requests.map(({ headers }) => headers.authorization);
        const first = `Basic ${Buffer.from('a:b').toString('base64')}`;
        assert.deepEqual(values(start), [first, first, first]);
        assert.deepEqual(values(there), [undefined]);
      });
    });
  });
});
