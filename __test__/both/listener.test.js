'use strict';

// Programs that a server on a port must serve in the same way, whether the engine or Node
// accepts its connections.

const assert = require('node:assert/strict');
const { AsyncLocalStorage } = require('async_hooks');
const { once } = require('events');
const net = require('net');

const apis = require('./apis');
const { ledger, portOf, reader, request } = require('../ws8/support');
const { TEXT, frame, ignore, uncaught } = require('../ws8/support');

const TEAPOT = 'HTTP/1.1 418 Teapot\r\n\r\n';

for (const api of apis) {
  const { WebSocket } = api;

  describe(`${api.name}: servers on a port`, () => {
    const { track } = ledger(WebSocket);

    async function listen(options, Server = WebSocket.Server) {
      const wss = new Server({ port: 0, host: '127.0.0.1', ...options });
      track(wss);
      await once(wss, 'listening');
      return wss;
    }

    /** Sends an opening handshake. Resolves to the head of the response. */
    async function shake(wss) {
      const socket = track(net.connect(portOf(wss), '127.0.0.1'));
      socket.on('error', ignore);
      socket.write(request());
      return reader(socket).head();
    }

    it('a store entered for one connection is not that of the next', async function () {
      // Node's HTTP server emits the next 'upgrade' with that store.
      if (process.env.OXWS_LISTENER === 'node') this.skip();
      if (process.env.OXWS_TRANSPORT === 'stream') this.skip();
      const storage = new AsyncLocalStorage();
      const wss = await storage.run('creator', () => listen());
      const stores = [];
      wss.on('connection', () => {
        stores.push(storage.getStore());
        storage.enterWith('entered');
      });
      await shake(wss);
      await shake(wss);
      assert.deepEqual(stores, [undefined, undefined]);
    });

    for (const [what, change] of Object.entries({
      removed: (server) => server.removeAllListeners('upgrade'),
      replaced(server) {
        server.removeAllListeners('upgrade');
        server.on('upgrade', (req, socket) => socket.end(TEAPOT));
      },
    })) {
      it(`an 'upgrade' listener of the HTTP server is ${what}`, async () => {
        const wss = await listen();
        wss.on('connection', () => assert.fail());
        change(wss._server);
        const status = what === 'removed' ? '426' : '418';
        assert.equal((await shake(wss)).slice(9, 12), status);
      });
    }

    it('a method of the prototype is replaced', async () => {
      const { prototype } = WebSocket.Server;
      const { handleUpgrade } = prototype;
      const wss = await listen();
      let calls = 0;
      prototype.handleUpgrade = function (...args) {
        calls++;
        return handleUpgrade.apply(this, args);
      };
      try {
        await shake(wss);
      } finally {
        prototype.handleUpgrade = handleUpgrade;
      }
      assert.equal(calls, 1);
    });

    for (const [how, end] of [
      ['terminate()', (ws) => ws.terminate()],
      ['the destruction of its socket', (ws) => ws._socket.destroy()],
    ]) {
      for (const isPaused of [false, true]) {
        const when = isPaused ? ' of a paused connection' : '';
        // In the API of 2016, a connection that fails drops what waits for resume().
        if (isPaused && api.name !== 'The API of ws 8') continue;

        it(`what was read before is delivered after ${how}${when}`, async () => {
          const wss = await listen();
          for (let i = 0; i < 20; i++) {
            const seen = [];
            const closed = new Promise((resolve) => {
              wss.once('connection', (client) => {
                api.onMessage(client, (data) => seen.push(String(data)));
                client.on('close', (code) => resolve(seen.push(code)));
                if (isPaused) client.pause();
                client.send('answered');
                end(client);
              });
            });
            const socket = track(net.connect(portOf(wss), '127.0.0.1'));
            const wire = reader(socket);
            socket.on('error', ignore);
            socket.on('end', () => socket.end());
            const frames = ['early', 'too'].map((data) => frame(TEXT, data));
            socket.write(Buffer.concat([Buffer.from(request()), ...frames]));
            assert.match(await wire.head(), /^HTTP\/1\.1 101 /);
            await closed;
            assert.deepEqual(seen, ['early', 'too', 1006]);
          }
        });
      }
    }

    if (api.name === 'The API of ws 8') {
      it('the constructor of the class of WebSockets throws', async () => {
        class Failing extends WebSocket {
          constructor(...args) {
            super(...args);
            throw new Error('constructed');
          }
        }
        const wss = await listen({ WebSocket: Failing });
        const errors = await uncaught(async () => {
          assert.equal((await shake(wss)).slice(9, 12), '500');
        });
        assert.deepEqual(errors, ['constructed']);
      });
    }

    it('maxConnections is 0', async () => {
      const wss = await listen();
      wss._server.maxConnections = 0;
      const socket = track(net.connect(portOf(wss), '127.0.0.1'));
      socket.on('error', ignore);
      socket.write(request());
      const opened = once(wss, 'connection').then(() => 'opened');
      const closed = new Promise((resolve) => {
        socket.resume().on('close', () => resolve('closed'));
      });
      const isLimit = Number.parseInt(process.versions.node) >= 21;
      const expected = isLimit ? 'closed' : 'opened';
      assert.equal(await Promise.race([opened, closed]), expected);
    });

    it("closes after a 'headers' listener has destroyed the socket", async () => {
      const wss = await listen();
      const server = wss._server;
      wss.on('headers', (lines, { socket }) => socket.destroy());
      const opened = once(wss, 'connection');
      const socket = track(net.connect(portOf(wss), '127.0.0.1'));
      socket.on('error', ignore);
      socket.write(request());
      await Promise.all([opened, once(socket.resume(), 'close')]);
      assert.equal(await countOf(server), 0);
      await new Promise((resolve) => wss.close(resolve));
    });
  });
}

/** Resolves to the number of connections of an HTTP server. */
function countOf(server) {
  return new Promise((resolve, reject) => {
    server.getConnections((error, count) => {
      if (error) reject(error);
      else resolve(count);
    });
  });
}
