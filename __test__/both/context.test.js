'use strict';

// A connection whose listeners call `AsyncLocalStorage#enterWith`.

const assert = require('node:assert/strict');
const { AsyncLocalStorage } = require('async_hooks');

const apis = require('./apis');
const {
  PING,
  PONG,
  TEXT,
  ignore,
  ledger,
  uncaught,
} = require('../ws8/support');

/** Resolves when a message arrives, even if a listener throws. */
const next = (ws) =>
  new Promise((resolve) => ws.prependOnceListener('message', () => resolve()));

for (const api of apis) {
  api.beyondWs(
    `${api.name}: a store that a listener enters is not that of another connection`,
    () => {
      const { bare, settle } = ledger(api.WebSocket);

      const names = ['a', 'b', 'c'];

      /** Connections of raw peers, and a storage that no connection has a store of. */
      async function connect() {
        const storage = new AsyncLocalStorage();
        const ends = [];
        for (const name of names) {
          ends.push({
            ...(await bare('server', { perMessageDeflate: false })),
            name,
          });
        }
        return { storage, ends };
      }

      /** Has each peer send a message, in turn and then all together. */
      async function sendAll(ends) {
        for (const { send, ws } of ends) {
          const received = next(ws);
          send(TEXT, 'x');
          await received;
        }
        const received = ends.map(({ ws }) => next(ws));
        for (const { send } of ends) send(TEXT, 'y');
        await Promise.all(received);
      }

      const foreign = (seen) =>
        seen.filter(([name, store]) => store !== undefined && store !== name);

      for (const [what, listen] of Object.entries({
        'for a message': ({ ws }, enter) => ws.on('message', enter),
        'for a message, and throws'({ ws }, enter) {
          ws.on('message', () => {
            enter();
            throw new Error('on purpose');
          });
        },
        'for a ping': ({ ws }, enter) => {
          ws.on('message', ignore);
          ws.on('ping', enter);
        },
        'in a callback'({ ws }, enter) {
          ws.on('message', () => ws.send('answer', enter));
        },
        'after a pause'({ ws }, enter) {
          ws.on('message', () => {
            enter();
            ws.pause();
            process.nextTick(() => ws.resume());
          });
        },
        'for a drain'({ ws }, enter) {
          ws.on('message', () => ws.send('x'.repeat(100000)));
          ws.on('drain', enter);
        },
      })) {
        it(what, async () => {
          const { storage, ends } = await connect();
          const seen = [];
          for (const end of ends) {
            end.ws.on('message', () =>
              seen.push([end.name, storage.getStore()]),
            );
            listen(end, () => {
              seen.push([end.name, storage.getStore()]);
              storage.enterWith(end.name);
            });
            end.ws.on('pong', () => seen.push([end.name, storage.getStore()]));
          }
          await uncaught(async () => {
            for (const { send } of ends) send(PING);
            for (const { send } of ends) send(PONG);
            await sendAll(ends);
            await settle();
          });
          assert.ok(seen.length >= 3 * ends.length);
          assert.deepEqual(foreign(seen), []);
        });
      }

      it('and run() leaves none', async () => {
        const { storage, ends } = await connect();
        const seen = [];
        for (const { ws, name } of ends) {
          ws.on('message', () => {
            seen.push(storage.getStore());
            storage.run(name, () => seen.push(storage.getStore()));
            seen.push(storage.getStore());
          });
        }
        await sendAll(ends);
        const each = names.flatMap((name) => [undefined, name, undefined]);
        assert.deepEqual(seen.slice(0, 9), each);
        assert.equal(seen.length, 18);
      });
    },
  );
}
