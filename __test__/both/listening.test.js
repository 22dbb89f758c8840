'use strict';

// Servers on a port, as programs and clients see them, whether the engine accepts the
// connections or Node does.

const assert = require('node:assert/strict');
const { spawn } = require('child_process');
const { once } = require('events');
const fs = require('fs');
const http = require('http');
const net = require('net');
const os = require('os');
const path = require('path');

const apis = require('./apis');
const { BINARY, close, closing, exchange, frame } = require('../ws8/support');
const { ignore, ledger, portOf, reader, request } = require('../ws8/support');
const { turn, url } = require('../ws8/support');
const { descriptors } = require('../fixtures-engine/descriptors');

const { OXWS_LISTENER, OXWS_TRANSPORT } = process.env;
const IS_NATIVE = OXWS_TRANSPORT !== 'stream' && process.platform !== 'win32';
const IS_ENGINE = IS_NATIVE && OXWS_LISTENER !== 'node';

/** A masked frame of the client. */
const MESSAGE = frame(BINARY, 'hello', { key: Buffer.alloc(4) });

/** Resolves when a condition is true. */
async function until(condition) {
  while (!(await condition())) await turn();
}

/** Returns how many sockets this process may open now. */
function roomForSockets() {
  const limits = '/proc/self/limits';
  if (!fs.existsSync(limits)) return 512;
  const [, most] = /Max open files +(\d+)/.exec(fs.readFileSync(limits));
  return Number(most) - descriptors() - 100;
}

for (const api of apis) {
  const { WebSocket, onMessage, requestOf } = api;

  describe(`${api.name}: a server on a port`, () => {
    const { bare, join, serve, track } = ledger(WebSocket);

    /** Connects a raw client that sends `bytes`. */
    function connect(wss, bytes = '') {
      const socket = track(net.connect(portOf(wss), '127.0.0.1'));
      socket.on('error', ignore);
      socket.setNoDelay();
      socket.write(bytes);
      return socket;
    }

    /** Resolves to the status of the response to `bytes`. */
    async function statusOf(wss, bytes) {
      const head = await reader(connect(wss, bytes)).head();
      return Number(/^HTTP\/1\.1 (\d+) /.exec(head)[1]);
    }

    /** Resolves when a client's message has come back from the server. */
    async function serves(wss) {
      const { client, server } = await join(wss);
      onMessage(server, (data) => server.send(data));
      const echoed = new Promise((resolve) => onMessage(client, resolve));
      client.send('served');
      assert.equal(String(await echoed), 'served');
      const closed = closing(client);
      client.close();
      await closed;
    }

    const connections = (wss) =>
      new Promise((resolve, reject) => {
        wss._server.getConnections((error, count) =>
          error ? reject(error) : resolve(count),
        );
      });

    describe('listens', () => {
      it('on a free port', async () => {
        const wss = await serve();
        const { address, port } = wss._server.address();
        assert.equal(address, '127.0.0.1');
        assert.ok(port > 0);
        assert.equal(wss._server.listening, true);
        assert.ok(wss._server instanceof http.Server);
      });

      it('on all addresses by default', async () => {
        const wss = await serve({ host: undefined });
        const { address } = wss._server.address();
        assert.ok(['::', '0.0.0.0'].includes(address), address);
        await serves(wss);
      });

      it('and calls back', async () => {
        await new Promise((resolve) => {
          track(new WebSocket.Server({ host: '127.0.0.1', port: 0 }, resolve));
        });
      });

      it('on a path of a Unix-domain socket', async function () {
        if (process.platform === 'win32') this.skip();
        const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'oxws-'));
        try {
          const port = path.join(folder, 'socket');
          const wss = await serve({ host: undefined, port });
          assert.equal(wss._server.address(), port);
          const socket = track(net.connect(port));
          const connected = once(wss, 'connection');
          socket.write(request());
          const [ws] = await connected;
          const received = new Promise((resolve) => onMessage(ws, resolve));
          socket.write(MESSAGE);
          assert.equal(String(await received), 'hello');
        } finally {
          fs.rmSync(folder, { recursive: true });
        }
      });

      it('or emits an error as Node does', async () => {
        const wss = await serve();
        const port = portOf(wss);
        for (const [options, code, errno] of [
          [{ port }, 'EADDRINUSE', os.constants.errno.EADDRINUSE],
          [
            { host: '192.0.2.1', port: 0 },
            'EADDRNOTAVAIL',
            os.constants.errno.EADDRNOTAVAIL,
          ],
        ]) {
          const place = { host: '127.0.0.1', ...options };
          const other = new WebSocket.Server(place);
          const [error] = await once(other, 'error');
          assert.equal(error.code, code);
          assert.equal(error.errno, -errno);
          assert.equal(error.syscall, 'listen');
          assert.equal(error.address, place.host);
          assert.equal(error.port, place.port || undefined);
          assert.equal(other._server.listening, false);
        }
        await serves(wss);
      });

      it('again on the same port as soon as it is closed', async () => {
        let port = 0;
        for (let i = 0; i < 5; i++) {
          const wss = await serve({ port });
          port = portOf(wss);
          await serves(wss);
          await close(wss);
        }
      });

      it('without keeping the process alive after unref()', async () => {
        const program = `
          const WebSocket = require(${JSON.stringify(path.join(__dirname, '..', '..'))});
          const wss = new WebSocket.Server({ port: 0 });
          wss._server.unref();
          wss._server.on('listening', () => wss._server.ref().unref());`;
        const child = spawn(process.execPath, ['-e', program]);
        const [status] = await once(child, 'exit');
        assert.equal(status, 0);
      });
    });

    describe('counts its connections', () => {
      it('until they have closed', async () => {
        const wss = await serve();
        const { client } = await join(wss);
        const socket = connect(wss, request());
        await reader(socket).head();
        assert.equal(await connections(wss), 2);
        client.terminate();
        socket.destroy();
        await until(async () => (await connections(wss)) === 0);
      });

      it('and closes when the last one has', async () => {
        const wss = await serve({ clientTracking: false });
        const { client } = await join(wss);
        let isClosed = false;
        const closed = close(wss).then(() => {
          isClosed = true;
        });
        for (let i = 0; i < 10; i++) await turn();
        assert.equal(isClosed, false);
        client.terminate();
        await closed;
      });

      it('and drops those that exceed maxConnections', async () => {
        const wss = await serve();
        wss._server.maxConnections = 1;
        await join(wss);
        const socket = connect(wss, request());
        await new Promise((resolve) => socket.on('close', resolve));
        assert.equal(socket.bytesRead, 0);
      });
    });

    describe('gives each connection', () => {
      it('its request', async () => {
        const wss = await serve();
        const connected = once(wss, 'connection');
        connect(
          wss,
          request(
            { 'X-A': ' b\t', 'x-a': 'c', Cookie: '' },
            { target: '/d?e' },
          ),
        );
        const [ws, req] = await connected;
        const asked = requestOf(ws, req);
        assert.ok(asked instanceof http.IncomingMessage);
        assert.equal(asked, requestOf(ws, req));
        const { complete, headers, httpVersion, method, upgrade } = asked;
        assert.deepEqual(
          { complete, httpVersion, method, upgrade, url: asked.url },
          {
            complete: true,
            httpVersion: '1.1',
            method: 'GET',
            upgrade: true,
            url: '/d?e',
          },
        );
        assert.equal(headers['x-a'], 'b, c');
        assert.equal(headers.cookie, '');
        assert.equal(headers.upgrade, 'websocket');
        const { rawHeaders } = asked;
        assert.equal(rawHeaders[rawHeaders.indexOf('X-A') + 1], 'b');
        assert.equal(rawHeaders[rawHeaders.indexOf('x-a') + 1], 'c');
      });

      it('its socket', async () => {
        const wss = await serve();
        const { server, req } = await join(wss);
        const { _socket: socket } = server;
        assert.ok(socket instanceof net.Socket);
        assert.equal(requestOf(server, req).socket, socket);
        assert.equal(server._socket, socket);
        assert.equal(socket.remoteAddress, '127.0.0.1');
        assert.equal(socket.localPort, portOf(wss));
        assert.equal(socket.server, wss._server);
        // The bytes of the handshake are counted.
        assert.ok(socket.bytesRead > 100, `${socket.bytesRead}`);
        assert.ok(socket.bytesWritten > 100, `${socket.bytesWritten}`);
      });

      it("its 'close' when its socket is destroyed", async () => {
        const { server } = await join(await serve());
        const closed = closing(server);
        server._socket.destroy();
        assert.equal((await closed)[0], 1006);
      });

      it('the messages behind its request, after "connection"', async () => {
        const wss = await serve();
        const events = [];
        wss.on('connection', (ws) => {
          events.push('connection');
          onMessage(ws, (data) => events.push(String(data)));
        });
        connect(wss, Buffer.concat([Buffer.from(request()), MESSAGE, MESSAGE]));
        await until(() => events.length === 3);
        assert.deepEqual(events, ['connection', 'hello', 'hello']);
      });
    });

    describe('asks the program', () => {
      it('which may answer later', async () => {
        let answer;
        const wss = await serve({
          verifyClient(info, callback) {
            assert.equal(info.req.headers.host !== undefined, true);
            answer = callback;
          },
        });
        const connected = once(wss, 'connection');
        const socket = connect(
          wss,
          Buffer.concat([Buffer.from(request()), MESSAGE]),
        );
        await until(() => answer);
        for (let i = 0; i < 10; i++) await turn();
        answer(true);
        const [ws] = await connected;
        const received = new Promise((resolve) => onMessage(ws, resolve));
        assert.match(await reader(socket).head(), /^HTTP\/1\.1 101 /);
        assert.equal(String(await received), 'hello');
      });

      it('which may refuse', async () => {
        for (const verifyClient of [
          () => false,
          (info, callback) => callback(false, 401),
          (info, callback) => setImmediate(callback, false, 401),
          ({ req }, callback) => {
            assert.equal(req.socket.remoteAddress, '127.0.0.1');
            setImmediate(callback, false, 401);
          },
        ]) {
          const wss = await serve({ verifyClient });
          const { line } = await exchange(wss, request());
          assert.equal(line, 'HTTP/1.1 401 Unauthorized');
        }
      });

      it('which may have the socket before it answers', async () => {
        let asked;
        const wss = await serve({
          verifyClient({ req }) {
            asked = req.socket;
            return true;
          },
        });
        const { server } = await join(wss);
        assert.equal(server._socket, asked);
        assert.equal(asked.destroyed, false);
        await serves(wss);
      });
    });

    describe('leaves to its HTTP server', () => {
      for (const [what, bytes, status] of [
        ['another request', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n', 426],
        ['nonsense', '\x16\x03\x01\r\n\r\n', 400],
        ['a bad key', request({ 'Sec-WebSocket-Key': 'x' }), 400],
        ['a long head', request({ 'X-A': 'a'.repeat(100 * 1024) }), 431],
        [
          'lines without carriage returns',
          request().replace('Host', 'A: b\nHost'),
          [101, 400],
        ],
      ]) {
        it(what, async () => {
          const wss = await serve();
          const found = await statusOf(wss, bytes);
          assert.ok([status].flat().includes(found), `${found}`);
          await serves(wss);
        });
      }

      it('a request that ends too early', async () => {
        const wss = await serve();
        const socket = connect(wss);
        const answered = reader(socket).head();
        socket.end('GET / HTTP/1.1\r\nHo');
        assert.match(await answered, /^HTTP\/1\.1 400 /);
      });

      it('a request behind another one', async () => {
        const wss = await serve();
        const connected = once(wss, 'connection');
        const plain = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n';
        const socket = connect(wss, plain + request());
        const wire = reader(socket);
        assert.match(await wire.head(), /^HTTP\/1\.1 426 /);
        await connected;
      });

      it('what a program listens for', async () => {
        for (const event of ['connection', 'upgrade']) {
          const wss = await serve();
          const heard = once(wss._server, event);
          const connected = once(wss, 'connection');
          const socket = connect(wss, request());
          const [first] = await heard;
          assert.equal((first.socket || first).remotePort, socket.localPort);
          await connected;
        }
      });
    });

    describe('serves others meanwhile', () => {
      it('with a client that sends byte after byte', async () => {
        const wss = await serve();
        const socket = connect(wss);
        const opened = reader(socket).head();
        for (const byte of request({ Host: undefined })) {
          socket.write(byte);
          await turn();
        }
        assert.match(await opened, /^HTTP\/1\.1 101 /);
        const slow = connect(wss);
        for (const byte of request().slice(0, 5)) {
          slow.write(byte);
          await serves(wss);
        }
      });

      it('with thousands of clients that never finish their request', async () => {
        const wss = await serve();
        const most = IS_ENGINE ? 5000 : 500;
        const room = Math.floor(roomForSockets() / 2) - 100;
        const count = Math.min(most, room);
        const before = process.memoryUsage().rss;
        const sockets = [];
        while (sockets.length < count) {
          const batch = Array.from({ length: 100 }, () =>
            connect(wss, request().slice(0, -2)),
          );
          await Promise.all(batch.map((socket) => once(socket, 'connect')));
          sockets.push(...batch);
        }
        await serves(wss);
        // Both ends of each connection are in this process.
        const each = (process.memoryUsage().rss - before) / count;
        assert.ok(each < 40 * 1024, `${each} bytes for each`);
        const last = sockets[count - 1];
        last.write('\r\n');
        assert.match(await reader(last).head(), /^HTTP\/1\.1 101 /);
        for (const socket of sockets) socket.destroy();
      }).timeout(30000);
    });

    if (!IS_ENGINE) return;

    api.beyondWs('by the engine', () => {
      it('has one descriptor for a connection, and two if its socket is read', async () => {
        const wss = await serve({ verifyClient: ({ req }) => !!req.headers });
        const before = descriptors();
        const connected = once(wss, 'connection');
        const socket = connect(wss, request());
        const [ws] = await connected;
        await reader(socket).head();
        assert.equal(descriptors() - before, 2, 'one at each end');
        assert.equal(ws._socket.remoteAddress, '127.0.0.1');
        assert.equal(descriptors() - before, 3);
        socket.destroy();
        await until(() => descriptors() === before);
      });

      it('hands a slow client over to the HTTP server', async () => {
        const wss = await serve();
        const socket = connect(wss, request().slice(0, -2));
        await turn();
        assert.equal(await connections(wss), 0);
        await until(async () => (await connections(wss)) === 1);
        socket.write('\r\n');
        assert.match(await reader(socket).head(), /^HTTP\/1\.1 101 /);
      }).timeout(5000);

      it('notices when a client leaves before the program has answered', async () => {
        let answer;
        const wss = await serve({
          verifyClient: (info, callback) => (answer = callback),
        });
        wss.on('connection', () => assert.fail('the client has gone'));
        const socket = connect(wss, request());
        await until(() => answer);
        socket.destroy();
        await until(async () => (await connections(wss)) === 0);
        answer(true);
        for (let i = 0; i < 10; i++) await turn();
      }).timeout(5000);

      it('goes on when descriptors are free again', async () => {
        const program = path.join(
          __dirname,
          '..',
          'fixtures-engine',
          'full.js',
        );
        const child = spawn(
          'sh',
          ['-c', `ulimit -n 60; exec "${process.execPath}" "${program}"`],
          { stdio: ['ignore', 'pipe', 'inherit'] },
        );
        try {
          const [line] = await once(child.stdout, 'data');
          const port = Number(line);
          // Many more than the server may have at once. Each leaves when it is open.
          const clients = Array.from({ length: 150 }, async () => {
            const socket = track(net.connect(port, '127.0.0.1'));
            socket.write(request());
            assert.match(await reader(socket).head(), /^HTTP\/1\.1 101 /);
            await turn();
            socket.destroy();
          });
          await Promise.all(clients);
        } finally {
          child.kill();
        }
      }).timeout(30000);

      it('tells so', async () => {
        const { ws } = await bare('server');
        assert.equal(WebSocket.diagnostics(ws).listener, 'engine');
        assert.equal(WebSocket.diagnostics().listener, 'engine');
        assert.match(url(ws._socket.server), /^ws:/);
      });
    });
  });

  api.beyondWs(`${api.name}: the option reusePort`, () => {
    const { serve, track } = ledger(WebSocket);

    it('has servers share a port', async function () {
      if (process.platform !== 'linux') this.skip();
      const first = await serve({ reusePort: true });
      const port = portOf(first);
      const second = await serve({ port, reusePort: true });
      const counts = [0, 0];
      first.on('connection', () => counts[0]++);
      second.on('connection', () => counts[1]++);
      // The system chooses by a hash of the addresses.
      while (counts.includes(0)) {
        const socket = track(net.connect(port, '127.0.0.1'));
        socket.write(request());
        await reader(socket).head();
        socket.destroy();
      }
      await close(first);
      const socket = track(net.connect(port, '127.0.0.1'));
      const connected = once(second, 'connection');
      socket.write(request());
      await connected;
    });

    it('has the workers of a cluster share a port', async function () {
      if (process.platform !== 'linux') this.skip();
      const program = path.join(
        __dirname,
        '..',
        'fixtures-engine',
        'shared.js',
      );
      const child = spawn(process.execPath, [program], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const [line] = await once(child.stdout, 'data');
      const { listener, port } = JSON.parse(line);
      assert.equal(listener, IS_ENGINE ? 'engine' : null);
      const socket = track(net.connect(port, '127.0.0.1'));
      socket.write(request());
      assert.match(await reader(socket).head(), /^HTTP\/1\.1 101 /);
      child.kill();
    });

    it('does not take a port that is not shared', async function () {
      if (process.platform === 'win32') this.skip();
      const first = await serve();
      const place = { host: '127.0.0.1', port: portOf(first) };
      const second = new WebSocket.Server({ ...place, reusePort: true });
      const [error] = await once(second, 'error');
      assert.equal(error.code, 'EADDRINUSE');
      assert.equal(error.syscall, 'listen');
      assert.equal(error.address, place.host);
      assert.equal(error.port, place.port);
    });

    it('needs a port', () => {
      for (const port of ['/path', -1, 65536]) {
        assert.throws(
          () => new WebSocket.Server({ port, reusePort: true }),
          RangeError,
        );
      }
    });
  });
}
