'use strict';

const assert = require('node:assert/strict');
const { once } = require('events');

const WebSocket = require('..');
const { collect, ledger, url } = require('./support');

const PLAIN = { perMessageDeflate: false };

/** Streams these chunks as one message. Resolves when the last one is sent. */
function stream(ws, options, chunks) {
  return new Promise((resolve, reject) => {
    const rest = chunks.slice();
    ws.stream(options, (error, send) => {
      if (error) return reject(error);
      const chunk = rest.shift();
      send(chunk, rest.length === 0);
      if (rest.length === 0) resolve();
    });
  });
}

describe('WebSocket#stream', () => {
  const { bareServer, pair, track } = ledger();

  it('sends all chunks as one message', async () => {
    const { client, server } = await pair(PLAIN);
    const received = once(server, 'message');
    await stream(client, {}, ['one ', 'two ', 'three']);
    const [message, flags] = await received;
    assert.equal(message, 'one two three');
    assert.ok(!flags.binary);
  });

  it('streams from the server as well', async () => {
    const { client, server } = await pair(PLAIN);
    const received = once(client, 'message');
    await stream(server, {}, ['one ', 'two']);
    assert.equal((await received)[0], 'one two');
  });

  it('works without options', async () => {
    const { client, server } = await pair(PLAIN);
    const received = once(server, 'message');
    client.stream((error, send) => send('all at once', true));
    assert.equal((await received)[0], 'all at once');
  });

  it('sends binary data with binary: true', async () => {
    const { client, server } = await pair(PLAIN);
    const data = Buffer.from(Array.from({ length: 5000 }, (_, i) => i & 255));
    const chunks = [];
    for (let at = 0; at < 5000; at += 700) {
      chunks.push(data.subarray(at, at + 700));
    }
    const received = once(server, 'message');
    await stream(client, { binary: true }, chunks);
    const [message, flags] = await received;
    assert.deepEqual(message, data);
    assert.equal(flags.binary, true);
  });

  it('carries long chunks over permessage-deflate', async () => {
    const { client, server } = await pair();
    const received = once(server, 'message');
    await stream(client, {}, ['a'.repeat(4000), 'b'.repeat(4000)]);
    assert.equal((await received)[0], 'a'.repeat(4000) + 'b'.repeat(4000));
  });

  it('writes each chunk as a frame of its own', async () => {
    const { client, wire } = await bareServer(PLAIN);
    await stream(client, { binary: true }, ['a', 'b', 'c']);
    const sent = await wire.frames(3);
    assert.deepEqual(
      sent.map(({ fin, opcode, payload }) => [fin, opcode, `${payload}`]),
      [
        [false, 2, 'a'],
        [false, 0, 'b'],
        [true, 0, 'c'],
      ],
    );
  });

  for (const [mask, name] of [
    [undefined, 'masks the frames of a client'],
    [false, 'leaves the frames of a client bare with mask: false'],
  ]) {
    it(name, async () => {
      const { client, wire } = await bareServer(PLAIN);
      await stream(client, { mask }, ['a', 'b']);
      const sent = await wire.frames(2);
      assert.deepEqual(
        sent.map(({ masked }) => masked),
        [mask !== false, mask !== false],
      );
    });
  }

  it('calls back after it has returned', async () => {
    const { client } = await pair(PLAIN);
    let returned = false;
    const called = new Promise((resolve) => {
      client.stream((error, send) => {
        send('data', true);
        resolve(returned);
      });
    });
    returned = true;
    assert.equal(await called, true);
  });

  it('asks for the next chunk only after send has returned', async () => {
    const { client } = await pair(PLAIN);
    const steps = [];
    await new Promise((resolve) => {
      let calls = 0;
      client.stream((error, send) => {
        calls += 1;
        steps.push(`in ${calls}`);
        send('chunk', calls === 3);
        steps.push(`out ${calls}`);
        if (calls === 3) resolve();
      });
    });
    assert.deepEqual(steps, [
      'in 1',
      'out 1',
      'in 2',
      'out 2',
      'in 3',
      'out 3',
    ]);
  });

  it('is not called again after the final chunk', async () => {
    const { client, server } = await pair(PLAIN);
    const received = collect(server, 'message', 2);
    let calls = 0;
    client.stream((error, send) => {
      calls += 1;
      send('final', true);
    });
    await once(server, 'message');
    client.send('later');
    await received;
    assert.equal(calls, 1);
  });

  it('may be followed by another message at once', async () => {
    const { client, server } = await pair(PLAIN);
    const received = collect(server, 'message', 2);
    await stream(client, {}, ['first']);
    client.send('second');
    assert.deepEqual(
      (await received).map(([data]) => data),
      ['first', 'second'],
    );
  });

  it('delays messages sent meanwhile, in order', async () => {
    const { client, server } = await pair(PLAIN);
    const received = collect(server, 'message', 3);
    let calls = 0;
    client.stream((error, send) => {
      calls += 1;
      send(calls === 1 ? 'stre' : 'am', calls === 2);
      if (calls === 1) {
        client.send('next');
        client.send(Buffer.from('last'));
      }
    });
    assert.deepEqual(
      (await received).map(([data]) => String(data)),
      ['stream', 'next', 'last'],
    );
  });

  it('calls back for a delayed message', async () => {
    const { client } = await pair(PLAIN);
    const order = [];
    await new Promise((resolve) => {
      let calls = 0;
      client.stream((error, send) => {
        calls += 1;
        if (calls === 1) {
          client.send('next', (failed) => {
            order.push(`sent ${failed || ''}`);
            resolve();
          });
        }
        order.push(`chunk ${calls}`);
        send('chunk', calls === 3);
      });
    });
    assert.deepEqual(order, ['chunk 1', 'chunk 2', 'chunk 3', 'sent ']);
  });

  it('delays a second stream until the first is done', async () => {
    const { client, server } = await pair(PLAIN);
    const received = collect(server, 'message', 3);
    const first = stream(client, {}, ['a', 'b', 'c']);
    const second = stream(client, {}, ['d', 'e', 'f']);
    const third = stream(client, {}, ['g', 'h', 'i']);
    await Promise.all([first, second, third]);
    assert.deepEqual(
      (await received).map(([data]) => data),
      ['abc', 'def', 'ghi'],
    );
  });

  it('keeps streams and messages in the order they were made', async () => {
    const { client, server } = await pair(PLAIN);
    const received = collect(server, 'message', 4);
    stream(client, {}, ['a', 'b']);
    client.send('c');
    stream(client, {}, ['d', 'e']);
    client.send('f');
    assert.deepEqual(
      (await received).map(([data]) => data),
      ['ab', 'c', 'de', 'f'],
    );
  });

  for (const method of ['ping', 'pong']) {
    it(`lets a ${method} through that is sent meanwhile`, async () => {
      const { client, server } = await pair(PLAIN);
      const control = once(server, method);
      const message = once(server, 'message');
      let calls = 0;
      client.stream((error, send) => {
        calls += 1;
        if (calls === 2) client[method]('meanwhile');
        send(`${calls}`, calls === 3);
      });
      assert.equal(String((await control)[0]), 'meanwhile');
      assert.equal((await message)[0], '123');
    });
  }

  it('delivers a close during the stream', async () => {
    const { client, server } = await pair(PLAIN);
    const closed = once(server, 'close');
    let calls = 0;
    client.stream((error, send) => {
      if (error) return;
      calls += 1;
      if (calls === 2) client.close(1001, 'enough');
      send('chunk', calls === 3);
    });
    assert.deepEqual(await closed, [1001, 'enough']);
  });

  it('reports the loss of the connection to the callback', async () => {
    const { client } = await pair(PLAIN);
    const error = await new Promise((resolve) => {
      client.stream((failed, send) => {
        if (failed) return resolve(failed);
        client.terminate();
        send('chunk', false);
      });
    });
    assert.equal(error.message, 'not opened');
  });

  it('reports a connection that is not open yet to the callback', async () => {
    const { wss } = await pair(PLAIN);
    const client = track(new WebSocket(url(wss)));
    const error = await new Promise((resolve) => client.stream(resolve));
    assert.ok(error instanceof Error);
    assert.equal(error.message, 'not opened');
  });

  it('reports a closed connection to the callback', async () => {
    const { client } = await pair(PLAIN);
    client.close();
    await once(client, 'close');
    const error = await new Promise((resolve) => client.stream({}, resolve));
    assert.equal(error.message, 'not opened');
  });

  for (const args of [[], [{}], [{ binary: true }, 'not a function']]) {
    it(`throws without a callback (${args.length} arguments)`, async () => {
      const { client } = await pair(PLAIN);
      assert.throws(() => client.stream(...args), {
        message: 'callback must be provided',
      });
    });
  }
});
