'use strict';

// The option `memoryBudget` of permessage-deflate: connections whose contexts were freed.

const assert = require('node:assert/strict');
const { once } = require('events');
const { promisify } = require('util');
const zlib = require('zlib');

const apis = require('./apis');
const { each, ledger } = require('../ws8/support');

const CONNECTIONS = 24;
const MESSAGES = 20;
const WORDS = Array.from({ length: 200 }, (_, i) => `${(i * i) % 997} word `);
const TAIL = Buffer.from([0x00, 0x00, 0xff, 0xff]);

/** Budgets that have room for no context, for few, and for all. */
const BUDGETS = [0, 1 << 20, undefined];

/** Returns random numbers from 0 to `end - 1`, the same in each run. */
function random(seed) {
  let state = seed;
  return (end) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % end;
  };
}

/** Returns text that is like other such text. */
function text(below) {
  const count = below(20) === 0 ? below(4000) : below(100);
  return Array.from({ length: count }, () => WORDS[below(200)]).join('');
}

for (const api of apis) {
  const { beyondWs, onMessage, PerMessageDeflate, WebSocket } = api;

  describe(`${api.name}: a budget of memory for contexts`, () => {
    const { join, serve } = ledger(WebSocket);

    for (const memoryBudget of BUDGETS) {
      it(`of ${memoryBudget} bytes changes no message`, async () => {
        const below = random(1);
        const options = {
          perMessageDeflate: { memoryBudget, threshold: 0 },
        };
        const wss = await serve(options);
        wss.on('connection', (ws) => {
          onMessage(ws, (data, binary) => ws.send(data, { binary }));
        });
        const clients = [];
        while (clients.length < CONNECTIONS) {
          const { client } = await join(wss, options);
          clients.push({ client, sent: [], received: [] });
        }
        const done = clients.map(
          ({ client, received }) =>
            new Promise((resolve) => {
              onMessage(client, (data) => {
                if (received.push(data.toString()) === MESSAGES) resolve();
              });
            }),
        );
        let waiting = clients;
        while (waiting.length > 0) {
          const { client, sent } = waiting[below(waiting.length)];
          const message = text(below);
          const at = below(message.length + 1);
          if (below(3) === 0) {
            client.send(message.slice(0, at), { fin: false });
            client.send(message.slice(at), { fin: true });
          } else {
            client.send(message);
          }
          if (sent.push(message) === MESSAGES) {
            waiting = waiting.filter((each) => each.client !== client);
          }
          // Some messages arrive one by one, some together.
          if (below(4) === 0) await new Promise(setImmediate);
        }
        await Promise.all(done);
        for (const { sent, received } of clients) {
          assert.deepEqual(received, sent);
        }
      });
    }
  });

  beyondWs(`${api.name}: memoryBudget`, () => {
    const { pair } = ledger(WebSocket);

    it('must be an integer from 0 on', () =>
      each(
        [[-1], [1.5], [NaN], [Infinity], [2 ** 53]],
        async (memoryBudget) => {
          const perMessageDeflate = { memoryBudget };
          const error = {
            message: `perMessageDeflate.memoryBudget must be an integer from 0 to 9007199254740991: ${memoryBudget}`,
          };
          const options = { perMessageDeflate, port: 0 };
          assert.throws(() => new WebSocket.Server(options), error);
          const connect = () =>
            new WebSocket('ws://127.0.0.1:1', [], { perMessageDeflate });
          assert.throws(connect, error);
        },
      ));

    it('decides how many connections remember what they sent', async () => {
      const sizes = async (memoryBudget) => {
        const deflaters = Array.from({ length: 8 }, () => {
          const deflate = new PerMessageDeflate({ memoryBudget });
          deflate.accept([{}]);
          return promisify(deflate.compress).bind(deflate);
        });
        const lengths = [];
        const message = Buffer.from(WORDS.join(''));
        for (let round = 0; round < 2; round++) {
          for (const compress of deflaters) {
            const data = await compress(message, true);
            lengths.push(data.length);
            if (round === 0 || memoryBudget === 0) {
              const whole = Buffer.concat([data, TAIL]);
              const finishFlush = zlib.constants.Z_SYNC_FLUSH;
              const read = zlib.inflateRawSync(whole, { finishFlush });
              assert.ok(read.equals(message));
            }
          }
        }
        return lengths;
      };
      const [all, none] = [await sizes(64 << 20), await sizes(0)];
      const [first] = all;
      assert.deepEqual(none, new Array(16).fill(first));
      assert.deepEqual(all.slice(0, 8), new Array(8).fill(first));
      for (const next of all.slice(8)) assert.ok(next < first / 4, next);
    });

    it('is for clients, too', async () => {
      const options = { perMessageDeflate: { memoryBudget: 0, threshold: 0 } };
      const { client, server } = await pair(options, options);
      const received = once(server, 'message');
      client.send('hello');
      assert.equal(String((await received)[0]), 'hello');
    });
  });
}
