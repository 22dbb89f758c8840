'use strict';

// Leaks, hangs and crashes that only occur with many connections, a lot of data, or
// after a long time. OXWS_TRANSPORT and OXWS_HOST select how connections are carried.

const assert = require('node:assert/strict');
const { once } = require('events');

const {
  closing,
  frame,
  ledger,
  listen,
  programs,
  uncaught,
} = require('./support');

const MIB = 1 << 20;

/**
 * The descriptors of one end of a connection (Node's and the engine's), and of a
 * process.
 */
const EACH = 2;
const OWN = 200;

/** Skips a test that needs more descriptors than the process may open. */
function needsConnections(context, count) {
  const { userLimits } = process.report.getReport();
  const limit = userLimits ? userLimits.open_files.soft : 'unlimited';
  const needed = EACH * count + OWN;
  if (limit === 'unlimited' || limit >= needed) return;
  context.test.title += ` (skipped: it needs ${needed} descriptors, and ulimit -n is ${limit})`;
  context.skip();
}

describe('The engine under stress', () => {
  const { track, bareClient, join } = ledger();
  const { run } = programs();

  it('keeps nothing of 20,000 connections that end in all manners', async function () {
    this.timeout(120000);
    const result = await run('churn', [20000], { node: ['--expose-gc'] });
    assert.deepEqual(result.closes, { once: 40000, again: 0 });
    assert.equal(result.fds, 0);
    assert.equal(result.clients, 0);
    assert.equal(result.connections, 0);
    assert.ok(result.growth < 60e6, `${result.growth}`);
    assert.ok(result.heapGrowth < 5e6, `${result.heapGrowth}`);
  });

  it('carries 5,000 connections at once', async function () {
    this.timeout(60000);
    needsConnections(this, 5000);
    const result = await run('many', [5000]);
    assert.equal(result.open, 5000);
    assert.equal(result.echoed, 3 * 5000);
    assert.equal(result.clean, 5000);
    const isStream = process.env.OXWS_TRANSPORT === 'stream';
    assert.equal(result.carried, isStream ? 0 : 5000);
  });

  for (const [manner, size, count] of [
    ['pause', MIB, 1024],
    ['pause', 60000, 1000],
    ['block', MIB, 1024],
    ['block', 40000, 500],
  ]) {
    it(`bounds the memory of a slow reader (${manner}, ${count} x ${size})`, async function () {
      this.timeout(60000);
      const result = await run('slow-reader', [manner, size, count]);
      assert.equal(result.received, count);
      assert.ok(result.growth < 150e6, `${result.growth}`);
    });
  }

  it('bounds the memory of long texts that are kept until their worker ends', async function () {
    this.timeout(60000);
    const { growth } = await run('long-texts', [4]);
    assert.ok(growth < 300e6, `${growth}`);
  });

  it('keeps nothing of 100 workers that are terminated under load', async function () {
    this.timeout(120000);
    const result = await run('worker-churn', [100]);
    assert.equal(result.terminated, 100);
    assert.equal(result.fds, 0);
    assert.ok(result.growth < 150e6, `${result.growth}`);
  });

  it('delivers 20,000 messages to a listener that often throws', async function () {
    this.timeout(20000);
    const total = 20000;
    const wss = track(await listen({ perMessageDeflate: false }));
    const { server, socket } = await bareClient(wss);
    const other = await join(wss);
    other.server.on('message', (data) => other.server.send(data));
    other.client.on('message', (data) => other.client.send(data));
    other.client.send('again and again');
    const numbers = Array.from({ length: total }, (_, i) => i);
    const seen = [];
    const errors = await uncaught(async () => {
      server.on('message', (data) => {
        seen.push(Number(data));
        if (data % 40 === 3) throw new Error(data);
      });
      const frames = numbers.map((i) => frame(1, `${i}`, { key: null }));
      socket.end(Buffer.concat(frames));
      await closing(server);
    });
    assert.deepEqual(seen, numbers);
    assert.deepEqual(
      errors.map(Number),
      numbers.filter((i) => i % 40 === 3),
    );
    await once(other.client, 'message');
  });
});
