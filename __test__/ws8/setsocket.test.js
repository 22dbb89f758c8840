'use strict';

const assert = require('node:assert/strict');
const { once } = require('events');
const http = require('http');
const { Duplex } = require('stream');

const { CLOSE, HANDSHAKE, PING, PONG, TEXT, WebSocket } = require('./support');
const { closePayload, closing, frame, ledger } = require('./support');
const { portOf, reader, recorded } = require('./support');

const NOTHING = Buffer.alloc(0);

/** Returns two streams, each of which reads what is written to the other. */
function duplexPair() {
  const make = (other) =>
    new Duplex({
      read() {},
      write(chunk, encoding, callback) {
        other().push(chunk);
        callback();
      },
      final(callback) {
        other().push(null);
        callback();
      },
    });
  const first = make(() => second);
  const second = make(() => first);
  return [first, second];
}

describe('setSocket()', () => {
  const { serve, track } = ledger();

  /** Creates a WebSocket for a program that has done the handshake itself. */
  function made(isServer, options = {}) {
    const ws = track(new WebSocket(null, undefined, options));
    ws._isServer = isServer;
    return ws;
  }

  /** Creates a WebSocket on a stream, and the other end of the stream. */
  function over(isServer, options, head = NOTHING) {
    const [stream, peer] = duplexPair();
    track(peer);
    const ws = made(isServer, options);
    ws.setSocket(stream, head, { maxPayload: 0, ...options });
    const key = isServer ? undefined : null;
    return {
      ws,
      stream,
      peer,
      wire: reader(peer),
      send: (opcode, data) => peer.write(frame(opcode, data, { key })),
    };
  }

  it('opens the WebSocket synchronously', () => {
    const [stream] = duplexPair();
    const ws = made(true);
    assert.equal(ws.readyState, WebSocket.CONNECTING);
    const events = recorded(ws, 'open');
    ws.setSocket(stream, NOTHING, {});
    assert.deepEqual(events, ['open']);
    assert.equal(ws.readyState, WebSocket.OPEN);
    assert.equal(ws._socket, stream);
  });

  for (const isServer of [true, false]) {
    describe(`as a ${isServer ? 'server' : 'client'}`, () => {
      it('sends frames', async () => {
        const { ws, wire } = over(isServer);
        const sent = new Promise((resolve) => ws.send('text', resolve));
        const { masked, text } = await wire.frame();
        assert.equal(masked, !isServer);
        assert.equal(text, 'text');
        assert.ok(!(await sent));
      });

      it('receives frames', async () => {
        const { ws, send } = over(isServer);
        const received = once(ws, 'message');
        send(TEXT, 'text');
        assert.equal(String((await received)[0]), 'text');
      });

      it('reads the head first', async () => {
        const key = isServer ? undefined : null;
        const head = frame(TEXT, 'head', { key });
        const { ws } = over(isServer, {}, head);
        assert.equal(String((await once(ws, 'message'))[0]), 'head');
      });

      it('closes with a handshake', async () => {
        const { ws, send, wire, stream } = over(isServer);
        const closed = closing(ws);
        ws.close(1000, 'why');
        const { opcode, payload } = await wire.frame();
        assert.equal(opcode, CLOSE);
        send(CLOSE, payload);
        assert.deepEqual(await closed, [1000, 'why']);
        assert.equal(stream.destroyed, true);
      });

      it('is closed by its peer', async () => {
        const { ws, send, wire } = over(isServer);
        const closed = closing(ws);
        send(CLOSE, closePayload(4000));
        assert.deepEqual((await wire.frame()).payload, closePayload(4000));
        assert.deepEqual(await closed, [4000, '']);
      });

      it('terminates by destroying the stream', async () => {
        const { ws, stream } = over(isServer);
        const closed = closing(ws);
        ws.terminate();
        assert.equal(stream.destroyed, true);
        assert.deepEqual(await closed, [1006, '']);
      });

      it('ends with its stream', async () => {
        const { ws, stream } = over(isServer);
        const closed = closing(ws);
        const events = recorded(ws, 'error');
        stream.destroy(new Error('failed'));
        assert.deepEqual(await closed, [1006, '']);
        assert.deepEqual(events, []);
      });

      it('pauses', async () => {
        const { ws, send } = over(isServer);
        const seen = recorded(ws, 'message');
        ws.pause();
        send(TEXT, 'text');
        await new Promise((resolve) => setImmediate(resolve));
        assert.deepEqual(seen, []);
        const received = once(ws, 'message');
        ws.resume();
        await received;
      });
    });
  }

  it('connects two ends', async () => {
    const [one, two] = duplexPair();
    const server = made(true);
    const client = made(false);
    server.setSocket(one, NOTHING, {});
    client.setSocket(two, NOTHING, {});
    server.on('message', (data, binary) => server.send(data, { binary }));
    const received = once(client, 'message');
    const closed = [closing(client), closing(server)];
    client.send('text');
    assert.equal(String((await received)[0]), 'text');
    client.close(1000);
    assert.deepEqual(await Promise.all(closed), [
      [1000, ''],
      [1000, ''],
    ]);
  });

  it('has no limits by default', async () => {
    const { ws, send } = over(true);
    const received = once(ws, 'message');
    send(TEXT, 'x'.repeat(1 << 20));
    assert.equal((await received)[0].length, 1 << 20);
    assert.equal(ws._receiver._maxPayload, 0);
    assert.equal(ws._receiver._maxFragments, 0);
  });

  it('uses the limits that are passed', async () => {
    const { ws, send } = over(true, { maxPayload: 10 });
    const failed = once(ws, 'error');
    send(TEXT, 'x'.repeat(11));
    assert.equal((await failed)[0].code, 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH');
  });

  it('answers pings with the option autoPong of the constructor', async () => {
    const { send, wire } = over(true, { autoPong: true });
    send(PING, 'a');
    assert.equal((await wire.frame()).opcode, PONG);
  });

  it('does not answer them otherwise', async () => {
    const { ws, send, wire } = over(true);
    ws.on('ping', () => ws.send('seen'));
    send(PING, 'a');
    assert.equal((await wire.frame()).opcode, TEXT);
  });

  it('turns off the timeout and the delay of the socket', () => {
    const [stream] = duplexPair();
    const calls = [];
    stream.setTimeout = (...args) => calls.push(['setTimeout', ...args]);
    stream.setNoDelay = (...args) => calls.push(['setNoDelay', ...args]);
    made(true).setSocket(stream, NOTHING, {});
    assert.deepEqual(calls, [['setTimeout', 0], ['setNoDelay']]);
  });

  it('accepts the socket of a handshake that the program has done', async () => {
    const wss = await serve();
    wss.on('connection', (ws) => ws.on('message', (data) => ws.send(data)));
    const req = http.request({
      agent: false,
      headers: HANDSHAKE,
      host: '127.0.0.1',
      port: portOf(wss),
    });
    req.end();
    const [, socket, head] = await once(req, 'upgrade');
    const ws = made(false);
    ws.setSocket(socket, head, {});
    ws.send('text');
    assert.equal(String((await once(ws, 'message'))[0]), 'text');
  });
});

describe('handleUpgrade()', () => {
  it('accepts any stream, and a plain object as the request', async () => {
    const wss = new WebSocket.Server({ noServer: true });
    const [stream, peer] = duplexPair();
    const wire = reader(peer);
    const headers = {};
    for (const [name, value] of Object.entries(HANDSHAKE)) {
      headers[name.toLowerCase()] = value;
    }
    const req = { headers, method: 'GET', url: '/' };
    const [ws, given] = await new Promise((resolve) => {
      wss.handleUpgrade(req, stream, NOTHING, (...args) => resolve(args));
    });
    assert.equal(given, req);
    assert.match(await wire.head(), /^HTTP\/1\.1 101 Switching Protocols\r\n/);
    const received = once(ws, 'message');
    peer.write(frame(TEXT, 'text'));
    assert.equal(String((await received)[0]), 'text');
    const closed = closing(ws);
    ws.terminate();
    await closed;
    assert.equal(wss.clients.size, 0);
  });
});
