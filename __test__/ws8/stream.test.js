'use strict';

const assert = require('node:assert/strict');
const { randomBytes } = require('crypto');
const { once } = require('events');
const net = require('net');
const { Duplex, PassThrough, Readable, pipeline } = require('stream');

const { BINARY, CLOSE, SIDES, TEXT, WebSocket, close } = require('./support');
const { closePayload, closing, collect, ignore } = require('./support');
const { ledger, listenHttp, nextUncaught, recorded } = require('./support');
const { turn, url } = require('./support');

const { createWebSocketStream } = WebSocket;
const MIB = 1 << 20;

describe('A stream over a WebSocket', () => {
  const { bare, pair, serve, settle, track } = ledger();

  /** Opens a connection with a stream at the client, or at both ends. */
  async function streams(options, serverOptions) {
    const both = await pair();
    return {
      ...both,
      stream: createWebSocketStream(both.client, options),
      other: serverOptions && createWebSocketStream(both.server, serverOptions),
    };
  }

  /** Creates a stream over a client that has not connected yet. */
  async function connecting() {
    const wss = await serve();
    const ws = track(new WebSocket(url(wss)));
    return { ws, wss, stream: createWebSocketStream(ws) };
  }

  /** Resolves to all chunks of a stream. */
  async function contents(stream) {
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    return chunks;
  }

  describe('is made', () => {
    it('as a Duplex', async () => {
      const { stream } = await streams();
      assert.ok(stream instanceof Duplex);
      assert.equal(stream.readableObjectMode, false);
      assert.equal(stream.writableObjectMode, false);
    });

    it('with options of a Duplex', async () => {
      const { stream } = await streams({
        readableHighWaterMark: 10,
        readableObjectMode: true,
        writableHighWaterMark: 20,
        writableObjectMode: true,
        objectMode: true,
      });
      assert.equal(stream.readableHighWaterMark, 10);
      assert.equal(stream.writableHighWaterMark, 20);
      assert.equal(stream.readableObjectMode, true);
      assert.equal(stream.writableObjectMode, false);
    });
  });

  describe('carries', () => {
    it('bytes both ways', async () => {
      const { stream, other } = await streams({}, {});
      const data = randomBytes(3 * MIB);
      other.pipe(other);
      Readable.from([data.subarray(0, MIB), data.subarray(MIB)]).pipe(stream);
      const received = await contents(stream);
      assert.ok(Buffer.concat(received).equals(data));
    });

    it('the data of a pipeline', async () => {
      const { stream, other } = await streams({}, {});
      const data = Array.from({ length: 100 }, (_, i) => Buffer.alloc(i, i));
      const received = contents(other);
      await new Promise((resolve, reject) => {
        const done = (error) => (error ? reject(error) : resolve());
        pipeline(Readable.from(data), new PassThrough(), stream, done);
      });
      other.end();
      assert.ok(Buffer.concat(await received).equals(Buffer.concat(data)));
    });

    for (const [name, options, chunk, isBinary] of [
      ['a Buffer', {}, Buffer.from('text'), true],
      ['a string, as binary data', {}, 'text', true],
      ['a string, as text', { decodeStrings: false }, 'text', false],
    ]) {
      it(name, async () => {
        const { stream, server } = await streams(options);
        const received = once(server, 'message');
        stream.write(chunk);
        const [data, binary] = await received;
        assert.equal(data.toString(), 'text');
        assert.equal(binary, isBinary);
      });
    }

    it('text as bytes', async () => {
      const { stream, server } = await streams();
      server.send('text');
      const [chunk] = await once(stream, 'data');
      assert.deepEqual(chunk, Buffer.from('text'));
    });

    it('text as strings, and each message as one chunk, with readableObjectMode', async () => {
      const { stream, server } = await streams({ readableObjectMode: true });
      server.send('a');
      server.send('b');
      server.send(Buffer.from('c'));
      server.close();
      const received = await contents(stream);
      assert.deepEqual(received, ['a', 'b', Buffer.from('c')]);
    });

    it('text as strings with setEncoding', async () => {
      const { stream, server } = await streams();
      stream.setEncoding('utf8');
      server.send(Buffer.from([0xe2, 0x82]));
      server.send(Buffer.from([0xac]));
      server.close();
      assert.equal((await contents(stream)).join(''), '\u20ac');
    });

    it('what is written before the connection is open', async () => {
      const { stream, wss } = await connecting();
      const received = new Promise((resolve) => {
        wss.on('connection', (ws) => resolve(collect(ws, 'message', 2)));
      });
      stream.write('a');
      stream.write('b');
      assert.deepEqual((await received).map(String), ['a,true', 'b,true']);
    });
  });

  describe('ends', () => {
    it('the connection, without a code', async () => {
      const { stream, server } = await streams();
      const closed = closing(server);
      const received = once(server, 'message');
      stream.end('last');
      assert.equal(String((await received)[0]), 'last');
      assert.deepEqual(await closed, [1005, '']);
    });

    it('with the connection, and is destroyed', async () => {
      const { stream, server } = await streams();
      const events = recorded(stream, 'end', 'finish', 'error', 'close');
      const closed = once(stream, 'close');
      stream.resume();
      stream.on('end', () => stream.end());
      server.close(1000);
      await closed;
      assert.deepEqual(events, ['end', 'finish', 'close']);
      assert.equal(stream.destroyed, true);
    });

    it('after its own end, and is destroyed', async () => {
      const { stream } = await streams();
      const events = recorded(stream, 'end', 'finish', 'error', 'close');
      const closed = once(stream, 'close');
      stream.resume();
      stream.end();
      await closed;
      assert.deepEqual(events, ['finish', 'end', 'close']);
      assert.equal(stream.destroyed, true);
    });

    it('after the received messages', async () => {
      const { stream, server } = await streams();
      for (let i = 0; i < 100; i++) server.send(Buffer.alloc(1000, i));
      server.close();
      const received = Buffer.concat(await contents(stream));
      assert.equal(received.length, 100000);
      assert.equal(received[99999], 99);
    });

    it('without an error if the connection is cut', async () => {
      const { stream, server } = await streams();
      const events = recorded(stream, 'error');
      server.terminate();
      assert.deepEqual(await contents(stream), []);
      assert.deepEqual(events, []);
    });

    it('before the connection is open', async () => {
      const { stream, wss } = await connecting();
      const closed = new Promise((resolve) => {
        wss.on('connection', (ws) => resolve(closing(ws)));
      });
      stream.end();
      assert.deepEqual(await closed, [1005, '']);
    });

    it('after the data that is written before the connection is open', async () => {
      const { stream, wss } = await connecting();
      const events = new Promise((resolve) => {
        wss.on('connection', (ws) => {
          const seen = recorded(ws, 'message', 'close');
          ws.on('close', () => resolve(seen));
        });
      });
      stream.end('last');
      assert.deepEqual(await events, ['message', 'close']);
    });

    it('while CLOSING, when the socket has finished', async () => {
      const { ws, send, wire } = await bare('client');
      const stream = createWebSocketStream(ws);
      ws.close(1000);
      await wire.frame();
      const finished = once(stream, 'finish');
      stream.resume();
      stream.end();
      send(CLOSE, closePayload(1000));
      await finished;
    });
  });

  describe('is destroyed', () => {
    it('and terminates the connection', async () => {
      const { stream, client, server } = await streams();
      const closed = [closing(client), closing(server)];
      const events = recorded(stream, 'error', 'end', 'close');
      const gone = once(stream, 'close');
      stream.destroy();
      assert.equal(client.readyState, WebSocket.CLOSING);
      assert.deepEqual(await Promise.all(closed), [
        [1006, ''],
        [1006, ''],
      ]);
      await gone;
      assert.deepEqual(events, ['close']);
    });

    it('with an error, which it emits', async () => {
      const { stream, client } = await streams();
      const events = recorded(stream, 'error', 'close');
      const failed = once(stream, 'error');
      const gone = collect(stream, 'close', 1);
      const closed = closing(client);
      stream.destroy(new Error('enough'));
      assert.equal((await failed)[0].message, 'enough');
      await gone;
      await closed;
      assert.deepEqual(events, ['error', 'close']);
    });

    it('before the connection is open', async () => {
      const { stream, ws } = await connecting();
      const closed = closing(ws);
      const gone = collect(stream, 'close', 1);
      const failed = once(stream, 'error');
      stream.destroy();
      const message =
        'WebSocket was closed before the connection was established';
      assert.equal((await failed)[0].message, message);
      assert.equal((await closed)[0], 1006);
      await gone;
    });

    it('once the connection is closed', async () => {
      const { stream, client } = await streams();
      const closed = closing(client);
      client.terminate();
      await closed;
      const gone = once(stream, 'close');
      stream.destroy();
      await gone;
    });

    it('by its own error in a pipeline', async () => {
      const { stream, client } = await streams();
      const closed = closing(client);
      const source = new PassThrough();
      const failed = new Promise((resolve) => {
        pipeline(source, stream, resolve);
      });
      source.destroy(new Error('no source'));
      assert.equal((await failed).message, 'no source');
      assert.deepEqual(await closed, [1006, '']);
    });
  });

  describe('fails', () => {
    for (const side of SIDES) {
      it(`with a violation, which the ${side} still answers`, async () => {
        const { ws, send, wire } = await bare(side);
        const stream = createWebSocketStream(ws);
        const events = recorded(stream, 'error', 'end', 'close');
        const failed = once(stream, 'error');
        const gone = collect(stream, 'close', 1);
        send(15);
        const [error] = await failed;
        assert.equal(error.code, 'WS_ERR_INVALID_OPCODE');
        assert.deepEqual((await wire.frame()).payload, closePayload(1002));
        await gone;
        assert.deepEqual(events, ['error', 'close']);
        assert.equal(stream.destroyed, true);
      });
    }

    it('with the handshake', async () => {
      const server = await listenHttp(net.createServer());
      const address = url(server);
      await close(server);
      const stream = createWebSocketStream(track(new WebSocket(address)));
      const gone = collect(stream, 'close', 1);
      stream.end('never');
      const [error] = await once(stream, 'error');
      assert.equal(error.code, 'ECONNREFUSED');
      await gone;
    });

    it('with an uncaught exception without a listener', async () => {
      const { ws, send } = await bare('client');
      createWebSocketStream(ws);
      const thrown = await nextUncaught(() => send(15));
      assert.equal(thrown, 'Invalid WebSocket frame: invalid opcode 15');
    });

    for (const [state, name] of [
      [2, 'CLOSING'],
      [3, 'CLOSED'],
    ]) {
      it(`when it is written to while ${name}`, async () => {
        const { stream, client } = await streams();
        const closed = closing(client);
        client.close();
        if (state === 3) await closed;
        const called = new Promise((resolve) => stream.write('x', resolve));
        const [error] = await once(stream, 'error');
        const message = `WebSocket is not open: readyState ${state} (${name})`;
        assert.equal(error.message, message);
        assert.equal((await called).message, message);
        await turn();
        assert.equal(stream.destroyed, true);
      });
    }
  });

  describe('holds back', () => {
    it('the WebSocket until it is read', async () => {
      const { stream, client, server } = await streams({
        readableHighWaterMark: 1000,
      });
      const received = once(client, 'message');
      server.send(Buffer.alloc(1000));
      await received;
      assert.equal(client.isPaused, true);
      const next = recorded(client, 'message');
      server.send(Buffer.alloc(10));
      await settle();
      assert.deepEqual(next, []);
      const again = once(client, 'message');
      assert.equal(stream.read().length, 1000);
      await again;
      assert.equal(client.isPaused, false);
    });

    it('the writer until the data is sent', async () => {
      const { ws, socket } = await bare('client');
      const stream = createWebSocketStream(ws);
      const chunk = Buffer.alloc(MIB);
      let count = 0;
      socket.pause();
      while (stream.write(chunk) && count < 100) count++;
      assert.ok(count < 100);
      const drained = once(stream, 'drain');
      socket.removeAllListeners('data');
      socket.resume();
      await drained;
    });

    it('nothing while CLOSING', async () => {
      const { ws, sendAll, wire } = await bare('client');
      const stream = createWebSocketStream(ws, { readableHighWaterMark: 4 });
      ws.close();
      await wire.frame();
      const closed = closing(ws);
      sendAll([BINARY, 'first'], [TEXT, 'last'], [CLOSE]);
      assert.equal(Buffer.concat(await contents(stream)).length, 9);
      assert.deepEqual(await closed, [1005, '']);
    });

    it('a lot of data without losing any', async () => {
      const { stream, other } = await streams({}, {});
      const data = randomBytes(4 * MIB);
      stream.end(data);
      const chunks = [];
      other.on('data', (chunk) => {
        chunks.push(chunk);
        other.pause();
        setImmediate(() => other.resume());
      });
      await once(other, 'end');
      other.end();
      assert.ok(Buffer.concat(chunks).equals(data));
    });
  });

  it('does not affect other listeners of the WebSocket', async () => {
    const { stream, client, server } = await streams();
    const seen = recorded(client, 'message');
    stream.on('data', ignore);
    server.send('text');
    await once(client, 'message');
    await turn();
    assert.deepEqual(seen, ['message']);
  });
});
