'use strict';

const assert = require('node:assert/strict');
const { AsyncLocalStorage } = require('async_hooks');
const { once } = require('events');
const { promisify } = require('util');
const zlib = require('zlib');

const native = require('../../lib/native');
const Limiter = require('../../lib/ws8/limiter');
const PerMessageDeflate = require('../../lib/ws8/permessage-deflate');
const { kStatusCode } = require('../../lib/ws8/constants');

const TAIL = Buffer.from([0x00, 0x00, 0xff, 0xff]);
const TEXT = Buffer.from('Some data. It repeats, it repeats.');

/** Creates an instance that has accepted these parameters, in the form of `parse`. */
function agreed(options, params = {}) {
  const extension = new PerMessageDeflate(options);
  extension.accept([params]);
  return extension;
}

const compress = (extension, data, fin = true) =>
  promisify(extension.compress).call(extension, data, fin);

const decompress = (extension, data, fin = true) =>
  promisify(extension.decompress).call(extension, data, fin);

/** Decompresses a message with zlib, in small chunks, so that the window is needed. */
const inflate = (data, windowBits) =>
  zlib.inflateRawSync(Buffer.concat([data, TAIL]), {
    chunkSize: 64,
    finishFlush: zlib.constants.Z_SYNC_FLUSH,
    windowBits,
  });

/** Returns noise that is repeated once, at this distance in bytes. */
function repeating(distance) {
  const noise = Buffer.alloc(distance);
  let state = 1;
  for (let i = 0; i < distance; i++) {
    state = (state * 48271) % 0x7fffffff;
    noise[i] = state >> 8;
  }
  return Buffer.concat([noise, noise]);
}

describe('ws 8: permessage-deflate', () => {
  it('zlib reads what is compressed, and the reverse', async () => {
    const extension = agreed();
    assert.deepEqual(inflate(await compress(extension, TEXT)), TEXT);
    const theirs = zlib.deflateRawSync(TEXT, {
      finishFlush: zlib.constants.Z_SYNC_FLUSH,
    });
    const payload = theirs.subarray(0, -TAIL.length);
    assert.deepEqual(await decompress(extension, payload), TEXT);
  });

  it('strings are compressed as UTF-8', async () => {
    const compressed = await compress(agreed(), '\u{20ac}');
    assert.equal(inflate(compressed).toString(), '\u{20ac}');
  });

  it('callbacks are called in the order of the calls', async () => {
    const sender = agreed({ isServer: true });
    const receiver = agreed();
    const messages = Array.from({ length: 50 }, (_, i) =>
      Buffer.alloc(i % 2 ? 10 : 100_000, `message ${i}`),
    );
    const order = [];
    const received = await Promise.all(
      messages.map(async (message, i) => {
        const compressed = await compress(sender, message);
        order.push(i);
        return decompress(receiver, compressed);
      }),
    );
    assert.deepEqual(order, [...messages.keys()]);
    assert.deepEqual(received, messages);
  });

  it('compresses and decompresses at the same time', async () => {
    const [extension, data] = [agreed(), repeating(100_000)];
    const compressed = await compress(agreed({ isServer: true }), data);
    const [ours, theirs] = await Promise.all([
      compress(extension, data),
      decompress(extension, compressed),
    ]);
    assert.deepEqual(inflate(ours), data);
    assert.deepEqual(theirs, data);
  });

  it('the negotiated window size is used, also by transports', async () => {
    const data = repeating(1000);
    const wide = await compress(agreed({ isServer: true }), data);
    assert.throws(() => inflate(wide, 9), { code: 'Z_DATA_ERROR' });

    const narrow = agreed(
      { isServer: true },
      { server_max_window_bits: ['9'] },
    );
    assert.deepEqual(inflate(await compress(narrow, data), 9), data);

    const encoder = new native.Encoder(narrow.native, 0);
    const frame = encoder.compress(data, 0xc2);
    assert.deepEqual(inflate(frame.subarray(4), 9), data);
  });

  it('level and memLevel act', async () => {
    const sizeWith = async (zlibDeflateOptions) =>
      (
        await compress(
          agreed({ zlibDeflateOptions }),
          TEXT.toString().repeat(500),
        )
      ).length;
    const size = await sizeWith({});
    assert.equal(await sizeWith({ level: -1 }), size);
    assert.ok((await sizeWith({ level: 0 })) > 500 * TEXT.length);
    assert.notEqual(await sizeWith({ level: 1 }), size);
    assert.throws(() => agreed({ zlibDeflateOptions: { level: 10 } }), /level/);
    assert.throws(
      () => agreed({ zlibDeflateOptions: { memLevel: 0 } }),
      /memLevel/,
    );
  });

  it('an invalid window size cannot be negotiated', () => {
    assert.throws(() => agreed({ isServer: true, serverMaxWindowBits: 16 }));
  });

  it('invalid data is an error, and the next message starts anew', async () => {
    const extension = agreed();
    await assert.rejects(decompress(extension, Buffer.alloc(9, 0xff)), {
      code: 'Z_DATA_ERROR',
      errno: -3,
      [kStatusCode]: 1007,
    });
    const compressed = await compress(extension, TEXT);
    assert.deepEqual(await decompress(extension, compressed), TEXT);
  });

  it('more than maxPayload is an error', async () => {
    const compressed = await compress(agreed(), Buffer.alloc(1000));
    await assert.rejects(decompress(agreed({ maxPayload: 999 }), compressed), {
      name: 'RangeError',
      message: 'Max payload size exceeded',
      code: 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH',
      [kStatusCode]: 1009,
    });
    const limit = agreed({ maxPayload: 1000 });
    assert.equal((await decompress(limit, compressed)).length, 1000);
  });

  it('cleanup() fails pending calls at once; later ones start anew', async () => {
    const extension = agreed();
    const failures = [];
    const fail = ({ message }) => failures.push(message);
    extension.compress(TEXT, true, fail);
    extension.compress(TEXT, true, fail);
    extension.decompress(TEXT, true, fail);
    extension.cleanup();
    const text = (stream) =>
      `The ${stream} stream was closed while data was being processed`;
    assert.deepEqual(failures, [
      text('inflate'),
      text('deflate'),
      text('deflate'),
    ]);
    assert.deepEqual(inflate(await compress(extension, TEXT)), TEXT);
    assert.equal(failures.length, 3);
  });

  it('an error of a callback is uncaught, and delays no other call', async () => {
    const extension = agreed();
    const theirs = process.rawListeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    try {
      const thrown = once(process, 'uncaughtException');
      extension.compress(TEXT, true, () => {
        throw new Error('from a callback');
      });
      const next = compress(extension, TEXT);
      assert.equal((await thrown)[0].message, 'from a callback');
      assert.ok(Buffer.isBuffer(await next));
    } finally {
      for (const each of theirs) process.on('uncaughtException', each);
    }
  });

  it('callbacks run in the context of their call', async () => {
    const storage = new AsyncLocalStorage();
    const extension = agreed();
    const stores = await Promise.all(
      [1, 2, 3].map(
        (store) =>
          new Promise((resolve) => {
            storage.run(store, () => {
              extension.compress(TEXT, true, () => resolve(storage.getStore()));
            });
          }),
      ),
    );
    assert.deepEqual(stores, [1, 2, 3]);
  });

  it('a limiter runs a limited number of jobs at a time, in order', () => {
    const limiter = new Limiter(2);
    const running = [];
    for (const name of ['a', 'b', 'c', 'd']) {
      limiter.add((done) => running.push([name, done]));
    }
    const names = () => running.map(([name]) => name).join('');
    assert.equal(names(), 'ab');
    assert.equal(limiter.jobs.length, 2);
    running[1][1]();
    assert.equal(names(), 'abc');
    running[0][1]();
    assert.equal(names(), 'abcd');
    assert.equal(limiter.pending, 2);
  });

  it('very many jobs of a limiter may end synchronously', () => {
    const limiter = new Limiter(1);
    let count = 0;
    let release;
    limiter.add((done) => {
      release = done;
    });
    for (let i = 0; i < 100_000; i++) {
      limiter.add((done) => {
        count++;
        done();
      });
    }
    release();
    assert.equal(count, 100_000);
    assert.equal(limiter.pending, 0);
  });
});
