'use strict';

// Pauses, ends and failures at inconvenient moments.

const assert = require('node:assert/strict');
const { once } = require('events');
const net = require('net');

const WebSocket = require('..');
const Receiver = require('../lib/ws2016/Receiver');
const {
  bombOf,
  closing,
  frame,
  ledger,
  listen,
  pair,
  programs,
  request,
  url,
  turn,
} = require('./support');

const text = (data) => {
  const payload = Buffer.from(data);
  return Buffer.concat([Buffer.from([0x81, payload.length]), payload]);
};

describe('Robustness', () => {
  const { bareClient, track } = ledger();
  const { run } = programs();
  let wss;

  beforeEach(async () => {
    wss = track(await listen({ perMessageDeflate: false }));
  });

  /** Connects a raw socket. Resolves to it and its WebSocket at the server. */
  async function bare() {
    const connected = once(wss, 'connection');
    const socket = track(net.connect(wss._server.address().port, '127.0.0.1'));
    socket.on('error', () => {});
    socket.write(request());
    const [server] = await connected;
    await once(socket, 'data');
    return { server, socket };
  }

  describe('pause', () => {
    it('in a listener loses no message that arrived with the end', async () => {
      const { server, socket } = await bare();
      const seen = [];
      server.on('message', (data) => {
        seen.push(data);
        server.pause();
        setImmediate(() => {
          if (server.readyState === WebSocket.OPEN) server.resume();
        });
      });
      const frames = Array.from({ length: 50 }, (_, i) => text(`${i}`));
      socket.end(Buffer.concat(frames));
      await once(server, 'close');
      assert.deepEqual(
        seen,
        frames.map((_, i) => `${i}`),
      );
    });

    it('in a listener makes the sender wait', async () => {
      const { client, server } = await pair(wss);
      const total = 64;
      let count = 0;
      await new Promise((resolve, reject) => {
        const goOn = () => {
          // The rest is more than the system buffers between the two.
          if (count === 10 && client.bufferedAmount < 32 << 20) {
            reject(new Error('the sender did not wait'));
          }
          if (count === total) resolve();
          else server.resume();
        };
        server.on('message', () => {
          server.pause();
          count++;
          setImmediate(() => setImmediate(goOn));
        });
        for (let i = 0; i < total; i++) client.send(Buffer.alloc(1 << 20));
      });
      const closed = once(server, 'close');
      server.resume();
      client.terminate();
      await closed;
    });

    it('survives a listener that throws after resume', async () => {
      const { client, server } = await pair(wss);
      const seen = [];
      const errors = [];
      const listeners = process.listeners('uncaughtException');
      process.removeAllListeners('uncaughtException');
      process.on('uncaughtException', (error) => errors.push(error.message));
      try {
        await new Promise((resolve) => {
          server.on('message', (data) => {
            seen.push(data);
            if (data === '0') {
              server.pause();
              setImmediate(() => {
                if (server.readyState === WebSocket.OPEN) server.resume();
              });
            }
            if (data === '2') throw new Error('of the listener');
            if (data === '4') resolve();
          });
          for (let i = 0; i < 4; i++) client.send(`${i}`);
          setImmediate(() => setImmediate(() => client.send('4')));
        });
      } finally {
        process.removeAllListeners('uncaughtException');
        for (const each of listeners) process.on('uncaughtException', each);
      }
      assert.deepEqual(seen, ['0', '1', '2', '3', '4']);
      assert.deepEqual(errors, ['of the listener']);
    });
  });

  describe('close', () => {
    it('ends in time even if the peer reads nothing', async () => {
      const { server, socket } = await bare();
      socket.pause();
      server.send(Buffer.alloc(32 << 20));

      server.close();
      const closed = once(server, 'close');
      const { _onTimeout: expire, _timerArgs: args } = server._closeTimer;
      expire(...args);
      assert.equal((await closed)[0], 1006);
      assert.equal(wss.clients.size, 0);
    });

    it('by the peer lets messages arrive that are being sent', async () => {
      const compressing = track(await listen({ perMessageDeflate: true }));
      const { client, server } = await pair(compressing);
      const seen = [];
      client.on('message', (data) => seen.push(data.length));
      const closed = once(client, 'close');
      client.close(1001);
      server.send('a'.repeat(5 << 20));
      server.send('x');
      server.close(1000);
      await closed;
      assert.deepEqual(seen, [5 << 20, 1]);
    });
  });

  describe('the end', () => {
    /** The payload of a close frame with the code 1000. */
    const NORMAL = Buffer.from([0x03, 0xe8]);

    it('is reported after a close frame that waited', async () => {
      const { server, socket } = await bare();
      const seen = [];
      server.on('message', (data) => {
        seen.push(data);
        if (seen.length > 1) return;
        server.pause();
        setImmediate(() => setImmediate(() => server.resume()));
      });
      const closed = closing(server);
      socket.end(Buffer.concat([text('a'), text('b'), frame(8, NORMAL)]));
      assert.equal((await closed)[0], 1000);
      assert.deepEqual(seen, ['a', 'b']);
      assert.equal(wss.clients.size, 0);
    });

    for (const end of ['close', 'terminate']) {
      it(`is reported after ${end}() during a pause, even behind other data`, async () => {
        const { server, socket } = await bare();
        server.pause();
        server[end]();
        const closed = closing(server);
        socket.write(frame(2, Buffer.alloc(900000)));
        socket.write(frame(8, NORMAL));
        socket.on('end', () => socket.end());
        socket.resume();
        assert.equal((await closed)[0], 1000);
      });
    }

    it('that waits for resume does not hide a failure', async () => {
      const { server, socket } = await bare();
      server.once('message', () => server.pause());
      const paused = once(server, 'message');
      socket.end(Buffer.concat([text('a'), text('b')]));
      await paused;
      for (let i = 0; i < 20; i++) await turn();
      const closed = closing(server);
      socket.resetAndDestroy();
      // If reading does not find the failure, writing does.
      const errors = [];
      while (server.readyState === WebSocket.OPEN) {
        server.send('x', (error) => errors.push(error));
        await turn();
      }
      assert.equal((await closed)[0], 1006);
    });

    it('of sending sends earlier messages, and fails later ones', async () => {
      const { server, socket } = await bare();
      const calls = [];
      const call = (name) => (error) => calls.push([name, error === null]);
      let received = 0;
      socket.on('data', (chunk) => (received += chunk.length));
      server.send(Buffer.alloc(2500000), { fin: false });
      server.send(Buffer.alloc(800000), call('before'));
      server._socket.end();
      server.send(Buffer.alloc(300000), call('behind'));
      server.send('x', call('behind'));
      const closed = closing(server);
      await once(socket, 'end');
      socket.end();
      await closed;
      while (calls.length < 3) await turn();
      assert.ok(received >= 3300000, `${received}`);
      assert.deepEqual(calls.sort(), [
        ['before', true],
        ['behind', false],
        ['behind', false],
      ]);
    });

    it('fails messages that are being compressed, callbacks in order', async () => {
      const compressing = track(await listen({ perMessageDeflate: true }));
      const { server } = await bareClient(compressing, {
        'Sec-WebSocket-Extensions': 'permessage-deflate',
      });
      const calls = [];
      const names = ['long', 'longer', 'short'];
      for (const name of names) {
        server.send(name.repeat(500000), (error) => calls.push([name, !error]));
      }
      const closed = closing(server);
      server.terminate();
      await closed;
      while (calls.length < names.length) await turn();
      assert.deepEqual(
        calls.map(([name]) => name),
        names,
      );
      // With the host `thread`, the engine may have sent some before.
      const sent = calls.map(([, isSent]) => isSent);
      assert.deepEqual(sent, [...sent].sort().reverse());
    });

    it('calls the callbacks of messages sent in the same tick', async () => {
      const { server } = await bare();
      let calls = 0;
      server.send('x', () => calls++);
      server.send('y', () => calls++);
      server._socket.destroy();
      while (calls < 2) await turn();
    });

    for (const [name, change] of Object.entries({
      'a reset': (server, socket) => socket.resetAndDestroy(),
      'its destruction': (server) => server._socket.destroy(),
      'other limits': (server, socket) => {
        server._receiver.maxPayload = 1e8;
        assert.equal(server._receiver.maxPayload, 1e8);
        server.resume();
        socket.resetAndDestroy();
      },
    })) {
      it(`may come while a message is being decompressed: ${name}`, async () => {
        const compressing = track(
          await listen({ perMessageDeflate: true, maxPayload: 0 }),
        );
        const { server, socket } = await bareClient(compressing, {
          'Sec-WebSocket-Extensions': 'permessage-deflate',
        });
        socket.on('error', () => {});
        const bomb = frame(2, bombOf(60), { rsv: 4 });
        socket.write(bomb);
        while (server._socket.bytesRead < bomb.length) await turn();
        server.pause();
        const closed = closing(server);
        change(server, socket);
        assert.equal((await closed)[0], 1006);
        assert.equal(compressing.clients.size, 0);
      });
    }
  });

  it('lets a process end whose socket is unref before it is adopted', async () => {
    assert.deepEqual(await run('unref', [url(wss)]), { open: true });
  });

  describe('stream', () => {
    it('throws at once for invalid data that is sent after it', async () => {
      const { client, server } = await pair(wss);
      const seen = [];
      server.on('message', (data) => seen.push(data));
      const sent = new Promise((resolve) => {
        let fragments = 0;
        client.stream((error, send) => {
          if (fragments++ > 0) {
            send('b', true);
            return;
          }
          send('a');
          assert.throws(() => client.send({}), TypeError);
          client.send('after', resolve);
        });
      });
      await sent;
      client.close();
      await once(server, 'close');
      assert.deepEqual(seen, ['ab', 'after']);
    });
  });

  describe('handshakeTimeout', () => {
    it('ends the handshake even if the server responds bit by bit', async () => {
      const server = track(
        net.createServer((socket) => {
          track(socket);
          socket.on('error', () => {});
          socket.write('HTTP/1.1 101 Switching Protocols\r\n');
          const timer = setInterval(() => socket.write('X-A: b\r\n'), 5);
          socket.on('close', () => clearInterval(timer));
        }),
      );
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const ws = new WebSocket(url(server), { handshakeTimeout: 50 });
      const [error] = await once(ws, 'error');
      assert.match(error.message, /timed out/);
    });
  });

  describe('options', () => {
    for (const perMessageDeflate of [
      { serverMaxWindowBits: 99 },
      { clientMaxWindowBits: 7 },
      { level: 42 },
      { memLevel: 0 },
    ]) {
      it(`${JSON.stringify(perMessageDeflate)} throws`, () => {
        assert.throws(
          () => new WebSocket.Server({ noServer: true, perMessageDeflate }),
          /perMessageDeflate\.\w+ must be an integer/,
        );
        assert.throws(
          () => new WebSocket('ws://127.0.0.1:1', { perMessageDeflate }),
          /perMessageDeflate\.\w+ must be an integer/,
        );
      });
    }

    it('that are null have their defaults', async () => {
      const server = track(
        await listen({
          maxFragments: null,
          maxPayload: null,
          perMessageDeflate: { threshold: '1', memLevel: null },
        }),
      );
      const { client, server: accepted } = await pair(server);
      accepted.on('message', (data) => accepted.send(data));
      client.send('hello');
      assert.equal((await once(client, 'message'))[0], 'hello');
    });
  });

  it('reports once that decoding has failed, and reads no more', () => {
    const receiver = new Receiver();
    const seen = [];
    receiver.onerror = (error, code) => {
      seen.push(error instanceof Error, code);
      receiver.add(text('from within'));
    };
    receiver._reader._decoder.close();
    // Too long to be decoded without the native side.
    receiver.add(text('x'.repeat(126)));
    receiver.add(text('and behind it'));
    assert.deepEqual(seen, [true, 1011]);
    assert.ok(receiver.dead);
    assert.equal(receiver._reader.unread, 0);
  });

  it('accepts a request target in absolute form', () => {
    const server = new WebSocket.Server({ noServer: true, path: '/a' });
    for (const path of ['/a', '/a?b', 'http://h/a', 'http://h:1/a?b#c']) {
      assert.equal(server.shouldHandle({ url: path }), true);
    }
    assert.equal(server.shouldHandle({ url: 'http://h/b' }), false);
  });
});
