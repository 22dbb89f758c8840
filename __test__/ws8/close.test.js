'use strict';

const assert = require('node:assert/strict');
const { once } = require('events');

const { BINARY, CLOSE, SIDES, TEXT, WebSocket } = require('./support');
const {
  closePayload,
  closing,
  collect,
  each,
  ledger,
  url,
} = require('./support');
const { recorded, turn, uncaught, beyondWs } = require('./support');

const BAD_CODE = 'First argument must be a valid error code number';
const LONG_REASON = 'The message must not be greater than 123 bytes';
const BAD_REASON = 'Second argument must be a string or a Uint8Array';

const CODES = [
  1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000,
  4999,
];

const REASONS = [
  ['undefined', undefined, ''],
  ['nothing', '', ''],
  ['a string', 'gr\u00fc\u00dfe \u{1f44b}', 'gr\u00fc\u00dfe \u{1f44b}'],
  ['a Buffer', Buffer.from('text'), 'text'],
  ['a Uint8Array', new Uint8Array([79, 75]), 'OK'],
  ['as much as there may be', 'x'.repeat(123), 'x'.repeat(123)],
];

/** Invalid arguments of close(), with the name and the message of its error. */
const REFUSED = [
  ...[0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, -1].map((code) => [
    [code],
    'TypeError',
    BAD_CODE,
  ]),
  ...['1000', null, NaN, true, {}, []].map((code) => [
    [code],
    'TypeError',
    BAD_CODE,
  ]),
  [[1000, 'x'.repeat(124)], 'RangeError', LONG_REASON],
  [[1000, '\u20ac'.repeat(42)], 'RangeError', LONG_REASON],
  [[1000, Buffer.alloc(124)], 'RangeError', LONG_REASON],
  [[1000, new Uint16Array(1)], 'TypeError', BAD_REASON],
];

const other = (side) => (side === 'client' ? 'server' : 'client');

describe('The end of a connection', () => {
  const { bare, pair, serve, settle, track } = ledger();

  /** Connects two ends. `closed` resolves to the code and the reason at each end. */
  async function closingPair(...options) {
    const both = await pair(...options);
    const closed = [both.client, both.server].map(closing);
    return { ...both, closed: Promise.all(closed) };
  }

  for (const side of SIDES) {
    describe(`with close() of the ${side}`, () => {
      it('gives both ends the code and the reason, for each valid code', async () => {
        for (const code of CODES) {
          const { [side]: ws, closed } = await closingPair();
          ws.close(code, `${code}`);
          const expected = [code, `${code}`];
          assert.deepEqual(await closed, [expected, expected]);
        }
      });

      it('without a code is 1005', async () => {
        const { [side]: ws, closed } = await closingPair();
        ws.close();
        assert.deepEqual(await closed, [
          [1005, ''],
          [1005, ''],
        ]);
      });

      it('may give a reason', () =>
        each(REASONS, async (name, reason, expected) => {
          const { [side]: ws, closed } = await closingPair();
          ws.close(4000, reason);
          assert.deepEqual(await closed, [
            [4000, expected],
            [4000, expected],
          ]);
        }));

      it('sends a close frame', async () => {
        for (const [args, payload] of [
          [[], Buffer.alloc(0)],
          [[4000], closePayload(4000)],
          [[4000, 'why'], closePayload(4000, 'why')],
        ]) {
          const { ws, wire } = await bare(side);
          ws.close(...args);
          const sent = await wire.frame();
          assert.equal(sent.opcode, CLOSE);
          assert.equal(sent.fin, true);
          assert.equal(sent.masked, side === 'client');
          assert.deepEqual(sent.payload, payload);
        }
      });

      it('twice sends one frame', async () => {
        const { ws, wire, send } = await bare(side);
        ws.close(1001, 'first');
        ws.close(1002, 'second');
        const [first] = await wire.frames(1);
        assert.deepEqual(first.payload, closePayload(1001, 'first'));
        send(CLOSE, first.payload);
        assert.deepEqual(await wire.rest(), []);
      });

      it('lets the messages arrive that were sent before', async () => {
        const { [side]: from, [other(side)]: to, closed } = await closingPair();
        const received = collect(to, 'message', 3);
        const events = recorded(to, 'message', 'close');
        from.send('a'.repeat(100000));
        from.send('b');
        from.send(Buffer.alloc(1 << 20));
        from.close(1000);
        assert.deepEqual(
          (await received).map(([data]) => data.length),
          [100000, 1, 1 << 20],
        );
        await closed;
        assert.deepEqual(events, ['message', 'message', 'message', 'close']);
      });

      it('still receives', async () => {
        const { ws, sendAll, wire } = await bare(side);
        const received = once(ws, 'message');
        ws.close();
        await wire.frame();
        sendAll([TEXT, 'late'], [CLOSE]);
        assert.equal(String((await received)[0]), 'late');
        assert.equal(ws.readyState, WebSocket.CLOSING);
      });

      it('ends the socket once both frames have passed', async () => {
        const { ws, send, socket, wire } = await bare(side);
        const ended = once(socket, 'end');
        const closed = closing(ws);
        ws.close(1000);
        await wire.frame();
        send(CLOSE, closePayload(1000));
        await ended;
        assert.deepEqual(await closed, [1000, '']);
      });

      it('does not end the socket before', async () => {
        const { ws, socket, wire } = await bare(side);
        const events = recorded(socket, 'end', 'close');
        ws.close(1000);
        await wire.frame();
        await settle();
        assert.deepEqual(events, []);
        assert.equal(ws.readyState, WebSocket.CLOSING);
      });
    });

    describe(`with a close frame to the ${side}`, () => {
      it('is answered with the same, and ends the socket', async () => {
        const { ws, send, socket, wire } = await bare(side);
        const closed = closing(ws);
        const ended = once(socket, 'end');
        send(CLOSE, closePayload(4000, 'why'));
        const { opcode, payload } = await wire.frame();
        assert.equal(opcode, CLOSE);
        assert.deepEqual(payload, closePayload(4000, 'why'));
        await ended;
        assert.deepEqual(await closed, [4000, 'why']);
      });

      it('without a code is answered without one', async () => {
        const { ws, send, wire } = await bare(side);
        const closed = closing(ws);
        send(CLOSE);
        assert.equal((await wire.frame()).payload.length, 0);
        assert.deepEqual(await closed, [1005, '']);
      });

      it('ignores the frames that follow', async () => {
        const { ws, sendAll } = await bare(side);
        const closed = closing(ws);
        const events = recorded(ws, 'message', 'ping', 'error', 'close');
        sendAll(
          [CLOSE, closePayload(1000)],
          [TEXT, 'late'],
          [9],
          [CLOSE, closePayload(1001)],
          [15],
        );
        assert.deepEqual(await closed, [1000, '']);
        assert.deepEqual(events, ['close']);
      });

      it('may arrive byte by byte', async () => {
        const { ws, frame, socket } = await bare(side);
        const closed = closing(ws);
        socket.setNoDelay();
        for (const byte of frame(CLOSE, closePayload(1000, 'why'))) {
          socket.write(Buffer.from([byte]));
          await turn();
        }
        assert.deepEqual(await closed, [1000, 'why']);
      });
    });

    describe(`without a close frame to the ${side}`, () => {
      it('is 1006', async () => {
        const { ws, socket } = await bare(side);
        const closed = closing(ws);
        socket.end();
        assert.deepEqual(await closed, [1006, '']);
      });

      it('is 1006, even after close() with a code', async () => {
        const { ws, socket, wire } = await bare(side);
        const closed = closing(ws);
        ws.close(4000, 'why');
        await wire.frame();
        socket.end();
        assert.deepEqual(await closed, [1006, '']);
      });

      it('is 1006 within a frame', async () => {
        const { ws, frame, socket } = await bare(side);
        const closed = closing(ws);
        const events = recorded(ws, 'message', 'error');
        socket.end(frame(TEXT, 'text').subarray(0, -1));
        assert.deepEqual(await closed, [1006, '']);
        assert.deepEqual(events, []);
      });

      it('comes after the messages received before', async () => {
        const { ws, frame, socket } = await bare(side);
        const closed = closing(ws);
        const events = recorded(ws, 'message', 'close');
        socket.end(Buffer.concat([frame(TEXT, 'a'), frame(TEXT, 'b')]));
        await closed;
        assert.deepEqual(events, ['message', 'message', 'close']);
      });

      it('ends the socket as well', async () => {
        const { ws, socket } = await bare(side);
        const closed = closing(ws);
        const ended = once(socket, 'end');
        socket.end();
        await ended;
        assert.equal((await closed)[0], 1006);
      });

      it("is no 'error' when the peer resets", async () => {
        const { ws, socket } = await bare(side);
        const events = recorded(ws, 'error', 'close');
        const closed = once(ws, 'close');
        socket.resetAndDestroy();
        assert.equal((await closed)[0], 1006);
        assert.deepEqual(events, ['close']);
      });
    });

    describe(`with terminate() of the ${side}`, () => {
      it('is 1006 at both ends', async () => {
        const { [side]: ws, closed } = await closingPair();
        ws.terminate();
        assert.equal(ws.readyState, WebSocket.CLOSING);
        assert.deepEqual(await closed, [
          [1006, ''],
          [1006, ''],
        ]);
        assert.equal(ws.readyState, WebSocket.CLOSED);
      });

      it('sends nothing more', async () => {
        const { ws, wire } = await bare(side);
        ws.terminate();
        assert.deepEqual(await wire.rest(), []);
      });

      it('may be called again', async () => {
        const { [side]: ws, closed } = await closingPair();
        const events = recorded(ws, 'close', 'error');
        ws.terminate();
        ws.terminate();
        await closed;
        ws.terminate();
        ws.close();
        ws.close(1);
        await turn();
        assert.deepEqual(events, ['close']);
        assert.equal(ws.readyState, WebSocket.CLOSED);
      });

      it('may be called while it is closing', async () => {
        const { ws, wire } = await bare(side);
        const closed = closing(ws);
        ws.close();
        await wire.frame();
        ws.terminate();
        assert.deepEqual(await closed, [1006, '']);
      });

      it('still emits messages that were read already', async () => {
        const { ws, sendAll } = await bare(side);
        const closed = closing(ws);
        const seen = [];
        ws.on('message', (data) => {
          seen.push(String(data));
          ws.terminate();
        });
        sendAll([TEXT, 'a'], [TEXT, 'b'], [BINARY, 'c']);
        await closed;
        assert.deepEqual(seen, ['a', 'b', 'c']);
      });
    });
  }

  describe('with close() of both ends at once', () => {
    it('gives each end the code and the reason of the other', async () => {
      const { client, server, closed } = await closingPair();
      client.close(4001, 'client');
      server.close(4002, 'server');
      assert.deepEqual(await closed, [
        [4002, 'server'],
        [4001, 'client'],
      ]);
    });
  });

  describe('with bad arguments of close()', () => {
    it('throws, and the connection stays open', async () => {
      for (const side of SIDES) {
        const { [side]: ws, [other(side)]: to } = await pair();
        for (const [args, name, message] of REFUSED) {
          assert.throws(() => ws.close(...args), { name, message });
          assert.equal(ws.readyState, WebSocket.OPEN);
        }
        const received = once(to, 'message');
        ws.send('still here');
        assert.equal(String((await received)[0]), 'still here');
        const closed = closing(to);
        ws.close(1000);
        assert.deepEqual(await closed, [1000, '']);
      }
    });
  });

  describe('closeTimeout', () => {
    for (const side of SIDES) {
      it(`ends the wait of the ${side} for a close frame`, async () => {
        const { ws, socket } = await bare(side, { closeTimeout: 20 });
        const left = once(socket, 'close');
        const closed = closing(ws);
        ws.close(1000);
        assert.deepEqual(await closed, [1006, '']);
        await left;
      });

      it(`ends the wait of the ${side} for the end`, async () => {
        const { ws, send, socket, wire } = await bare(side, {
          closeTimeout: 20,
        });
        const closed = closing(ws);
        socket.allowHalfOpen = true;
        ws.close(1000);
        await wire.frame();
        send(CLOSE, closePayload(1000, 'done'));
        assert.deepEqual(await closed, [1000, 'done']);
        assert.equal(socket.writable, true);
      });

      it(`ends the wait of the ${side} after an error`, async () => {
        const { ws, send, socket } = await bare(side, { closeTimeout: 20 });
        const closed = closing(ws);
        socket.allowHalfOpen = true;
        send(15);
        assert.deepEqual(await closed, [1006, '']);
      });
    }

    it('leaves no timer after the connection', async () => {
      const timers = () =>
        process.getActiveResourcesInfo().filter((each) => each === 'Timeout');
      const { client, closed } = await closingPair();
      const before = timers().length;
      client.close();
      await closed;
      assert.ok(timers().length <= before);
    });
  });

  describe("'close'", () => {
    it('comes once, last, and with a Buffer', async () => {
      const { client, server } = await pair();
      const names = ['message', 'ping', 'pong', 'error', 'close'];
      const events = recorded(server, ...names);
      const closed = once(server, 'close');
      client.ping();
      client.send('text');
      client.close(1000, 'why');
      const [code, reason] = await closed;
      assert.equal(code, 1000);
      assert.ok(Buffer.isBuffer(reason));
      assert.equal(reason.toString(), 'why');
      await settle();
      assert.deepEqual(events, ['ping', 'message', 'close']);
    });

    it('comes when the socket is destroyed, and the state is CLOSED', async () => {
      const { client, server } = await pair();
      const seen = [client, server].map(
        (ws) =>
          new Promise((resolve) => {
            ws.on('close', () =>
              resolve([ws.readyState, ws._socket.destroyed]),
            );
          }),
      );
      client.close();
      assert.deepEqual(await Promise.all(seen), [
        [WebSocket.CLOSED, true],
        [WebSocket.CLOSED, true],
      ]);
    });

    it('comes though its listener is added in the last message', async () => {
      const { client, server } = await pair();
      const closed = new Promise((resolve) => {
        server.once('message', () => server.on('close', resolve));
      });
      client.send('last');
      client.close(4000);
      assert.equal(await closed, 4000);
    });
  });

  describe('within a listener', () => {
    for (const [method, code] of [
      ['close', 1005],
      ['terminate', 1006],
    ]) {
      for (const side of SIDES) {
        it(`for the new connection, with ${method}() of the ${side}`, async () => {
          const wss = await serve();
          const closed = [];
          const meet = (ws, isFirst) => {
            closed.push(closing(ws));
            if (isFirst) ws[method]();
          };
          const connected = once(wss, 'connection');
          wss.on('connection', (ws) => meet(ws, side === 'server'));
          const client = track(new WebSocket(url(wss)));
          client.on('open', () => meet(client, side === 'client'));
          await Promise.all([connected, once(client, 'open')]);
          assert.deepEqual(await Promise.all(closed), [
            [code, ''],
            [code, ''],
          ]);
        });
      }
    }
  });

  beyondWs('what a listener throws', () => {
    it("for 'close' does not keep the server from forgetting it", async () => {
      const { client, server, wss } = await pair();
      const errors = await uncaught(async () => {
        const closed = new Promise((resolve) => {
          server.prependListener('close', () => {
            resolve();
            throw new Error('thrown');
          });
        });
        client.terminate();
        await closed;
        await turn();
      });
      assert.deepEqual(errors, ['thrown']);
      assert.equal(wss.clients.size, 0);
    });
  });
});
