'use strict';

const assert = require('node:assert/strict');

const { BINARY, CLOSE, DEFLATE, PING, PONG, SIDES } = require('./support');
const { TEXT, closing, collect, deflated, ledger } = require('./support');
const { recorded } = require('./support');

const FRAMES = [
  [TEXT, 'a'],
  [PING, 'b'],
  [PONG, 'c'],
  [BINARY, 'd'],
  [TEXT, 'e'],
];

describe('allowSynchronousEvents', () => {
  const { bare } = ledger();

  /**
   * Resolves to the events, and to the ticks and microtasks of their listeners, in
   * order.
   */
  async function order(side, options) {
    const { ws, sendAll } = await bare(side, options);
    const seen = [];
    for (const event of ['message', 'ping', 'pong']) {
      ws.on(event, (data) => {
        seen.push(String(data));
        Promise.resolve().then(() => seen.push('microtask'));
        process.nextTick(() => seen.push('tick'));
      });
    }
    const closed = closing(ws);
    sendAll(...FRAMES, [CLOSE]);
    assert.deepEqual(await closed, [1005, '']);
    return seen;
  }

  for (const side of SIDES) {
    it(`lets the ${side} emit several events in one turn`, async () => {
      const { ws, sendAll } = await bare(side);
      const seen = [];
      const last = new Promise((resolve) => {
        for (const event of ['message', 'ping', 'pong']) {
          ws.on(event, (data) => {
            if (seen.push(String(data)) === 1) {
              setImmediate(() => seen.push('turn'));
            }
            if (String(data) === 'e') resolve();
          });
        }
      });
      sendAll(...FRAMES);
      await last;
      assert.deepEqual(seen, ['a', 'b', 'c', 'd', 'e']);
    });

    it(`of false runs ticks and microtasks between events of the ${side}`, async () => {
      const seen = await order(side, { allowSynchronousEvents: false });
      assert.deepEqual(
        seen.filter((each) => each.length === 1),
        ['a', 'b', 'c', 'd', 'e'],
      );
      for (let i = 0; i < seen.length; i += 3) {
        assert.deepEqual(seen.slice(i + 1, i + 3).sort(), [
          'microtask',
          'tick',
        ]);
      }
    });

    it(`of false lets the ${side} emit one event in each turn`, async () => {
      const options = { allowSynchronousEvents: false };
      const { ws, sendAll } = await bare(side, options);
      let isTaken = false;
      ws.on('message', () => {
        assert.equal(isTaken, false);
        isTaken = true;
        setImmediate(() => (isTaken = false));
      });
      const received = collect(ws, 'message', 20);
      sendAll(...Array(20).fill([TEXT, 'text']));
      await received;
    });
  }

  it('of false lets a listener use await before the next event', async () => {
    const options = { allowSynchronousEvents: false };
    const { ws, sendAll } = await bare('client', options);
    const seen = [];
    ws.on('message', async (data) => {
      await null;
      seen.push(`begin ${data}`);
      await null;
      seen.push(`end ${data}`);
    });
    const closed = closing(ws);
    sendAll([TEXT, 'a'], [TEXT, 'b'], [CLOSE]);
    await closed;
    assert.deepEqual(seen, ['begin a', 'end a', 'begin b', 'end b']);
  });

  it('of false delays the error and the end', async () => {
    const options = { allowSynchronousEvents: false };
    const { ws, sendAll } = await bare('server', options);
    const events = recorded(ws, 'message', 'error', 'close');
    const closed = closing(ws);
    sendAll([TEXT, 'a'], [TEXT, 'b'], [15]);
    await closed;
    assert.deepEqual(events, ['message', 'message', 'error', 'close']);
  });

  it('of false works with compressed messages', async () => {
    const options = { allowSynchronousEvents: false, perMessageDeflate: true };
    const { ws, sendAll } = await bare('server', options, {
      extensions: DEFLATE,
    });
    const received = collect(ws, 'message', 3);
    sendAll(
      [TEXT, deflated('a'), { rsv: 4 }],
      [TEXT, 'b'],
      [TEXT, deflated('c'), { rsv: 4 }],
    );
    const texts = (await received).map(([data]) => data.toString());
    assert.deepEqual(texts, ['a', 'b', 'c']);
  });

  it('of false does not delay terminate()', async () => {
    const options = { allowSynchronousEvents: false };
    const { ws, sendAll } = await bare('server', options);
    const closed = closing(ws);
    ws.on('message', () => ws.terminate());
    sendAll(...FRAMES);
    assert.deepEqual(await closed, [1006, '']);
  });
});
