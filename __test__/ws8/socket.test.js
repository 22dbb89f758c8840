'use strict';

// The properties that ws does not document, but that programs use: the socket, the
// receiver and the sender.

const assert = require('node:assert/strict');
const { once } = require('events');
const net = require('net');

const { BINARY, CLOSE, PING, PONG, SIDES, TEXT } = require('./support');
const { WebSocket, closePayload, closing, frame } = require('./support');
const { ignore, ledger, portOf, recorded, turn, url } = require('./support');

const { Sender } = WebSocket;

describe('The socket of a WebSocket', () => {
  const { bare, pair, serve, track } = ledger();

  it('is a net.Socket with the addresses of both ends', async () => {
    const { client, server, req, wss } = await pair();
    assert.ok(client._socket instanceof net.Socket);
    assert.equal(server._socket, req.socket);
    assert.equal(server._socket.remoteAddress, '127.0.0.1');
    assert.equal(server._socket.remoteFamily, 'IPv4');
    assert.equal(server._socket.remotePort, client._socket.localPort);
    assert.equal(server._socket.localAddress, '127.0.0.1');
    assert.equal(server._socket.localPort, portOf(wss));
    assert.deepEqual(server._socket.address(), {
      address: '127.0.0.1',
      family: 'IPv4',
      port: portOf(wss),
    });
  });

  it('is null before the connection is open', async () => {
    const wss = await serve();
    const ws = track(new WebSocket(url(wss)));
    assert.equal(ws._socket, null);
    assert.equal(ws._receiver, null);
    assert.equal(ws._sender, null);
    await once(ws, 'open');
  });

  for (const side of SIDES) {
    describe(`of the ${side}`, () => {
      it('has methods that return the socket', async () => {
        const { [side]: ws } = await pair();
        const socket = ws._socket;
        for (const [name, ...args] of [
          ['setNoDelay', true],
          ['setKeepAlive', true, 1000],
          ['setTimeout', 0],
          ['unref'],
          ['ref'],
        ]) {
          assert.equal(socket[name](...args), socket);
        }
      });

      it('counts what it reads', async () => {
        const { ws, key, send } = await bare(side);
        const { bytesRead } = ws._socket;
        const data = 'x'.repeat(1000);
        send(TEXT, data);
        await once(ws, 'message');
        const { length } = frame(TEXT, data, { key });
        assert.equal(ws._socket.bytesRead - bytesRead, length);
      });

      it('counts what it writes', async () => {
        const { ws } = await bare(side);
        const { bytesWritten } = ws._socket;
        const data = 'x'.repeat(1000);
        await new Promise((resolve) => ws.send(data, resolve));
        const key = side === 'client' ? Buffer.alloc(4) : null;
        const { length } = frame(TEXT, data, { key });
        assert.equal(ws._socket.bytesWritten - bytesWritten, length);
      });

      it('has a timeout', async () => {
        const { ws } = await bare(side);
        await new Promise((resolve) => {
          ws._socket.setTimeout(20, resolve);
        });
        assert.equal(ws.readyState, WebSocket.OPEN);
        ws._socket.setTimeout(0);
      });

      it('reports whether it is paused', async () => {
        const { ws } = await bare(side);
        const events = recorded(ws._socket, 'pause', 'resume');
        assert.equal(ws._socket.isPaused(), false);
        assert.equal(ws._socket.readableFlowing, true);
        ws.pause();
        assert.equal(ws._socket.isPaused(), true);
        assert.equal(ws._socket.readableFlowing, false);
        ws.resume();
        assert.equal(ws._socket.isPaused(), false);
        assert.equal(ws._socket.readableFlowing, true);
        await turn();
        assert.deepEqual(events, ['pause', 'resume']);
      });

      it('reports that it has ended', async () => {
        const { ws, send, wire } = await bare(side);
        const socket = ws._socket;
        const names = ['end', 'finish', 'close', 'error'];
        const events = recorded(socket, ...names);
        assert.equal(socket.writableEnded, false);
        assert.equal(socket.writableFinished, false);
        assert.equal(socket.destroyed, false);
        const closed = closing(ws);
        ws.close(1000);
        await wire.frame();
        send(CLOSE, closePayload(1000));
        await closed;
        await turn();
        assert.equal(socket.writableEnded, true);
        assert.equal(socket.writableFinished, true);
        assert.equal(socket.destroyed, true);
        assert.deepEqual([...events].sort(), ['close', 'end', 'finish']);
        assert.equal(events[2], 'close');
      });

      it('ends the connection with end()', async () => {
        const { ws, wire } = await bare(side);
        const closed = closing(ws);
        ws.send('last');
        ws._socket.end();
        const texts = (await wire.rest()).map(({ text }) => text);
        assert.deepEqual(texts, ['last']);
        assert.deepEqual(await closed, [1006, '']);
      });

      it('ends the connection with destroy()', async () => {
        const { ws, socket } = await bare(side);
        const events = recorded(ws, 'error', 'close');
        const closed = once(ws, 'close');
        const left = once(socket, 'close');
        ws._socket.destroy();
        assert.equal(ws._socket.destroyed, true);
        assert.equal((await closed)[0], 1006);
        await left;
        assert.deepEqual(events, ['close']);
      });

      it("does not emit its errors as 'error' of the WebSocket", async () => {
        const { ws } = await bare(side);
        const events = recorded(ws, 'error', 'close');
        const failed = once(ws._socket, 'error');
        const closed = once(ws, 'close');
        ws._socket.destroy(new Error('failed'));
        assert.equal((await failed)[0].message, 'failed');
        assert.equal((await closed)[0], 1006);
        assert.deepEqual(events, ['close']);
      });

      it('throws no error without a listener', async () => {
        const { ws } = await bare(side);
        const closed = closing(ws);
        ws._socket.destroy(new Error('failed'));
        await closed;
        ws._socket.emit('error', new Error('failed again'));
      });

      it('writes bytes in order with frames', async () => {
        const { ws, wire } = await bare(side);
        const key = side === 'client' ? Buffer.from([1, 2, 3, 4]) : null;
        const raw = frame(TEXT, 'b', { key });
        ws.send('a');
        ws._socket.write(raw);
        ws.send('c');
        await new Promise((resolve) => ws._socket.write(raw, resolve));
        const texts = (await wire.frames(4)).map(({ text }) => text);
        assert.deepEqual(texts, ['a', 'b', 'c', 'b']);
      });

      it("emits 'data' to a listener that is added in the first tick", async () => {
        const chunks = [];
        const prepare = (ws) => {
          ws._socket.on('data', (chunk) => chunks.push(chunk));
        };
        const { ws, socket } = await bare(side, {}, { prepare });
        const received = once(ws, 'ping');
        // With a key of zeros, since ws unmasks in the memory of the chunk.
        const key = side === 'server' ? Buffer.alloc(4) : null;
        const frames = [TEXT, PING].map((each) => frame(each, 'x', { key }));
        const bytes = Buffer.concat(frames);
        socket.write(bytes);
        await received;
        assert.deepEqual(Buffer.concat(chunks), bytes);
      });

      it('accepts bytes by push() in the first tick', async () => {
        const received = {};
        const prepare = (ws) => {
          const key = side === 'client' ? null : undefined;
          received.data = once(ws, 'message');
          ws._socket.push(frame(TEXT, 'pushed', { key }));
        };
        const { ws, send } = await bare(side, {}, { prepare });
        assert.equal(String((await received.data)[0]), 'pushed');
        const next = once(ws, 'message');
        send(TEXT, 'sent');
        assert.equal(String((await next)[0]), 'sent');
      });
    });
  }
});

describe('The receiver of a WebSocket', () => {
  const { bare } = ledger();

  for (const side of SIDES) {
    describe(`at the ${side}`, () => {
      it('has a limit that may be changed', async () => {
        const { ws, send } = await bare(side);
        assert.equal(ws._receiver._maxPayload, 104857600);
        ws._receiver._maxPayload = 10;
        const received = once(ws, 'message');
        send(TEXT, 'x'.repeat(10));
        await received;
        const failed = once(ws, 'error');
        send(TEXT, 'x'.repeat(11));
        const [{ code }] = await failed;
        assert.equal(code, 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH');
      });

      it('accepts invalid UTF-8 after _skipUTF8Validation is set', async () => {
        // The setting comes before what arrives after it, also on another thread.
        for (let i = 0; i < 20; i++) {
          const { ws, send } = await bare(side);
          await turn();
          ws._receiver._skipUTF8Validation = true;
          send(TEXT, [0xff]);
          const [data] = await once(ws, 'message');
          assert.deepEqual(data, Buffer.from([0xff]));
        }
      });

      it('has the binary type', async () => {
        const { ws } = await bare(side);
        assert.equal(ws._receiver._binaryType, 'nodebuffer');
        ws.binaryType = 'fragments';
        assert.equal(ws._receiver._binaryType, 'fragments');
      });

      it("answers no ping after its listener for 'ping' is removed", async () => {
        const { ws, sendAll, wire } = await bare(side);
        const pings = recorded(ws, 'ping');
        ws._receiver.removeAllListeners('ping');
        ws.on('message', () => ws.send('seen'));
        sendAll([PING, 'a'], [TEXT, 'text']);
        assert.equal((await wire.frame()).opcode, TEXT);
        assert.deepEqual(pings, []);
      });

      it('emits the same events as the WebSocket', async () => {
        const { ws, sendAll } = await bare(side);
        const seen = [];
        for (const event of ['message', 'ping', 'pong', 'conclude']) {
          ws._receiver.on(event, (...args) => {
            seen.push([event, ...args.map(String)]);
          });
        }
        const closed = closing(ws);
        sendAll(
          [TEXT, 'text'],
          [BINARY, 'bytes'],
          [PING, 'a'],
          [PONG, 'b'],
          [CLOSE, closePayload(1000, 'why')],
        );
        await closed;
        assert.deepEqual(seen, [
          ['message', 'text', 'false'],
          ['message', 'bytes', 'true'],
          ['ping', 'a'],
          ['pong', 'b'],
          ['conclude', '1000', 'why'],
        ]);
      });
    });
  }
});

describe('The sender of a WebSocket', () => {
  const { bare, pair } = ledger();

  for (const side of SIDES) {
    it(`sends frames of the program, at the ${side}`, async () => {
      const { ws, wire } = await bare(side);
      const list = () =>
        Sender.frame(Buffer.from('framed'), {
          fin: true,
          mask: side === 'client',
          opcode: TEXT,
          readOnly: false,
          rsv1: false,
        });
      ws.send('before');
      ws._sender.sendFrame(list());
      const sent = new Promise((resolve) => {
        ws._sender.sendFrame(list(), resolve);
      });
      ws.send('behind');
      assert.deepEqual(
        (await wire.frames(4)).map(({ text }) => text),
        ['before', 'framed', 'framed', 'behind'],
      );
      assert.ok(!(await sent));
    });
  }

  it('sends one list to many connections', async () => {
    const list = Sender.frame(Buffer.from('x'.repeat(100000)), {
      fin: true,
      mask: false,
      opcode: TEXT,
      readOnly: true,
      rsv1: false,
    });
    const peers = await Promise.all([1, 2, 3].map(() => bare('server')));
    for (const { ws } of peers) ws._sender.sendFrame(list);
    for (const { wire } of peers) {
      assert.equal((await wire.frame()).text.length, 100000);
    }
  });

  it('calls back with an error once the connection is gone', async () => {
    const { client, server } = await pair();
    const closed = closing(server);
    client.terminate();
    await closed;
    const list = [Buffer.from([0x81, 0])];
    const error = await new Promise((resolve) => {
      server._sender.sendFrame(list, resolve);
    });
    assert.ok(error instanceof Error);
  });

  it('sends pings and pongs', async () => {
    const { ws, wire } = await bare('server');
    ws._sender.ping('a', false);
    ws._sender.pong(Buffer.from('b'), false, ignore);
    const frames = await wire.frames(2);
    assert.deepEqual(
      frames.map(({ opcode, text }) => [opcode, text]),
      [
        [PING, 'a'],
        [PONG, 'b'],
      ],
    );
  });
});
