'use strict';

const assert = require('node:assert/strict');
const { once } = require('events');

const { BINARY, PING, PONG, SIDES, TEXT, WebSocket } = require('./support');
const { CLOSE, closing, collect, each, ignore, ledger } = require('./support');
const { recorded } = require('./support');

const memory = new Uint8Array([116, 101, 120, 116]);

/** Name, data to send, and the text that arrives. */
const DATA = [
  ['nothing', undefined, ''],
  ['null', null, ''],
  ['a string', '\u20ac', '\u20ac'],
  ['a number', 42, '42'],
  ['the number 0', 0, '0'],
  ['a Buffer', Buffer.from('text'), 'text'],
  ['a view', new Uint8Array(memory.buffer, 1, 2), 'ex'],
  ['an ArrayBuffer', memory.buffer, 'text'],
  ['an array of bytes', [79, 75], 'OK'],
  ['a Blob', new Blob(['text']), 'text'],
  ['as much as there may be', 'x'.repeat(125), 'x'.repeat(125)],
];

const TOO_LONG = [
  ['a string', 'x'.repeat(126)],
  ['characters', '\u20ac'.repeat(42)],
  ['a Buffer', Buffer.alloc(126)],
  ['a Blob', new Blob(['x'.repeat(126)])],
];

describe('ping and pong', () => {
  const { bare, pair } = ledger();

  for (const method of ['ping', 'pong']) {
    describe(method, () => {
      it('carries data both ways', async () => {
        const { client, server } = await pair();
        await each(DATA, async (name, data, expected) => {
          for (const [from, to] of [
            [client, server],
            [server, client],
          ]) {
            const received = once(to, method);
            from[method](data);
            const [payload, ...rest] = await received;
            assert.ok(Buffer.isBuffer(payload));
            assert.equal(payload.toString(), expected);
            assert.deepEqual(rest, []);
          }
        });
      });

      it('throws for more than 125 bytes', async () => {
        const { client, server } = await pair();
        await each(TOO_LONG, (name, data) => {
          const message = 'The data size must not be greater than 125 bytes';
          const expected = { name: 'RangeError', message };
          assert.throws(() => client[method](data), expected);
          assert.throws(() => server[method](data, ignore), expected);
          assert.equal(client.readyState, WebSocket.OPEN);
        });
      });

      it('throws for a value that is no data', async () => {
        const { client } = await pair();
        assert.throws(() => client[method]({}), TypeError);
      });

      for (const [name, args, payload] of [
        ['alone', [], ''],
        ['behind the data', ['a'], 'a'],
        ['behind the mask', ['a', undefined], 'a'],
      ]) {
        it(`calls a callback that is passed ${name}`, async () => {
          const { client, server } = await pair();
          const received = once(server, method);
          let isLater = false;
          const error = await new Promise((resolve) => {
            client[method](...args, (result) => {
              assert.ok(isLater);
              resolve(result);
            });
            isLater = true;
          });
          assert.ok(!error);
          assert.equal(String((await received)[0]), payload);
        });
      }

      it('is masked by the client only', async () => {
        for (const [side, masked] of [
          ['client', true],
          ['server', false],
        ]) {
          const { ws, wire } = await bare(side);
          ws[method]('a');
          const sent = await wire.frame();
          assert.equal(sent.masked, masked);
          assert.equal(sent.opcode, method === 'ping' ? PING : PONG);
          assert.equal(sent.text, 'a');
        }
      });

      it('is masked as its argument says', async () => {
        const { ws, wire } = await bare('client');
        ws[method]('a', false);
        ws[method]('b', true);
        const sent = (await wire.frames(2)).map(({ masked }) => masked);
        assert.deepEqual(sent, [false, true]);
      });
    });
  }

  describe('an automatic pong', () => {
    for (const side of SIDES) {
      it(`is sent by the ${side}, with the same data`, async () => {
        const { ws, sendAll, wire } = await bare(side);
        const pings = collect(ws, 'ping', 3);
        sendAll([PING, 'a'], [PING, ''], [PING, 'x'.repeat(125)]);
        const sent = await wire.frames(3);
        assert.deepEqual(
          sent.map(({ opcode, text }) => [opcode, text]),
          ['a', '', 'x'.repeat(125)].map((text) => [PONG, text]),
        );
        assert.equal(sent[0].masked, side === 'client');
        assert.deepEqual((await pings).map(String), ['a', '', 'x'.repeat(125)]);
      });

      it(`is not sent by the ${side} with autoPong: false`, async () => {
        const { ws, send, wire } = await bare(side, { autoPong: false });
        ws.on('ping', (data) => ws.send(data));
        send(PING, 'a');
        assert.equal((await wire.frame()).opcode, BINARY);
      });

      it(`of the ${side} is a call of pong()`, async () => {
        const { ws, send, wire } = await bare(side);
        const calls = [];
        ws.pong = (...args) => calls.push(args);
        ws.on('ping', () => ws.send('seen'));
        send(PING, 'a');
        assert.equal((await wire.frame()).opcode, TEXT);
        assert.equal(calls.length, 1);
        const [data, mask, callback] = calls[0];
        assert.deepEqual(data, Buffer.from('a'));
        assert.equal(mask, side === 'client');
        assert.equal(typeof callback, 'function');
      });
    }

    it("comes before what the listener of 'ping' sends", async () => {
      const { ws, send, wire } = await bare('server');
      ws.on('ping', () => ws.send('behind'));
      send(PING);
      const sent = await wire.frames(2);
      assert.deepEqual(
        sent.map(({ opcode }) => opcode),
        [PONG, TEXT],
      );
    });

    it('may be sent by the method of a subclass', async () => {
      class Own extends WebSocket {
        pong(data, ...args) {
          super.pong(`own ${data}`, ...args);
        }
      }
      const { send, wire } = await bare('server', { WebSocket: Own });
      send(PING, 'data');
      assert.equal((await wire.frame()).text, 'own data');
    });

    it('is not sent once the connection is closing', async () => {
      const { ws, sendAll, wire } = await bare('server');
      const pinged = once(ws, 'ping');
      const pong = ws.pong.bind(ws);
      const calls = [];
      ws.pong = (...args) => {
        calls.push(args);
        pong(...args);
      };
      ws.close();
      sendAll([PING, 'a'], [CLOSE]);
      assert.equal(String((await pinged)[0]), 'a');
      const opcodes = (await wire.rest()).map(({ opcode }) => opcode);
      assert.deepEqual(opcodes, [CLOSE]);
      assert.deepEqual(calls, []);
    });

    it('is not sent for a pong', async () => {
      const { ws, send, wire } = await bare('server');
      ws.on('pong', () => ws.send('seen'));
      send(PONG, 'a');
      assert.equal((await wire.frame()).opcode, TEXT);
    });
  });

  describe('maxPendingAutoPongs', () => {
    for (const [name, options, limit] of [
      ['is 60', {}, 60],
      ['may be set', { maxPendingAutoPongs: 2 }, 2],
    ]) {
      for (const side of SIDES) {
        it(`${name}, at the ${side}`, async () => {
          const { ws, sendAll } = await bare(side, options);
          const calls = [];
          ws.pong = () => calls.push('pong');
          const pings = recorded(ws, 'ping');
          const closed = closing(ws);
          sendAll(...Array(limit).fill([PING]), [TEXT, 'all']);
          await once(ws, 'message');
          assert.equal(ws.readyState, WebSocket.OPEN);
          assert.equal(calls.length, limit);
          sendAll([PING]);
          assert.deepEqual(await closed, [1006, '']);
          assert.equal(calls.length, limit);
          assert.equal(pings.length, limit + 1);
        });
      }
    }

    it('of 0 is no limit', async () => {
      const options = { maxPendingAutoPongs: 0 };
      const { ws, sendAll } = await bare('server', options);
      ws.pong = ignore;
      sendAll(...Array(100).fill([PING]), [TEXT, 'all']);
      await once(ws, 'message');
      assert.equal(ws.readyState, WebSocket.OPEN);
    });

    it('counts only pongs that have not been sent', async () => {
      const options = { maxPendingAutoPongs: 5 };
      const { ws, send, wire } = await bare('server', options);
      for (let i = 0; i < 20; i++) {
        send(PING, `${i}`);
        assert.equal((await wire.frame()).text, `${i}`);
      }
      assert.equal(ws.readyState, WebSocket.OPEN);
    });
  });
});
