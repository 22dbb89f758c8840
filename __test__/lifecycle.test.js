'use strict';

const assert = require('node:assert/strict');
const { once } = require('events');
const http = require('http');
const net = require('net');

const WebSocket = require('..');
const { closeHttp, closing, collect, frame, ledger } = require('./support');
const { listen, listenHttp, pair: connect, url } = require('./support');

const PLAIN = { perMessageDeflate: false };
const STATES = ['CONNECTING', 'OPEN', 'CLOSING', 'CLOSED'];
const BAD_CODE = 'first argument must be a valid error code number';
const BAD_REASON = 'The message must not be greater than 123 bytes';

describe('Lifecycle', () => {
  const { bareClient, bareServer, join, pair, track } = ledger();

  /** Creates a client that has not connected yet, and its server. */
  async function connecting(options = PLAIN) {
    const wss = track(await listen(options));
    return { wss, client: track(new WebSocket(url(wss))) };
  }

  /** Resolves to the address of a port on which nobody listens. */
  async function freePort() {
    const listener = await listenHttp(net.createServer());
    const address = url(listener);
    await closeHttp(listener);
    return address;
  }

  /** Resolves when data that is in flight to this process has arrived. */
  async function settle(wss) {
    const { client } = await join(wss);
    for (let i = 0; i < 5; i++) {
      const answered = once(client, 'pong');
      client.ping(`${i}`);
      await answered;
    }
    client.terminate();
    await closing(client);
  }

  describe('readyState', () => {
    STATES.forEach((name, value) => {
      it(`${name} is ${value} on the class, where it is enumerable`, () => {
        assert.equal(WebSocket[name], value);
        assert.ok(Object.keys(WebSocket).includes(name));
      });

      it(`${name} is ${value} on an instance`, async () => {
        const { client } = await connecting();
        assert.equal(client[name], value);
      });
    });

    it('goes through all states in order', async () => {
      const { client } = await connecting();
      const states = [client.readyState];
      await once(client, 'open');
      states.push(client.readyState);
      client.close();
      states.push(client.readyState);
      await closing(client);
      states.push(client.readyState);
      assert.deepEqual(states, [0, 1, 2, 3]);
    });

    it("is OPEN on the server during 'connection'", async () => {
      const { wss } = await connecting();
      const [server] = await once(wss, 'connection');
      assert.equal(server.readyState, WebSocket.OPEN);
    });

    it('is CLOSED within the close event of both ends', async () => {
      const { client, server } = await pair(PLAIN);
      const states = [client, server].map(
        (ws) =>
          new Promise((done) => ws.on('close', () => done(ws.readyState))),
      );
      client.close();
      assert.deepEqual(await Promise.all(states), [3, 3]);
    });
  });

  describe('close', () => {
    for (const [code, reason] of [
      [1000, ''],
      [1000, 'done'],
      [1001, 'gr\u00fc\u00dfe \u{1f44b}'],
      [1002, 'x'],
      [1003, 'x'],
      [1007, 'x'],
      [1008, 'x'],
      [1009, 'x'],
      [1010, 'x'],
      [1011, 'x'],
      [1012, 'x'],
      [1013, 'x'],
      [3000, 'x'],
      [4999, 'r'.repeat(123)],
    ]) {
      it(`of the client with ${code} reaches both ends`, async () => {
        const { client, server } = await pair(PLAIN);
        const closed = [closing(client), closing(server)];
        client.close(code, reason);
        assert.deepEqual(await Promise.all(closed), [
          [code, reason],
          [code, reason],
        ]);
      });
    }

    it('of the server reaches both ends', async () => {
      const { client, server } = await pair(PLAIN);
      const closed = [closing(client), closing(server)];
      server.close(4001, 'full');
      assert.deepEqual(await Promise.all(closed), [
        [4001, 'full'],
        [4001, 'full'],
      ]);
    });

    it('of both ends at once ends both', async () => {
      const { client, server } = await pair(PLAIN);
      const closed = [closing(client), closing(server)];
      client.close(1000);
      server.close(1000);
      assert.deepEqual(
        (await Promise.all(closed)).map(([code]) => code),
        [1000, 1000],
      );
    });

    for (const [name, end] of [
      ['client', 'client'],
      ['server', 'server'],
    ]) {
      it(`of the ${name} without a code gives 1000 at both ends`, async () => {
        const both = await pair(PLAIN);
        const closed = [closing(both.client), closing(both.server)];
        both[end].close();
        assert.deepEqual(await Promise.all(closed), [
          [1000, ''],
          [1000, ''],
        ]);
      });
    }

    it('writes code and reason into one frame', async () => {
      const { client, wire } = await bareServer(PLAIN);
      client.close(4000, 'why');
      const sent = await wire.frame();
      assert.equal(sent.opcode, 8);
      assert.equal(sent.fin, true);
      assert.equal(sent.masked, true);
      assert.equal(sent.payload.readUInt16BE(0), 4000);
      assert.equal(sent.payload.toString('utf8', 2), 'why');
    });

    it('lets the messages sent before it arrive', async () => {
      const { client, server } = await pair();
      const received = collect(server, 'message', 3);
      const closed = closing(server);
      client.send('a'.repeat(5000));
      client.send('b'.repeat(5000));
      client.send('c'.repeat(5000));
      client.close(1000);
      assert.deepEqual(
        (await received).map(([data]) => data[0]),
        ['a', 'b', 'c'],
      );
      assert.equal((await closed)[0], 1000);
    });

    it('has no effect the second time', async () => {
      const { client, server } = await pair(PLAIN);
      const closed = closing(server);
      client.close(1001, 'first');
      client.close(1002, 'second');
      assert.deepEqual(await closed, [1001, 'first']);
    });

    it('while connecting prevents the opening', async () => {
      const { client, wss } = await connecting();
      const seen = [];
      client.on('open', () => seen.push('open'));
      client.on('message', () => seen.push('message'));
      wss.on('connection', (server) => server.send('welcome'));
      const closed = closing(client);
      client.close();
      assert.notEqual(client.readyState, WebSocket.OPEN);
      await closed;
      await settle(wss);
      assert.deepEqual(seen, []);
      assert.equal(client.readyState, WebSocket.CLOSED);
    });

    it('is answered by the other end with the same code', async () => {
      const { socket, wire } = await bareClient(track(await listen(PLAIN)));
      socket.write(frame(8, [0x0f, 0xa2, 0x6f, 0x6b]));
      const answer = await wire.frame();
      assert.equal(answer.opcode, 8);
      assert.deepEqual(answer.payload, Buffer.from([0x0f, 0xa2, 0x6f, 0x6b]));
    });

    it('without a code on the wire gives 1000', async () => {
      const wss = track(await listen(PLAIN));
      const { server, socket } = await bareClient(wss);
      const closed = closing(server);
      socket.write(frame(8));
      assert.deepEqual(await closed, [1000, '']);
    });

    const invalid = [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65536];

    for (const code of [...invalid, -1, NaN, '1000', null, {}]) {
      const name = typeof code === 'string' ? `'${code}'` : String(code);

      it(`with ${name} as code is an error`, async () => {
        const { client } = await pair(PLAIN);
        const failed = once(client, 'error');
        client.close(code, 'reason');
        assert.equal((await failed)[0].message, BAD_CODE);
      });
    }

    it('with an invalid code leaves the connection open', async () => {
      const { client, server } = await pair(PLAIN);
      client.on('error', () => {});
      client.close(1005);
      assert.equal(client.readyState, WebSocket.OPEN);
      const received = once(server, 'message');
      client.send('still open');
      assert.equal((await received)[0], 'still open');
    });

    it('may be called again after an invalid code', async () => {
      const { client, server } = await pair(PLAIN);
      client.on('error', () => {});
      const closed = closing(server);
      client.close(1005);
      client.close(1000, 'now');
      assert.deepEqual(await closed, [1000, 'now']);
    });

    for (const [name, reason] of [
      ['124 bytes', 'r'.repeat(124)],
      ['42 characters of 3 bytes', '\u20ac'.repeat(42)],
    ]) {
      it(`with a reason of ${name} is an error`, async () => {
        const { client, server } = await pair(PLAIN);
        server.on('error', () => {});
        const failed = once(client, 'error');
        client.close(1000, reason);
        assert.equal((await failed)[0].message, BAD_REASON);
        assert.equal(client.readyState, WebSocket.OPEN);
      });
    }
  });

  describe('terminate', () => {
    it('closes both ends with 1006', async () => {
      const { client, server } = await pair(PLAIN);
      const closed = [closing(client), closing(server)];
      client.terminate();
      assert.deepEqual(await Promise.all(closed), [
        [1006, ''],
        [1006, ''],
      ]);
    });

    it('of the server closes both ends with 1006', async () => {
      const { client, server } = await pair(PLAIN);
      const closed = [closing(client), closing(server)];
      server.terminate();
      assert.deepEqual(await Promise.all(closed), [
        [1006, ''],
        [1006, ''],
      ]);
    });

    it('while connecting closes with 1006 and never opens', async () => {
      const { client, wss } = await connecting();
      const seen = [];
      client.on('error', () => {});
      client.on('open', () => seen.push('open'));
      client.on('close', (code) => seen.push(`close ${code}`));
      client.terminate();
      await settle(wss);
      assert.deepEqual(seen, ['close 1006']);
      assert.equal(client.readyState, WebSocket.CLOSED);
    });

    it('while closing ends a connection whose peer is silent', async () => {
      const { client, socket, wire } = await bareServer(PLAIN);
      const closed = closing(client);
      client.close(1000);
      assert.equal((await wire.frame()).opcode, 8);
      client.terminate();
      socket.end();
      assert.equal((await closed)[0], 1006);
    });

    it('after the close does nothing', async () => {
      const { client, wss } = await pair(PLAIN);
      let closes = 0;
      client.close();
      await closing(client);
      client.on('close', () => {
        closes += 1;
      });
      client.terminate();
      await settle(wss);
      assert.equal(closes, 0);
      assert.equal(client.readyState, WebSocket.CLOSED);
    });
  });

  describe('the close event', () => {
    for (const [name, end] of [
      ['is destroyed', (socket) => socket.destroy()],
      ['is ended', (socket) => socket.end()],
      ['is reset', (socket) => socket.resetAndDestroy()],
      ['ends within a frame', (socket) => socket.end(Buffer.from([0x81, 9]))],
    ]) {
      it(`of a client gives 1006 when the peer's socket ${name}`, async () => {
        const { client, socket } = await bareServer(PLAIN);
        client.on('error', () => {});
        const closed = closing(client);
        end(socket);
        assert.deepEqual(await closed, [1006, '']);
      });

      it(`of a server gives 1006 when the peer's socket ${name}`, async () => {
        const wss = track(await listen(PLAIN));
        const { server, socket } = await bareClient(wss);
        server.on('error', () => {});
        const closed = closing(server);
        end(socket);
        assert.deepEqual(await closed, [1006, '']);
      });
    }

    it('gives 1006 when ws._socket is destroyed', async () => {
      const { client, server } = await pair(PLAIN);
      const closed = [closing(client), closing(server)];
      client._socket.destroy();
      assert.deepEqual(await Promise.all(closed), [
        [1006, ''],
        [1006, ''],
      ]);
    });

    it('is the last event, and is emitted once', async () => {
      const { client, server, wss } = await pair(PLAIN);
      const seen = [];
      const emit = server.emit;
      server.emit = function (event, ...args) {
        seen.push(event);
        return emit.call(this, event, ...args);
      };
      server.on('message', () => {});
      const closed = closing(server);
      client.send('first');
      client.ping('second');
      client.send('third');
      client.close(1000);
      await closed;
      server.terminate();
      server.close();
      await settle(wss);
      assert.deepEqual(
        seen.filter((event) => !event.endsWith('Listener')),
        ['message', 'ping', 'message', 'close'],
      );
    });

    it('is not followed by frames after the close frame', async () => {
      const wss = track(await listen(PLAIN));
      const { server, socket } = await bareClient(wss);
      const seen = [];
      server.on('message', (data) => seen.push(data));
      server.on('ping', (data) => seen.push(data));
      const closed = closing(server);
      socket.write(
        Buffer.concat([frame(1, 'before'), frame(8), frame(1, 'after')]),
      );
      await closed;
      await settle(wss);
      assert.deepEqual(seen, ['before']);
    });
  });

  describe('after the close', () => {
    for (const [name, call] of [
      ['close', (ws) => ws.close()],
      ['close with an invalid code', (ws) => ws.close(1)],
      ['terminate', (ws) => ws.terminate()],
      ['ping told not to fail', (ws) => ws.ping('', {}, true)],
      ['pong told not to fail', (ws) => ws.pong('', {}, true)],
      ['send with a callback', (ws) => ws.send('data', () => {})],
      ['adding a listener', (ws) => ws.addEventListener('open', () => {})],
      ['setting a listener', (ws) => Object.assign(ws, { onclose() {} })],
      [
        'setting binaryType',
        (ws) => Object.assign(ws, { binaryType: 'arraybuffer' }),
      ],
    ]) {
      it(`${name} is safe`, async () => {
        const { client, server, wss } = await pair(PLAIN);
        const closed = [closing(client), closing(server)];
        client.close();
        await Promise.all(closed);
        call(client);
        call(server);
        await settle(wss);
        assert.equal(client.readyState, WebSocket.CLOSED);
        assert.equal(server.readyState, WebSocket.CLOSED);
      });
    }

    it('the properties can still be read', async () => {
      const { client, server } = await pair(PLAIN);
      const closed = closing(server);
      const received = once(server, 'message');
      client.send('hello');
      await received;
      client.close();
      await closed;
      assert.equal(server.bufferedAmount, 0);
      assert.ok(server.bytesReceived >= 11);
      assert.equal(server.protocolVersion, 13);
      assert.equal(server.upgradeReq.url, '/');
    });

    it('an error event has no effect', async () => {
      const { client } = await pair(PLAIN);
      client.close();
      await closing(client);
      assert.doesNotThrow(() => client.emit('error', new Error('late')));
    });
  });

  describe('pause and resume', () => {
    it('deliver nothing while paused', async () => {
      const { client, server, wss } = await pair(PLAIN);
      const seen = [];
      server.on('message', (data) => seen.push(data));
      server.pause();
      await new Promise((resolve) => client.send('data', resolve));
      await settle(wss);
      assert.deepEqual(seen, []);
      server.resume();
      await once(server, 'message');
      assert.deepEqual(seen, ['data']);
    });

    it('deliver everything in order after resume', async () => {
      const { client, server, wss } = await pair();
      server.pause();
      for (let i = 0; i < 100; i++) {
        client.send(i % 10 ? `${i}` : `${i} ${'x'.repeat(2000)}`);
      }
      await settle(wss);
      const received = collect(server, 'message', 100);
      server.resume();
      assert.deepEqual(
        (await received).map(([data]) => parseInt(data, 10)),
        Array.from({ length: 100 }, (_, i) => i),
      );
    });

    it('may be called repeatedly', async () => {
      const { client, server } = await pair(PLAIN);
      server.pause();
      server.pause();
      server.resume();
      server.resume();
      const received = once(server, 'message');
      client.send('data');
      assert.equal((await received)[0], 'data');
    });

    it('do not affect sending', async () => {
      const { client, server } = await pair(PLAIN);
      client.pause();
      const received = once(server, 'message');
      client.send('out');
      assert.equal((await received)[0], 'out');
      client.resume();
    });

    for (const method of ['pause', 'resume']) {
      it(`${method} throws while connecting`, async () => {
        const { client } = await connecting();
        assert.throws(() => client[method](), { message: 'not opened' });
      });

      it(`${method} throws while closing`, async () => {
        const { client } = await pair(PLAIN);
        client.close();
        assert.throws(() => client[method](), { message: 'not opened' });
      });

      it(`${method} throws after the close`, async () => {
        const { client } = await pair(PLAIN);
        client.close();
        await closing(client);
        assert.throws(() => client[method](), { message: 'not opened' });
      });
    }
  });

  describe('a failed opening', () => {
    it('that is refused is an error', async () => {
      const client = new WebSocket(await freePort());
      const [error] = await once(client, 'error');
      assert.equal(error.code, 'ECONNREFUSED');
    });

    it('that is refused closes with 1006 after the error', async () => {
      const client = new WebSocket(await freePort());
      const seen = [];
      client.on('error', () => seen.push('error'));
      const closed = closing(client);
      client.on('close', () => seen.push('close'));
      assert.equal((await closed)[0], 1006);
      assert.deepEqual(seen, ['error', 'close']);
    });

    it('that is answered with another status is an error', async () => {
      const server = http.createServer((req, res) => {
        res.statusCode = 401;
        res.end();
      });
      const client = new WebSocket(url(track(await listenHttp(server))));
      const closed = closing(client);
      const [error] = await once(client, 'error');
      assert.equal(error.message, 'unexpected server response (401)');
      await closed;
      assert.equal(client.readyState, WebSocket.CLOSED);
    });

    it('gives request and response to unexpected-response', async () => {
      const server = http.createServer((req, res) => {
        res.writeHead(302, { Location: 'ws://elsewhere.invalid/' });
        res.end('moved');
      });
      const client = new WebSocket(url(track(await listenHttp(server))));
      let errors = 0;
      client.on('error', () => {
        errors += 1;
      });
      const [req, res] = await once(client, 'unexpected-response');
      assert.ok(req instanceof http.ClientRequest);
      assert.equal(res.statusCode, 302);
      assert.equal(res.headers.location, 'ws://elsewhere.invalid/');
      const chunks = [];
      for await (const chunk of res) chunks.push(chunk);
      assert.equal(Buffer.concat(chunks).toString(), 'moved');
      assert.equal(errors, 0);
    });

    it('with a wrong accept key is an error', async () => {
      const server = http.createServer();
      server.on('upgrade', (req, socket) => {
        socket.end(
          'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n' +
            'Connection: Upgrade\r\nSec-WebSocket-Accept: wrong\r\n\r\n',
        );
      });
      const client = new WebSocket(url(track(await listenHttp(server))));
      const [error] = await once(client, 'error');
      assert.equal(error.message, 'invalid server key');
    });
  });

  describe('the properties', () => {
    it('upgradeReq is the request on the server', async () => {
      const wss = track(await listen(PLAIN));
      const connected = once(wss, 'connection');
      track(
        new WebSocket(url(wss, '/path?query'), { headers: { 'X-Own': 'yes' } }),
      );
      const [server] = await connected;
      assert.ok(server.upgradeReq instanceof http.IncomingMessage);
      assert.equal(server.upgradeReq.url, '/path?query');
      assert.equal(server.upgradeReq.headers['x-own'], 'yes');
    });

    it('upgradeReq can be assigned', async () => {
      const { server } = await pair(PLAIN);
      const own = { url: '/own' };
      server.upgradeReq = own;
      assert.equal(server.upgradeReq, own);
    });

    it('upgradeReq is undefined on the client', async () => {
      const { client } = await pair(PLAIN);
      assert.equal(client.upgradeReq, undefined);
    });

    for (const protocolVersion of [8, 13]) {
      it(`protocolVersion is ${protocolVersion} at both ends`, async () => {
        const { client, server } = await pair(PLAIN, { protocolVersion });
        assert.equal(client.protocolVersion, protocolVersion);
        assert.equal(server.protocolVersion, protocolVersion);
      });
    }

    it('protocol is the one agreed on at both ends', async () => {
      const wss = track(await listen(PLAIN));
      const { client, server } = await connect(wss, { protocol: 'b,a' });
      track(client);
      assert.equal(client.protocol, 'b');
      assert.equal(server.protocol, 'b');
    });

    it('protocol is empty when none was asked for', async () => {
      const { client, server } = await pair(PLAIN);
      assert.ok(!client.protocol);
      assert.ok(!server.protocol);
    });

    it('url is the address of a client', async () => {
      const wss = track(await listen(PLAIN));
      const client = track(new WebSocket(url(wss, '/a?b=c')));
      assert.equal(client.url, url(wss, '/a?b=c'));
    });

    it('url is undefined on the server', async () => {
      const { server } = await pair(PLAIN);
      assert.equal(server.url, undefined);
    });

    it('extensions names permessage-deflate at both ends', async () => {
      const { client, server } = await pair();
      assert.deepEqual(Object.keys(client.extensions), ['permessage-deflate']);
      assert.deepEqual(Object.keys(server.extensions), ['permessage-deflate']);
    });

    it('extensions is empty when none was agreed on', async () => {
      const { client, server } = await pair(PLAIN);
      assert.deepEqual(Object.keys(client.extensions), []);
      assert.deepEqual(Object.keys(server.extensions), []);
    });

    it('_socket is the socket of the connection', async () => {
      const { client, server } = await pair(PLAIN);
      assert.equal(client._socket.localPort, server._socket.remotePort);
      assert.equal(server._socket.remoteAddress, '127.0.0.1');
    });
  });
});
