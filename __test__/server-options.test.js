'use strict';

const assert = require('node:assert/strict');
const { randomBytes } = require('crypto');
const { once } = require('events');
const fs = require('fs');
const http = require('http');
const https = require('https');
const net = require('net');
const path = require('path');
const tls = require('tls');
const zlib = require('zlib');

const WebSocket = require('..');
const {
  answer,
  close,
  frame,
  ledger,
  listen,
  listenHttp,
  request,
  url,
} = require('./support');

describe('options of WebSocket.Server', () => {
  const { bareClient, pair, track } = ledger();
  const serve = async (options) => track(await listen(options));

  describe('port, server and noServer', () => {
    for (const [name, args] of [
      ['nothing', []],
      ['an empty object', [{}]],
      ['a host', [{ host: '127.0.0.1' }]],
      ['a path', [{ path: '/' }]],
      ['noServer: false', [{ noServer: false }]],
      ['null for port and server', [{ port: null, server: null }]],
    ]) {
      it(`throws if given ${name} alone`, () => {
        assert.throws(() => new WebSocket.Server(...args), {
          name: 'TypeError',
          message: 'missing or invalid options',
        });
      });
    }

    it('listens on the port', async () => {
      const first = await listen();
      const { port } = first._server.address();
      await close(first);
      const second = await serve({ port });
      assert.equal(second._server.address().port, port);
    });

    it('takes any free port for port 0', async () => {
      const first = await serve({ port: 0 });
      const second = await serve({ port: 0 });
      const ports = [first, second].map((wss) => wss._server.address().port);
      assert.notEqual(ports[0], ports[1]);
    });

    it('binds to the host', async () => {
      const wss = await serve({ host: '127.0.0.1' });
      assert.equal(wss._server.address().address, '127.0.0.1');
    });

    it('hands the backlog to the listening socket', async () => {
      const { listen: original } = net.Server.prototype;
      const given = [];
      net.Server.prototype.listen = function spy(...args) {
        for (const arg of args) {
          given.push(...(arg && arg.backlog ? [arg.backlog] : [arg]));
        }
        return original.apply(this, args);
      };
      try {
        await serve({ backlog: 7 });
      } finally {
        net.Server.prototype.listen = original;
      }
      assert.ok(given.includes(7));
    });

    it('serves on a given server that does not listen yet', async () => {
      const server = http.createServer();
      track(new WebSocket.Server({ server }));
      track(await listenHttp(server));
      assert.equal((await answer(server)).status, 101);
    });

    it('serves on a given server that listens already', async () => {
      const server = track(await listenHttp());
      track(new WebSocket.Server({ server }));
      assert.equal((await answer(server)).status, 101);
    });

    it('leaves plain requests to the given server', async () => {
      const server = http.createServer((req, res) => res.end('mine'));
      track(await listenHttp(server));
      track(new WebSocket.Server({ server }));
      const plain = { Upgrade: undefined, Connection: 'close' };
      assert.equal((await answer(server, plain)).body, 'mine');
    });

    it('accepts requests by handleUpgrade() with noServer', async () => {
      const server = track(await listenHttp());
      const wss = track(new WebSocket.Server({ noServer: true }));
      server.on('upgrade', (req, socket, head) => {
        wss.handleUpgrade(req, socket, head, () => {});
      });
      assert.equal((await answer(server)).status, 101);
    });

    it('keeps the options that it was given', () => {
      const given = { noServer: true, path: '/a', verifyClient: () => true };
      const wss = new WebSocket.Server(given);
      for (const [name, value] of Object.entries(given)) {
        assert.equal(wss.options[name], value);
      }
    });

    it('does not change the object that it was given', () => {
      const given = Object.freeze({ noServer: true });
      track(new WebSocket.Server(given));
      assert.deepEqual(given, { noServer: true });
    });
  });

  describe('callback', () => {
    it('is called once the port is bound', async () => {
      const wss = await new Promise((resolve) => {
        const options = { host: '127.0.0.1', port: 0 };
        const made = new WebSocket.Server(options, () => resolve(made));
      });
      track(wss);
      assert.equal((await answer(wss)).status, 101);
    });

    it('is not called for a given server', async () => {
      const calls = [];
      const server = http.createServer();
      track(new WebSocket.Server({ server }, () => calls.push('called')));
      track(await listenHttp(server));
      await answer(server);
      assert.deepEqual(calls, []);
    });
  });

  describe('path', () => {
    for (const [target, status] of [
      ['/chat', 101],
      ['/chat?room=1', 101],
      ['/chat/', 400],
      ['/?/chat', 400],
    ]) {
      it(`/chat answers a request for ${target} with ${status}`, async () => {
        const wss = await serve({ path: '/chat' });
        const { status: actual } = await answer(wss, {}, { path: target });
        assert.equal(actual, status);
      });
    }

    it('is every path by default', async () => {
      const wss = await serve();
      assert.equal((await answer(wss, {}, { path: '/any?x' })).status, 101);
    });
  });

  describe('verifyClient', () => {
    for (const [form, verdict] of [
      ['one argument', (verifiedAs) => (info) => verifiedAs],
      ['two arguments', (verifiedAs) => (info, cb) => cb(verifiedAs)],
    ]) {
      it(`with ${form} accepts a client`, async () => {
        const wss = await serve({ verifyClient: verdict(true) });
        assert.equal((await answer(wss)).status, 101);
      });

      it(`with ${form} refuses a client with 401`, async () => {
        const wss = await serve({ verifyClient: verdict(false) });
        const { status, reason, body } = await answer(wss);
        assert.deepEqual(
          { status, reason, body },
          { status: 401, reason: 'Unauthorized', body: 'Unauthorized' },
        );
      });
    }

    it('with two arguments may answer later', async () => {
      const wss = await serve({
        verifyClient: (info, cb) => setImmediate(cb, true),
      });
      assert.equal((await answer(wss)).status, 101);
    });

    it('emits no connection for a refused client', async () => {
      const wss = await serve({ verifyClient: () => false });
      const seen = [];
      wss.on('connection', (ws) => seen.push(ws));
      await answer(wss);
      assert.deepEqual(seen, []);
    });

    it('sets the status and its standard phrase with a code', async () => {
      const wss = await serve({ verifyClient: (info, cb) => cb(false, 403) });
      const { status, reason, body } = await answer(wss);
      assert.deepEqual(
        { status, reason, body },
        { status: 403, reason: 'Forbidden', body: 'Forbidden' },
      );
    });

    it('sets the status and the body with a code and a name', async () => {
      const wss = await serve({
        verifyClient: (info, cb) => cb(false, 404, 'no such room: é'),
      });
      const { status, body, headers } = await answer(wss);
      assert.deepEqual(
        { status, body, length: headers['content-length'] },
        { status: 404, body: 'no such room: é', length: '16' },
      );
    });

    it('sends 401 with a name but no code', async () => {
      const wss = await serve({
        verifyClient: (info, cb) => cb(false, undefined, 'who is there'),
      });
      const { status, body } = await answer(wss);
      assert.deepEqual({ status, body }, { status: 401, body: 'who is there' });
    });

    for (const [version, header, other] of [
      ['13', 'Origin', 'Sec-WebSocket-Origin'],
      ['8', 'Sec-WebSocket-Origin', 'Origin'],
    ]) {
      const origin = async (name) => {
        let info;
        const wss = await serve({ verifyClient: (i) => Boolean((info = i)) });
        await answer(wss, {
          'Sec-WebSocket-Version': version,
          [name]: 'http://example.com',
        });
        return info.origin;
      };

      it(`is given ${header} as the origin by version ${version}`, async () => {
        assert.equal(await origin(header), 'http://example.com');
      });

      it(`is given no origin from ${other} by version ${version}`, async () => {
        assert.equal(await origin(other), undefined);
      });
    }

    it('is given the request that becomes upgradeReq', async () => {
      let info;
      const wss = await serve({ verifyClient: (i) => Boolean((info = i)) });
      const connected = once(wss, 'connection');
      await answer(wss, { Cookie: 'a=1' }, { path: '/room' });
      const [ws] = await connected;
      assert.equal(info.req, ws.upgradeReq);
      assert.equal(info.req.url, '/room');
      assert.equal(info.req.headers.cookie, 'a=1');
    });

    it('is told that http is not secure', async () => {
      let info;
      await answer(await serve({ verifyClient: (i) => !(info = i) }));
      assert.equal(info.secure, false);
    });

    it('is told that https is secure', async () => {
      const [cert, key] = ['server.pem', 'server-key.pem'].map((name) =>
        fs.readFileSync(path.join(__dirname, 'fixtures', name)),
      );
      const server = track(await listenHttp(https.createServer({ cert, key })));
      let info;
      const verifyClient = (i) => !(info = i);
      track(new WebSocket.Server({ server, verifyClient }));
      const socket = tls.connect({
        host: '127.0.0.1',
        port: server.address().port,
        rejectUnauthorized: false,
      });
      const closed = new Promise((resolve) => socket.on('close', resolve));
      track(socket).on('error', () => {});
      socket.resume().write(request());
      await closed;
      assert.equal(info.secure, true);
    });

    it('is not called for a request for another path', async () => {
      const asked = [];
      const wss = await serve({
        path: '/chat',
        verifyClient: (info) => asked.push(info),
      });
      await answer(wss, {}, { path: '/other' });
      assert.deepEqual(asked, []);
    });
  });

  describe('handleProtocols', () => {
    for (const [header, list] of [
      ['chat', ['chat']],
      ['chat,v2.chat,x', ['chat', 'v2.chat', 'x']],
    ]) {
      it(`is given the list in "${header}" as an array`, async () => {
        let given;
        const handleProtocols = (...args) => !(given = args);
        const wss = await serve({ handleProtocols });
        await answer(wss, { 'Sec-WebSocket-Protocol': header });
        assert.deepEqual(given, [list]);
      });
    }

    it('is called even if the client offers nothing', async () => {
      const wss = await serve({ handleProtocols: () => false });
      assert.equal((await answer(wss)).status, 401);
    });

    it('refuses the handshake with 401 if it returns false', async () => {
      const wss = await serve({ handleProtocols: () => false });
      const { status, body } = await answer(wss, {
        'Sec-WebSocket-Protocol': 'chat',
      });
      assert.deepEqual({ status, body }, { status: 401, body: 'Unauthorized' });
    });

    it('sets the header of the answer', async () => {
      const wss = await serve({ handleProtocols: (list) => list[1] });
      const { headers } = await answer(wss, {
        'Sec-WebSocket-Protocol': 'one, two, three',
      });
      assert.equal(headers['sec-websocket-protocol'], 'two');
    });

    it('sets the protocol of both ends', async () => {
      const wss = await serve({ handleProtocols: (list) => list[1] });
      const connected = once(wss, 'connection');
      const client = track(new WebSocket(url(wss), ['one', 'two']));
      await once(client, 'open');
      const [server] = await connected;
      assert.deepEqual([client.protocol, server.protocol], ['two', 'two']);
    });

    for (const value of [undefined, null, '']) {
      it(`leaves the header out for ${JSON.stringify(value)}`, async () => {
        const wss = await serve({ handleProtocols: () => value });
        const { status, headers } = await answer(wss, {
          'Sec-WebSocket-Protocol': 'chat',
        });
        assert.equal(status, 101);
        assert.equal(headers['sec-websocket-protocol'], undefined);
      });
    }

    it('lets the server choose the first offer if it is left out', async () => {
      const { headers } = await answer(await serve(), {
        'Sec-WebSocket-Protocol': 'one, two',
      });
      assert.equal(headers['sec-websocket-protocol'], 'one');
    });

    it('lets the server choose nothing without an offer if it is left out', async () => {
      const { status, headers } = await answer(await serve());
      assert.equal(status, 101);
      assert.equal(headers['sec-websocket-protocol'], undefined);
    });
  });

  describe('clientTracking', () => {
    it('keeps the set of clients by default', async () => {
      const wss = await serve();
      assert.ok(wss.clients instanceof Set);
    });

    it('keeps no set if it is false', async () => {
      const { wss } = await pair({ clientTracking: false });
      assert.equal(wss.clients, undefined);
    });
  });

  describe('maxPayload', () => {
    it('is 100 MiB by default', () => {
      const wss = new WebSocket.Server({ noServer: true });
      assert.equal(wss.options.maxPayload, 100 * 1024 * 1024);
    });

    it('lets a message of just that size through', async () => {
      const { client, server } = await pair({ maxPayload: 16 });
      const received = once(server, 'message');
      client.send('x'.repeat(16));
      assert.equal((await received)[0], 'x'.repeat(16));
    });

    it('ends the connection with 1009 on a longer message', async () => {
      const wss = await serve({ maxPayload: 16 });
      const { server, socket, wire } = await bareClient(wss);
      server.on('error', () => {});
      socket.write(frame(1, 'x'.repeat(17)));
      assert.equal((await wire.frame()).payload.readUInt16BE(), 1009);
    });

    it('limits the inflated length of a compressed message', async () => {
      const wss = await serve({ maxPayload: 16 });
      const { server, socket, wire } = await bareClient(wss, {
        'Sec-WebSocket-Extensions': 'permessage-deflate',
      });
      server.on('error', () => {});
      const finishFlush = zlib.constants.Z_SYNC_FLUSH;
      const deflated = zlib.deflateRawSync('x'.repeat(1000), { finishFlush });
      socket.write(frame(1, deflated.subarray(0, -4), { rsv: 4 }));
      assert.equal((await wire.frame()).payload.readUInt16BE(), 1009);
    });
  });

  describe('perMessageDeflate', () => {
    const negotiate = async (perMessageDeflate, offer) => {
      const wss = await serve({ perMessageDeflate });
      const { status, headers } = await answer(wss, {
        'Sec-WebSocket-Extensions': offer,
      });
      if (status !== 101) return status;
      const value = headers['sec-websocket-extensions'];
      if (!value) return value;
      const [name, ...params] = value.split(/; */);
      return [name, ...params.sort()].join('; ');
    };

    const none = undefined;
    const plain = 'permessage-deflate';
    const offers = (...params) => [plain, ...params].join('; ');
    const server = (bits) => `server_max_window_bits=${bits}`;
    const client = (bits) => `client_max_window_bits=${bits}`;

    for (const [what, rows] of [
      [
        'false declines every offer',
        [
          [false, plain, none],
          [false, offers('no_such_parameter'), none],
        ],
      ],
      [
        'true agrees to what is offered',
        [
          [true, plain, plain],
          [{}, plain, plain],
          [true, `x-webkit-frame, ${plain}`, plain],
          [true, offers('client_max_window_bits'), plain],
          [true, offers('server_max_window_bits="9"'), offers(server(9))],
          [
            true,
            offers(
              client(10),
              'client_no_context_takeover',
              server(11),
              'server_no_context_takeover',
            ),
            offers(
              client(10),
              'client_no_context_takeover',
              server(11),
              'server_no_context_takeover',
            ),
          ],
        ],
      ],
      [
        'true agrees to nothing that is not offered',
        [
          [true, none, none],
          [true, 'x-webkit-frame, mux; max=4', none],
        ],
      ],
      [
        'serverNoContextTakeover decides on its parameter',
        [
          [
            { serverNoContextTakeover: true },
            plain,
            offers('server_no_context_takeover'),
          ],
          [{ serverNoContextTakeover: false }, plain, plain],
          [
            { serverNoContextTakeover: false },
            offers('server_no_context_takeover'),
            400,
          ],
        ],
      ],
      [
        'clientNoContextTakeover decides on its parameter',
        [
          [
            { clientNoContextTakeover: true },
            plain,
            offers('client_no_context_takeover'),
          ],
          [
            { clientNoContextTakeover: false },
            offers('client_no_context_takeover'),
            plain,
          ],
        ],
      ],
      [
        'serverMaxWindowBits sets the window, within what is offered',
        [
          [{ serverMaxWindowBits: 10 }, plain, offers(server(10))],
          [{ serverMaxWindowBits: 10 }, offers(server(12)), offers(server(10))],
          [{ serverMaxWindowBits: 10 }, offers(server(9)), 400],
        ],
      ],
      [
        'serverMaxWindowBits: false refuses to limit the window',
        [
          [{ serverMaxWindowBits: false }, plain, plain],
          [{ serverMaxWindowBits: false }, offers(server(12)), 400],
        ],
      ],
      [
        'clientMaxWindowBits sets the window of a client that allows it',
        [
          [{ clientMaxWindowBits: 11 }, plain, 400],
          [
            { clientMaxWindowBits: 11 },
            offers('client_max_window_bits'),
            offers(client(11)),
          ],
          [{ clientMaxWindowBits: 11 }, offers(client(13)), offers(client(11))],
        ],
      ],
      [
        'clientMaxWindowBits: false leaves the window of the client out',
        [[{ clientMaxWindowBits: false }, offers(client(13)), plain]],
      ],
      [
        'a later offer is taken where the first is not acceptable',
        [
          [
            { serverMaxWindowBits: 10 },
            `${offers(server(9))}, ${plain}`,
            offers(server(10)),
          ],
        ],
      ],
      [
        'an invalid offer is refused with 400',
        [
          [true, offers('no_such_parameter'), 400],
          [true, offers(server(7)), 400],
          [true, offers(server(16)), 400],
          [true, offers(client('wide')), 400],
          [true, offers('server_no_context_takeover=1'), 400],
          [true, offers(client(9), client(9)), 400],
        ],
      ],
    ]) {
      it(what, async () => {
        const results = [];
        for (const [option, offer] of rows) {
          results.push([option, offer, await negotiate(option, offer)]);
        }
        assert.deepEqual(results, rows);
      });
    }

    it('is on by default', async () => {
      const { headers } = await answer(await serve(), {
        'Sec-WebSocket-Extensions': plain,
      });
      assert.equal(headers['sec-websocket-extensions'], plain);
    });

    /** Sends a message. Resolves to the number of its bytes on the wire. */
    const cost = async (sender, receiver, message) => {
      const before = receiver.bytesReceived;
      const received = once(receiver, 'message');
      sender.send(message);
      assert.equal((await received)[0], message);
      return receiver.bytesReceived - before;
    };

    const block = randomBytes(512).toString('hex');

    it('does not compress messages below the threshold', async () => {
      const { client, server } = await pair({
        perMessageDeflate: { threshold: 100 },
      });
      assert.equal(await cost(server, client, 'x'.repeat(99)), 2 + 99);
    });

    it('compresses messages from the threshold on', async () => {
      const { client, server } = await pair({
        perMessageDeflate: { threshold: 100 },
      });
      assert.ok((await cost(server, client, 'x'.repeat(100))) < 50);
    });

    it('has a threshold of 1024 bytes by default', async () => {
      const { client, server } = await pair();
      assert.equal(await cost(server, client, 'x'.repeat(1023)), 4 + 1023);
      assert.ok((await cost(server, client, 'x'.repeat(1024))) < 100);
    });

    it('compresses less well with a small memLevel', async () => {
      const words = 'tokio mocha frame masks codec inbox arena codes'.split(
        ' ',
      );
      const text = Array.from(
        randomBytes(8192),
        (byte) => words[byte % words.length] + (byte % 97),
      ).join(' ');
      const sizes = [];
      for (const memLevel of [1, 9]) {
        const { client, server } = await pair({
          perMessageDeflate: { memLevel },
        });
        sizes.push(await cost(server, client, text));
      }
      assert.ok(sizes[0] > sizes[1], `${sizes[0]} > ${sizes[1]}`);
    });

    for (const [end, option] of [
      ['server', 'serverMaxWindowBits'],
      ['client', 'clientMaxWindowBits'],
    ]) {
      it(`limits the window of the ${end} with ${option}`, async () => {
        const sizes = [];
        for (const bits of [9, 15]) {
          const both = await pair({ perMessageDeflate: { [option]: bits } });
          const other = end === 'server' ? both.client : both.server;
          sizes.push(await cost(both[end], other, block + block));
        }
        assert.ok(sizes[0] > 1.5 * sizes[1], `${sizes[0]} > ${sizes[1]}`);
      });
    }

    for (const [end, option] of [
      ['server', 'serverNoContextTakeover'],
      ['client', 'clientNoContextTakeover'],
    ]) {
      for (const [value, saves] of [
        [true, false],
        [false, true],
      ]) {
        const verb = saves ? 'reuses' : 'forgets';
        it(`${end} ${verb} its window with ${option}: ${value}`, async () => {
          const both = await pair({ perMessageDeflate: { [option]: value } });
          const other = end === 'server' ? both.client : both.server;
          const first = await cost(both[end], other, block);
          const second = await cost(both[end], other, block);
          assert.equal(second < first / 2, saves, `${first}, ${second}`);
        });
      }
    }
  });
});
