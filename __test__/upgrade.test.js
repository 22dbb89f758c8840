'use strict';

// Data before, in and after an upgrade request, and hooks that throw.

const assert = require('node:assert/strict');
const { once } = require('events');
const http = require('http');
const net = require('net');

const WebSocket = require('..');
const {
  answer,
  closing,
  exchange,
  frame,
  ledger,
  listen,
  listenHttp,
  reader,
  request,
  uncaught,
  turn,
} = require('./support');

const PLAIN = { perMessageDeflate: false };

describe('An upgrade', () => {
  const { track } = ledger();

  /** Connects a raw socket to a server. */
  async function connect(server) {
    const { port } = (server._server || server).address();
    const socket = track(net.connect(port, '127.0.0.1'));
    socket.setNoDelay();
    socket.on('error', () => {});
    await once(socket, 'connect');
    return { socket, wire: reader(socket) };
  }

  /** Writes several pieces, each in its own packet if possible. */
  async function write(socket, pieces) {
    for (const piece of pieces) {
      socket.write(piece);
      for (let i = 0; i < 5; i++) await turn();
    }
  }

  describe('that waits for its response', () => {
    for (const [name, options] of [
      ['verifyClient', (release) => ({ verifyClient: (_, cb) => release(cb) })],
      ['handleUpgrade', null],
    ]) {
      for (const ends of [false, true]) {
        const behind = ends ? ', and the end behind them' : '';
        it(`loses no frames that arrive meanwhile (${name})${behind}`, async () => {
          let go;
          const asked = new Promise((resolve) => {
            go = resolve;
          });
          let server;
          const seen = [];
          const accept = (ws) => {
            ws.on('message', (data) => seen.push(data));
            ws.on('close', (code) => seen.push(code));
          };
          if (options) {
            const wss = track(
              await listen({
                ...PLAIN,
                ...options((cb) => go(() => cb(true))),
              }),
            );
            wss.on('connection', accept);
            server = wss;
          } else {
            const wss = new WebSocket.Server({ noServer: true, ...PLAIN });
            server = track(await listenHttp());
            server.on('upgrade', (...args) =>
              go(() => wss.handleUpgrade(...args, accept)),
            );
          }
          const { socket, wire } = await connect(server);
          await write(socket, [request()]);
          const release = await asked;
          await write(socket, [
            frame(1, '1'),
            frame(1, '2'),
            frame(2, Buffer.alloc(1)).subarray(0, 3),
            frame(2, Buffer.alloc(1)).subarray(3),
          ]);
          if (ends) socket.end();
          for (let i = 0; i < 20; i++) await turn();
          release();
          assert.match(await wire.head(), /^HTTP\/1\.1 101 /);
          const expected = ['1', '2', Buffer.alloc(1), ...(ends ? [1006] : [])];
          while (seen.length < expected.length) await turn();
          assert.deepEqual(seen, expected);
        });
      }
    }
  });

  describe('behind other requests', () => {
    /** Starts a server. The test responds to plain requests by `responses`. */
    async function patient() {
      const wss = new WebSocket.Server({ noServer: true, ...PLAIN });
      const responses = [];
      const server = track(
        await listenHttp(http.createServer((req, res) => responses.push(res))),
      );
      server.on('upgrade', (req, socket, head) => {
        wss.handleUpgrade(req, socket, head, (ws) => {
          ws.on('message', (data) => ws.send(data));
        });
      });
      return { server, responses };
    }

    const get = (headers = '') => `GET / HTTP/1.1\r\nHost: a\r\n${headers}\r\n`;

    for (const count of [1, 2, 3]) {
      it(`waits for ${count} responses`, async () => {
        const { server, responses } = await patient();
        const { socket, wire } = await connect(server);
        socket.write(
          get().repeat(count) +
            request() +
            frame(1, 'Hello').toString('latin1'),
          'latin1',
        );
        while (responses.length < count) await turn();
        for (let i = 0; i < 20; i++) await turn();
        for (const [i, response] of responses.entries()) {
          response.setHeader('Content-Length', 0);
          response.setHeader('X-Number', i);
          response.end();
        }
        for (let i = 0; i < count; i++) {
          const head = await wire.head();
          assert.match(head, /^HTTP\/1\.1 200 /);
          assert.match(head, new RegExp(`x-number: ${i}`, 'i'));
        }
        assert.match(await wire.head(), /^HTTP\/1\.1 101 /);
        assert.equal(`${(await wire.frame()).payload}`, 'Hello');
      });
    }

    it('does not wait for a response that was created for it', async () => {
      const wss = new WebSocket.Server({ noServer: true, ...PLAIN });
      const server = track(await listenHttp(http.createServer()));
      server.on('upgrade', (req, socket, head) => {
        // As frameworks that route upgrades like other requests do.
        new http.ServerResponse(req).assignSocket(socket);
        wss.handleUpgrade(req, socket, head, (ws) => {
          ws.on('message', (data) => ws.send(data));
        });
      });
      const { socket, wire } = await connect(server);
      socket.write(request());
      assert.match(await wire.head(), /^HTTP\/1\.1 101 /);
      socket.write(frame(1, 'Hello'));
      assert.equal(`${(await wire.frame()).payload}`, 'Hello');
    });

    it('is read after long responses', async () => {
      const { server, responses } = await patient();
      const { socket, wire } = await connect(server);
      socket.write(get().repeat(2) + request());
      while (responses.length < 2) await turn();
      for (const [i, response] of responses.entries()) {
        response.setHeader('Content-Length', i === 0 ? 70000 : 1);
        response.end('x'.repeat(i === 0 ? 70000 : 1));
      }
      for (;;) {
        if (/^x*HTTP\/1\.1 101 /.test(await wire.head())) break;
      }
      for (let i = 0; i < 3; i++) {
        socket.write(frame(1, 'Hello'));
        assert.equal(`${(await wire.frame()).payload}`, 'Hello');
      }
    });

    it('ends with a connection that a response closes', async () => {
      const { server, responses } = await patient();
      const { socket, wire } = await connect(server);
      socket.write(get() + request());
      while (responses.length < 1) await turn();
      responses[0].setHeader('Connection', 'close');
      responses[0].end('x');
      assert.match(await wire.head(), /^HTTP\/1\.1 200 /);
      await once(socket, 'close');
    });

    it('is dropped if its client disconnects', async () => {
      const { server, responses } = await patient();
      const { socket } = await connect(server);
      socket.write(get() + request());
      while (responses.length < 1) await turn();
      const { socket: other } = responses[0];
      const closed = new Promise((resolve) => other.once('close', resolve));
      socket.resetAndDestroy();
      await closed;
    });
  });

  describe('with a body', () => {
    const body = frame(1, 'body');
    const length = { 'Content-Length': body.length };

    async function echoing() {
      const wss = track(await listen(PLAIN));
      wss.on('connection', (ws) => ws.on('message', (data) => ws.send(data)));
      return wss;
    }

    const whole = Buffer.concat([
      Buffer.from(request(length)),
      body,
      frame(1, 'Hello'),
    ]);
    const head = Buffer.byteLength(request(length));
    for (const [name, cuts] of Object.entries({
      'in one piece': [],
      'before the body': [head],
      'within the body': [head + 3],
      'behind the body': [head + body.length],
      everywhere: [head, head + 1, head + 5, head + body.length],
    })) {
      it(`does not read it as frames, cut ${name}`, async () => {
        const { socket, wire } = await connect(await echoing());
        const pieces = [0, ...cuts].map((from, i) =>
          whole.subarray(from, [...cuts, whole.length][i]),
        );
        await write(socket, pieces);
        assert.match(await wire.head(), /^HTTP\/1\.1 101 /);
        assert.equal(`${(await wire.frame()).payload}`, 'Hello');
      });
    }

    it('of length 0 is accepted', async () => {
      const { socket, wire } = await connect(await echoing());
      socket.write(request({ 'Content-Length': 0 }));
      socket.write(frame(1, 'Hello'));
      assert.match(await wire.head(), /^HTTP\/1\.1 101 /);
      assert.equal(`${(await wire.frame()).payload}`, 'Hello');
    });

    it('in chunks is refused', async () => {
      const wss = await echoing();
      const chunked = request({ 'Transfer-Encoding': 'chunked' });
      const text = `${await exchange(wss, `${chunked}4\r\nabcd\r\n0\r\n\r\n`)}`;
      assert.match(text, /^HTTP\/1\.1 400 /);
    });
  });

  describe('is refused', () => {
    const KEYS = {
      'of 15 bytes': Buffer.alloc(15, 1).toString('base64'),
      'of 17 bytes': Buffer.alloc(17, 1).toString('base64'),
      'that is no base64': `${'!'.repeat(22)}==`,
      'of one letter': 'x',
    };
    for (const [name, key] of Object.entries(KEYS)) {
      it(`with a key ${name}`, async () => {
        const wss = track(await listen());
        const { status } = await answer(wss, { 'Sec-WebSocket-Key': key });
        assert.equal(status, 400);
      });
    }

    it('with two keys', async () => {
      const wss = track(await listen());
      const key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
      const twice = request().replace(key, key + key);
      assert.match(`${await exchange(wss, twice)}`, /^HTTP\/1\.1 400 /);
    });

    it('if Connection does not contain "upgrade", also in a plain object', async () => {
      for (const [connection, status] of [
        ['close', 400],
        [undefined, 400],
        ['UPGRADE', 101],
        ['keep-alive, Upgrade', 101],
      ]) {
        const wss = new WebSocket.Server({ noServer: true });
        const server = track(await listenHttp());
        server.on('upgrade', ({ method, url, headers }, socket, head) => {
          const plain = { method, url, headers: { ...headers, connection } };
          wss.handleUpgrade(plain, socket, head, () => {});
        });
        assert.equal((await answer(server)).status, status, connection);
      }
    });
  });

  it('may have a version that is a number', async () => {
    const wss = new WebSocket.Server({ noServer: true });
    const server = track(await listenHttp());
    const versions = [];
    server.on('upgrade', ({ method, url, headers }, socket, head) => {
      const plain = { ...headers, 'sec-websocket-version': 13 };
      wss.handleUpgrade({ method, url, headers: plain }, socket, head, (ws) =>
        versions.push(ws.protocolVersion),
      );
    });
    assert.equal((await answer(server)).status, 101);
    assert.deepEqual(versions, [13]);
  });

  describe('is answered with 500 after an error in', () => {
    const fail = () => {
      throw new Error('on purpose');
    };
    const HOOKS = {
      verifyClient: { verifyClient: () => fail() },
      handleProtocols: { handleProtocols: fail },
      "a listener of 'headers'": {},
    };
    for (const [name, options] of Object.entries(HOOKS)) {
      it(name, async () => {
        const wss = track(await listen(options));
        if (Object.keys(options).length === 0) wss.on('headers', fail);
        let status;
        const errors = await uncaught(async () => {
          ({ status } = await answer(wss));
        });
        assert.equal(status, 500);
        assert.deepEqual(errors, ['on purpose']);
        assert.equal(wss.clients.size, 0);
      });
    }

    it("no listener of 'connection', which keeps the connection", async () => {
      const wss = track(await listen(PLAIN));
      const accepted = once(wss, 'connection');
      wss.on('connection/', fail);
      wss.on('connection', (ws) => ws.on('message', (data) => ws.send(data)));
      wss.on('connection', fail);
      const { socket, wire } = await connect(wss);
      const errors = await uncaught(async () => {
        socket.write(request());
        socket.write(frame(1, 'Hello'));
        const [ws] = await accepted;
        await wire.head();
        assert.equal(`${(await wire.frame()).payload}`, 'Hello');
        const closed = closing(ws);
        socket.end();
        await closed;
      });
      assert.deepEqual(errors, ['on purpose', 'on purpose']);
      assert.equal(wss.clients.size, 0);
    });
  });

  it("is in wss.clients until 'close', even if listeners are removed", async () => {
    const wss = track(await listen());
    for (const change of [
      (ws) => (ws.onclose = () => {}),
      (ws) => ws.removeAllListeners('close'),
      (ws) => ws.removeAllListeners(),
    ]) {
      const connected = once(wss, 'connection');
      const { socket } = await connect(wss);
      socket.write(request());
      const [ws] = await connected;
      assert.equal(wss.clients.size, 1);
      change(ws);
      socket.resetAndDestroy();
      while (ws.readyState !== WebSocket.CLOSED) await turn();
      assert.equal(wss.clients.size, 0);
    }
  });
});
