'use strict';

const assert = require('node:assert/strict');
const { createHash } = require('crypto');
const { once } = require('events');
const fs = require('fs');
const http = require('http');
const https = require('https');
const net = require('net');
const os = require('os');
const path = require('path');
const util = require('util');

const WebSocket = require('..');
const { frame, ledger, listen, listenHttp } = require('./support');
const { reader, request, url } = require('./support');

const PLAIN = { perMessageDeflate: false };
const UNTRUSTED = /SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_VERIFY/;
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

const fixture = (name) =>
  fs.readFileSync(path.join(__dirname, 'fixtures', name));

describe('Client options', () => {
  const { pair, track } = ledger();

  /** Connects a client with these arguments. Resolves to its request. */
  async function requested(makeUrl, ...args) {
    const wss = track(await listen());
    const connected = once(wss, 'connection');
    const client = track(new WebSocket(makeUrl(wss), ...args));
    const opened = once(client, 'open');
    const [server] = await connected;
    await opened;
    return server.upgradeReq;
  }

  describe('address', () => {
    const port = (wss) => wss._server.address().port;

    it('may start with ws:', async () => {
      const req = await requested((wss) => `ws://localhost:${port(wss)}/a`);
      assert.equal(req.url, '/a');
    });

    it('may start with http:', async () => {
      const req = await requested((wss) => `http://127.0.0.1:${port(wss)}/a`);
      assert.equal(req.url, '/a');
    });

    it('may start with ws+unix:', async function () {
      if (process.platform === 'win32') this.skip();
      const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'oxws-'));
      const file = path.join(folder, 'socket');
      const server = http.createServer();
      const wss = new WebSocket.Server({ server });
      try {
        server.listen(file);
        await once(server, 'listening');
        track(server);
        wss.on('connection', (ws) => {
          ws.on('message', (data) => ws.send(`re: ${data}`));
        });
        const client = track(new WebSocket(`ws+unix://${file}`));
        await once(client, 'open');
        const received = once(client, 'message');
        client.send('hello');
        assert.equal((await received)[0], 're: hello');
      } finally {
        fs.rmSync(folder, { recursive: true });
      }
    });

    for (const [name, suffix, expected] of [
      ['asks for / without a path', '', '/'],
      ['keeps a query without a path', '?a=b', '/?a=b'],
      ['keeps path and query', '/p/q?a=b&c', '/p/q?a=b&c'],
      ['leaves the fragment out', '/p?a#fragment', '/p?a'],
    ]) {
      it(name, async () => {
        const req = await requested((wss) => url(wss, suffix));
        assert.equal(req.url, expected);
      });
    }

    for (const [name, auth, expected] of [
      ['user and password', 'user:secret', 'user:secret'],
      ['a user alone', 'user', 'user'],
      ['escaped characters', 'us%40er:p%3Ass', 'us@er:p:ss'],
    ]) {
      it(`turns ${name} into an Authorization header`, async () => {
        const { headers } = await requested((wss) =>
          url(wss).replace('//', `//${auth}@`),
        );
        const [scheme, credentials] = headers.authorization.split(' ');
        assert.equal(scheme, 'Basic');
        assert.equal(
          Buffer.from(credentials, 'base64').toString().replace(/:$/, ''),
          expected,
        );
      });
    }

    it('sends no Authorization header without credentials', async () => {
      const { headers } = await requested(url);
      assert.equal(headers.authorization, undefined);
    });

    for (const address of ['', 'nowhere', 'example.com/path', '/path', 'ws:']) {
      it(`throws for '${address}'`, () => {
        assert.throws(() => new WebSocket(address), { message: 'invalid url' });
      });
    }
  });

  describe('the constructor', () => {
    it('may be called without new', async () => {
      const wss = track(await listen(PLAIN));
      const construct = WebSocket;
      const client = track(construct(url(wss)));
      assert.ok(client instanceof WebSocket);
      await once(client, 'open');
    });

    it('takes protocols and options without new', async () => {
      const construct = WebSocket;
      const wss = track(await listen(PLAIN));
      const connected = once(wss, 'connection');
      track(construct(url(wss), 'chat', { headers: { 'X-Own': 'yes' } }));
      const { headers } = (await connected)[0].upgradeReq;
      assert.equal(headers['sec-websocket-protocol'], 'chat');
      assert.equal(headers['x-own'], 'yes');
    });

    it('may be called on a prepared this', async () => {
      function Child(address) {
        WebSocket.call(this, address);
        this.own = true;
      }
      util.inherits(Child, WebSocket);

      const wss = track(await listen(PLAIN));
      wss.on('connection', (ws) => ws.on('message', (data) => ws.send(data)));
      const client = track(new Child(url(wss)));
      assert.ok(client instanceof Child);
      assert.equal(client.own, true);
      assert.equal(client.readyState, WebSocket.CONNECTING);
      await once(client, 'open');
      const received = once(client, 'message');
      client.send('through the child');
      assert.equal((await received)[0], 'through the child');
    });

    it('passes protocols and options on with a prepared this', async () => {
      function Child(...args) {
        WebSocket.apply(this, args);
      }
      util.inherits(Child, WebSocket);

      const wss = track(await listen(PLAIN));
      const connected = once(wss, 'connection');
      const client = track(
        new Child(url(wss), ['chat'], { origin: 'http://o' }),
      );
      await once(client, 'open');
      assert.equal(client.protocol, 'chat');
      assert.equal((await connected)[0].upgradeReq.headers.origin, 'http://o');
    });

    it('may be extended as a class', async () => {
      class Child extends WebSocket {
        send(data, ...rest) {
          super.send(`${data}!`, ...rest);
        }
      }
      const wss = track(await listen(PLAIN));
      const connected = once(wss, 'connection');
      const client = track(new Child(url(wss)));
      const opened = once(client, 'open');
      const received = once((await connected)[0], 'message');
      await opened;
      client.send('hello');
      assert.equal((await received)[0], 'hello!');
    });

    it('leaves the options object as it was', async () => {
      const options = Object.freeze({
        headers: Object.freeze({ 'X-Own': 'yes' }),
        perMessageDeflate: Object.freeze({ threshold: 1 }),
      });
      const { headers } = await requested(url, options);
      assert.equal(headers['x-own'], 'yes');
    });
  });

  describe('protocols', () => {
    for (const [name, args, expected] of [
      ['a string', ['chat'], 'chat'],
      ['an array', [['a', 'b', 'c']], 'a,b,c'],
      ['a string before options', ['chat', {}], 'chat'],
      ['an array before options', [['a', 'b'], {}], 'a,b'],
      ['options.protocol as second argument', [{ protocol: 'own' }], 'own'],
      ['options.protocol after null', [null, { protocol: 'own' }], 'own'],
      ['options.protocol over the argument', ['a', { protocol: 'b' }], 'b'],
      ['nothing', [], undefined],
      ['an empty array', [[]], undefined],
    ]) {
      it(`are sent for ${name}`, async () => {
        const { headers } = await requested(url, ...args);
        const sent = headers['sec-websocket-protocol'];
        assert.equal(sent && sent.replace(/ /g, ''), expected);
      });
    }

    it('let the server choose', async () => {
      const wss = track(await listen({ handleProtocols: (list) => list[1] }));
      const client = track(new WebSocket(url(wss), ['a', 'b', 'c']));
      await once(client, 'open');
      assert.equal(client.protocol, 'b');
    });

    for (const [name, asked, answer, message] of [
      [
        'no answer',
        'a',
        '',
        'server sent no subprotocol even though requested',
      ],
      ['another answer', 'a', 'b', 'server responded with an invalid protocol'],
      [
        'an answer not asked for',
        undefined,
        'a',
        'server sent a subprotocol even though none requested',
      ],
    ]) {
      it(`with ${name} are an error`, async () => {
        const wss = track(await listen({ handleProtocols: () => answer }));
        const client = track(new WebSocket(url(wss), asked));
        const [error] = await once(client, 'error');
        assert.equal(error.message, message);
      });
    }
  });

  describe('of the request', () => {
    it('agent makes the connection', async () => {
      const agent = new http.Agent();
      const create = agent.createConnection;
      let made = 0;
      agent.createConnection = function (...args) {
        made += 1;
        return create.apply(this, args);
      };
      await requested(url, { agent });
      assert.equal(made, 1);
    });

    it('headers are sent', async () => {
      const { headers } = await requested(url, {
        headers: { 'X-Own': 'yes', Cookie: 'a=b' },
      });
      assert.equal(headers['x-own'], 'yes');
      assert.equal(headers.cookie, 'a=b');
    });

    it('headers may follow null as protocols', async () => {
      const { headers } = await requested(url, null, {
        headers: { 'X-Own': 'yes' },
      });
      assert.equal(headers['x-own'], 'yes');
    });

    it('the headers of the handshake are complete', async () => {
      const { headers, method } = await requested(url);
      assert.equal(method, 'GET');
      assert.equal(headers.upgrade, 'websocket');
      assert.equal(headers.connection, 'Upgrade');
      assert.equal(headers['sec-websocket-version'], '13');
      const key = headers['sec-websocket-key'];
      assert.equal(Buffer.from(key, 'base64').length, 16);
    });

    it('the key of every handshake is different', async () => {
      const keys = new Set();
      for (let i = 0; i < 3; i++) {
        keys.add((await requested(url)).headers['sec-websocket-key']);
      }
      assert.equal(keys.size, 3);
    });

    for (const protocolVersion of [8, 13]) {
      it(`protocolVersion ${protocolVersion} is sent`, async () => {
        const { headers } = await requested(url, { protocolVersion });
        assert.equal(headers['sec-websocket-version'], String(protocolVersion));
      });
    }

    for (const protocolVersion of [0, 7, 9, 12, 14, '13', null]) {
      const name = util.inspect(protocolVersion);

      it(`protocolVersion ${name} throws`, () => {
        assert.throws(
          () => new WebSocket('ws://127.0.0.1:1', { protocolVersion }),
          { message: 'unsupported protocol version' },
        );
      });
    }

    it('Host contains the host and port of the address', async () => {
      let host;
      const { headers } = await requested((wss) => {
        host = url(wss).slice('ws://'.length);
        return url(wss);
      });
      assert.equal(headers.host, host);
    });

    it('host is sent as Host', async () => {
      const { headers } = await requested(url, { host: 'example.com' });
      assert.equal(headers.host, 'example.com');
    });

    for (const [protocolVersion, used, unused] of [
      [13, 'origin', 'sec-websocket-origin'],
      [8, 'sec-websocket-origin', 'origin'],
    ]) {
      it(`origin is sent as ${used} with version ${protocolVersion}`, async () => {
        const { headers } = await requested(url, {
          origin: 'https://example.com',
          protocolVersion,
        });
        assert.equal(headers[used], 'https://example.com');
        assert.equal(headers[unused], undefined);
      });
    }

    it('no origin is sent by default', async () => {
      const { headers } = await requested(url);
      assert.equal(headers.origin, undefined);
    });

    it('localAddress is the local address of the connection', async function () {
      if (process.platform !== 'linux') this.skip();
      const wss = track(await listen(PLAIN));
      const connected = once(wss, 'connection');
      track(new WebSocket(url(wss), { localAddress: '127.0.0.2' }));
      const [server] = await connected;
      assert.equal(server.upgradeReq.socket.remoteAddress, '127.0.0.2');
    });
  });

  describe('perMessageDeflate', () => {
    const bits = 'client_max_window_bits';

    for (const [name, perMessageDeflate, members] of [
      ['by default', undefined, [bits]],
      ['for true', true, [bits]],
      ['for an empty object', {}, [bits]],
      [
        'for serverNoContextTakeover',
        { serverNoContextTakeover: true },
        [bits, 'server_no_context_takeover'],
      ],
      [
        'for clientNoContextTakeover',
        { clientNoContextTakeover: true },
        [bits, 'client_no_context_takeover'],
      ],
      [
        'for serverMaxWindowBits',
        { serverMaxWindowBits: 10 },
        [bits, 'server_max_window_bits=10'],
      ],
      ['for clientMaxWindowBits', { clientMaxWindowBits: 11 }, [`${bits}=11`]],
      ['for clientMaxWindowBits: false', { clientMaxWindowBits: false }, []],
      ['for memLevel and threshold', { memLevel: 1, threshold: 0 }, [bits]],
      [
        'for all members',
        {
          serverNoContextTakeover: true,
          clientNoContextTakeover: true,
          serverMaxWindowBits: 9,
          clientMaxWindowBits: 12,
        },
        [
          `${bits}=12`,
          'client_no_context_takeover',
          'server_max_window_bits=9',
          'server_no_context_takeover',
        ],
      ],
    ]) {
      it(`is offered ${name}`, async () => {
        const options =
          perMessageDeflate === undefined ? {} : { perMessageDeflate };
        const { headers } = await requested(url, options);
        const offer = headers['sec-websocket-extensions'].split(/; */);
        assert.equal(offer[0], 'permessage-deflate');
        assert.deepEqual(offer.slice(1).sort(), members);
      });
    }

    it('is not offered for false', async () => {
      const { headers } = await requested(url, { perMessageDeflate: false });
      assert.equal(headers['sec-websocket-extensions'], undefined);
    });

    for (const perMessageDeflate of [
      { serverNoContextTakeover: true },
      { clientNoContextTakeover: true },
      { serverMaxWindowBits: 9 },
      { clientMaxWindowBits: 9 },
      { memLevel: 1, threshold: 0 },
    ]) {
      const name = util.inspect(perMessageDeflate);

      it(`carries messages both ways with ${name}`, async () => {
        const { client, server } = await pair(
          { perMessageDeflate: true },
          { perMessageDeflate },
        );
        server.on('message', (data) => server.send(data));
        for (let i = 0; i < 3; i++) {
          const data = `${i} `.repeat(3000);
          const echoed = once(client, 'message');
          client.send(data);
          assert.equal((await echoed)[0], data);
        }
      });
    }
  });

  describe('of TLS', () => {
    const ca = [fixture('ca.pem')];
    const cert = fixture('client.pem');
    const key = fixture('client-key.pem');
    const pfx = fixture('client.pfx');

    /**
     * Starts a server over TLS that asks for a certificate. Resolves to its address,
     * too.
     */
    async function secure(options) {
      const server = https.createServer(
        Object.assign(
          {
            key: fixture('server-key.pem'),
            cert: fixture('server.pem'),
            ca,
            requestCert: true,
            rejectUnauthorized: false,
          },
          options,
        ),
      );
      track(await listenHttp(server));
      const wss = new WebSocket.Server({ server });
      return { wss, address: url(server).replace('ws:', 'wss:') };
    }

    /** Connects a client with these options. Resolves to both ends. */
    async function joined(options, makeUrl = (address) => address) {
      const { wss, address } = await secure();
      const connected = once(wss, 'connection');
      const client = track(new WebSocket(makeUrl(address), options));
      const opened = once(client, 'open');
      await opened;
      return { client, server: (await connected)[0] };
    }

    for (const scheme of ['wss:', 'https:']) {
      it(`${scheme} carries messages both ways`, async () => {
        const { client, server } = await joined({ ca }, (address) =>
          address.replace('wss:', scheme),
        );
        assert.ok(server.upgradeReq.socket.encrypted);
        server.on('message', (data, { binary }) =>
          server.send(data, { binary }),
        );
        for (const data of ['text', Buffer.alloc(100000, 'x')]) {
          const echoed = once(client, 'message');
          client.send(data);
          assert.deepEqual((await echoed)[0], data);
        }
      });
    }

    it('a close reaches both ends', async () => {
      const { client, server } = await joined({ ca });
      const closed = [once(client, 'close'), once(server, 'close')];
      client.close(3000, 'enough');
      assert.deepEqual(await Promise.all(closed), [
        [3000, 'enough'],
        [3000, 'enough'],
      ]);
    });

    it('an unknown certificate of the server is an error', async () => {
      const { address } = await secure();
      const [error] = await once(new WebSocket(address), 'error');
      assert.match(error.code, UNTRUSTED);
    });

    it('rejectUnauthorized: true keeps it an error', async () => {
      const { address } = await secure();
      const client = new WebSocket(address, { rejectUnauthorized: true });
      const [error] = await once(client, 'error');
      assert.match(error.code, UNTRUSTED);
    });

    it('rejectUnauthorized: false accepts any certificate', async () => {
      const { client } = await joined({ rejectUnauthorized: false });
      assert.equal(client._socket.authorized, false);
    });

    it('ca makes the certificate of the server valid', async () => {
      const { client } = await joined({ ca });
      assert.equal(client._socket.authorized, true);
    });

    for (const [name, options] of [
      ['key and cert', { key, cert }],
      ['key and cert as strings', { key: `${key}`, cert: `${cert}` }],
      [
        'an encrypted key with its passphrase',
        {
          key: fixture('client-key-encrypted.pem'),
          cert,
          passphrase: 'fixture',
        },
      ],
      ['pfx with its passphrase', { pfx, passphrase: 'fixture' }],
    ]) {
      it(`${name} authorize the client`, async () => {
        const { server } = await joined(Object.assign({ ca }, options));
        const { socket } = server.upgradeReq;
        assert.equal(socket.authorized, true);
        assert.equal(
          socket.getPeerCertificate().subject.CN,
          'oxws test client',
        );
      });
    }

    it('without a certificate the client is not authorized', async () => {
      const { server } = await joined({ ca });
      assert.equal(server.upgradeReq.socket.authorized, false);
    });

    for (const ciphers of [
      'ECDHE-RSA-AES128-GCM-SHA256',
      'ECDHE-RSA-AES256-GCM-SHA384',
    ]) {
      it(`ciphers: ${ciphers} is the one agreed on`, async () => {
        const { wss, address } = await secure({ maxVersion: 'TLSv1.2' });
        const connected = once(wss, 'connection');
        const client = track(new WebSocket(address, { ca, ciphers }));
        await once(client, 'open');
        const [{ upgradeReq }] = await connected;
        assert.equal(upgradeReq.socket.getCipher().name, ciphers);
      });
    }

    it('checkServerIdentity decides about the certificate', async () => {
      const { address } = await secure();
      const checkServerIdentity = () => new Error('not this one');
      const client = new WebSocket(address, { ca, checkServerIdentity });
      const [error] = await once(client, 'error');
      assert.equal(error.message, 'not this one');
    });

    it('an agent of the program is used unchanged', async () => {
      const agent = new https.Agent({ ca });
      const { client } = await joined({ agent });
      assert.equal(client._socket.authorized, true);
    });
  });

  describe('an array as address', () => {
    /**
     * Starts a server that accepts upgrades itself, and creates WebSockets from arrays.
     */
    async function manual(options) {
      const server = http.createServer();
      const made = new Promise((resolve) => {
        server.on('upgrade', (req, socket, head) => {
          const accept = createHash('sha1')
            .update(req.headers['sec-websocket-key'] + GUID)
            .digest('base64');
          socket.write(
            'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n' +
              `Connection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
          );
          const ws = new WebSocket(
            [req, socket, head],
            Object.assign({ protocolVersion: 13, extensions: {} }, options),
          );
          const seen = { states: [ws.readyState], messages: [] };
          ws.on('message', (data) => {
            seen.messages.push(data);
            ws.send(`re: ${data}`);
          });
          resolve({ ws: track(ws), req, socket, seen });
        });
      });
      track(await listenHttp(server));
      return { server, made };
    }

    it('makes a server connection of request, socket and rest', async () => {
      const { server, made } = await manual();
      const client = track(new WebSocket(url(server), PLAIN));
      await once(client, 'open');
      const received = once(client, 'message');
      client.send('hello');
      const [message, flags] = await received;
      assert.equal(message, 're: hello');
      assert.equal(flags.masked, false);
      const { ws, req, socket, seen } = await made;
      assert.deepEqual(seen.states, [WebSocket.OPEN]);
      assert.equal(ws.upgradeReq, req);
      assert.equal(ws._socket, socket);
    });

    it('delivers the frames in the rest', async () => {
      const { server, made } = await manual();
      const { port } = server.address();
      const socket = track(net.connect(port, '127.0.0.1'));
      const wire = reader(socket);
      socket.write(
        Buffer.concat([
          Buffer.from(request()),
          frame(1, 'first'),
          frame(1, 'second'),
        ]),
      );
      await wire.head();
      const answers = await wire.frames(2);
      assert.deepEqual(
        answers.map(({ payload }) => `${payload}`),
        ['re: first', 're: second'],
      );
      assert.deepEqual((await made).seen.messages, ['first', 'second']);
    });

    it('takes protocol, version and maxPayload from the options', async () => {
      const { server, made } = await manual({
        maxPayload: 10,
        protocol: 'own',
        protocolVersion: 8,
      });
      const client = track(new WebSocket(url(server), PLAIN));
      await once(client, 'open');
      const { ws } = await made;
      assert.equal(ws.protocol, 'own');
      assert.equal(ws.protocolVersion, 8);
      const failed = new Promise((resolve) => ws.on('error', resolve));
      client.send('more than 10 bytes');
      assert.equal((await failed).message, 'max payload size exceeded');
    });
  });
});
