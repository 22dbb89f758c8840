'use strict';

const assert = require('node:assert/strict');
const { once } = require('events');

const { CLOSE, PING, SIDES, TEXT, WebSocket } = require('./support');
const { closePayload, closing, collect, ledger } = require('./support');
const { recorded, url } = require('./support');

describe('pause() and resume()', () => {
  const { bare, pair, serve, settle, track } = ledger();

  for (const side of SIDES) {
    describe(`of the ${side}`, () => {
      it('hold received events back, and release them', async () => {
        const { ws, sendAll } = await bare(side);
        const seen = recorded(ws, 'message', 'ping');
        ws.pause();
        assert.equal(ws.isPaused, true);
        sendAll([TEXT, 'a'], [PING]);
        await settle();
        assert.deepEqual(seen, []);
        const last = once(ws, 'ping');
        ws.resume();
        assert.equal(ws.isPaused, false);
        await last;
        assert.deepEqual(seen, ['message', 'ping']);
      });

      it('keep the order', async () => {
        const { ws, send } = await bare(side);
        const received = collect(ws, 'message', 100);
        ws.on('message', () => {
          ws.pause();
          setImmediate(() => ws.resume());
        });
        for (let i = 0; i < 100; i++) send(TEXT, `${i}`);
        const numbers = (await received).map(([data]) => Number(data));
        assert.deepEqual(numbers, [...Array(100).keys()]);
      });

      it('hold the end of the connection back', async () => {
        const { ws, send } = await bare(side);
        const events = recorded(ws, 'close');
        ws.pause();
        send(CLOSE, closePayload(4000));
        await settle();
        assert.deepEqual(events, []);
        assert.equal(ws.readyState, WebSocket.OPEN);
        const closed = closing(ws);
        ws.resume();
        assert.deepEqual(await closed, [4000, '']);
      });

      it('hold back the end that arrived while the program was busy', async () => {
        const { ws, send } = await bare(side);
        const events = recorded(ws, 'close');
        send(CLOSE, closePayload(4000));
        // Long enough for a thread of the engine to read it.
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
        ws.pause();
        await settle();
        assert.deepEqual(events, []);
        const closed = closing(ws);
        ws.resume();
        assert.deepEqual(await closed, [4000, '']);
      });

      it('do not affect sending', async () => {
        const { ws, wire } = await bare(side);
        ws.pause();
        await new Promise((resolve) => ws.send('text', resolve));
        assert.equal((await wire.frame()).text, 'text');
      });

      it('work while CLOSING', async () => {
        const { ws, sendAll, wire } = await bare(side);
        const seen = recorded(ws, 'message');
        ws.close();
        ws.pause();
        assert.equal(ws.isPaused, true);
        await wire.frame();
        sendAll([TEXT, 'late'], [CLOSE]);
        await settle();
        assert.deepEqual(seen, []);
        const closed = closing(ws);
        ws.resume();
        assert.deepEqual(await closed, [1005, '']);
        assert.deepEqual(seen, ['message']);
      });

      it('do not delay terminate()', async () => {
        const { ws } = await bare(side);
        const closed = closing(ws);
        ws.pause();
        ws.terminate();
        assert.deepEqual(await closed, [1006, '']);
      });

      for (const [name, last, code] of [
        ['a close frame', [CLOSE, closePayload(4000)], 4000],
        ['a violation', [15], 1006],
      ]) {
        it(`do not hold ${name} back that was read already`, async () => {
          const { ws, send, sendAll, socket, wire } = await bare(side);
          const closed = closing(ws);
          ws.on('message', () => ws.pause());
          socket.allowHalfOpen = true;
          sendAll([TEXT, 'a'], last);
          assert.equal((await wire.frame()).opcode, CLOSE);
          send(TEXT, 'late');
          socket.end();
          assert.equal((await closed)[0], code);
        });
      }
    });
  }

  it('do nothing while CONNECTING', async () => {
    const wss = await serve();
    wss.on('connection', (ws) => ws.send('text'));
    const ws = track(new WebSocket(url(wss)));
    ws.pause();
    assert.equal(ws.isPaused, false);
    ws.resume();
    assert.equal(ws.isPaused, false);
    await once(ws, 'message');
  });

  it('do nothing once CLOSED', async () => {
    const { client } = await pair();
    const closed = closing(client);
    client.terminate();
    await closed;
    client.pause();
    assert.equal(client.isPaused, false);
    client.resume();
    assert.equal(client.isPaused, false);
  });

  it('may be called twice', async () => {
    const { client, server } = await pair();
    const seen = recorded(server, 'message');
    server.resume();
    server.pause();
    server.pause();
    client.send('text');
    await settle();
    assert.deepEqual(seen, []);
    const received = once(server, 'message');
    server.resume();
    server.resume();
    await received;
  });

  for (const event of ['connection', 'open']) {
    it(`work within the listener of '${event}'`, async () => {
      const wss = await serve();
      const ends = {};
      const seen = [];
      const meet = (name, ws) => {
        ends[name] = ws;
        ws.on('message', (data) => seen.push(String(data)));
        if (name === event) ws.pause();
        else ws.send('text');
      };
      const connected = once(wss, 'connection');
      wss.on('connection', (ws) => meet('connection', ws));
      const client = track(new WebSocket(url(wss)));
      client.on('open', () => meet('open', client));
      await Promise.all([connected, once(client, 'open')]);
      await settle();
      assert.deepEqual(seen, []);
      const received = once(ends[event], 'message');
      ends[event].resume();
      await received;
    });
  }

  it('hold many messages back without losing any', async () => {
    const { client, server } = await pair();
    const size = 1 << 16;
    const received = collect(server, 'message', 256);
    server.pause();
    for (let i = 0; i < 256; i++) client.send(Buffer.alloc(size, i));
    await settle();
    assert.ok(client.bufferedAmount > 0);
    server.resume();
    (await received).forEach(([data], i) => {
      assert.equal(data.length, size);
      assert.equal(data[0], i);
    });
  });
});
