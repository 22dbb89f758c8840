'use strict';

// createWebSocketStream: 100 MiB in each direction, to a reader that is slower than the
// writer. Neither end may buffer everything that the other has not read yet.

const assert = require('node:assert/strict');
const { createHash } = require('crypto');
const { once } = require('events');
const fs = require('fs');
const { PassThrough, Readable, Writable } = require('stream');
const { pipeline } = require('stream/promises');
const { createWebSocketStream, WebSocket, WebSocketServer } = require('ws');

const { at, pattern, run } = require('../support');

const MIB = 1 << 20;
const LENGTH = 100 * MIB;

/** The sizes of the chunks, in bytes, around the limits of frame lengths and beyond. */
const SIZES = [1, 125, 126, 4096, 65535, 65536, 300000, MIB];

/**
 * The maximum number of bytes in flight: the kernel's buffers for both directions of a
 * connection, and a few chunks at each end.
 */
const MOST_UNDER_WAY =
  2 * (mostHeld('tcp_rmem', 6 * MIB) + mostHeld('tcp_wmem', 4 * MIB)) + 4 * MIB;

/** The maximum growth of the process in bytes, including garbage. */
const MOST_GROWTH = 80 * MIB;

const BYTES = pattern(2 * MIB);

/** The maximum size of the kernel's buffers of this kind, in bytes. */
function mostHeld(name, otherwise) {
  try {
    const sizes = fs.readFileSync(`/proc/sys/net/ipv4/${name}`, 'utf8');
    return Number(sizes.trim().split(/\s+/)[2]);
  } catch {
    return otherwise;
  }
}

/** Measures a transfer. */
class Meter {
  constructor() {
    this.written = 0;
    this.read = 0;
    this.mostUnderWay = 0;
    this.mostMemory = 0;
    this.memory = process.memoryUsage.rss();
  }

  look() {
    const { rss } = process.memoryUsage;
    this.mostUnderWay = Math.max(this.mostUnderWay, this.written - this.read);
    this.mostMemory = Math.max(this.mostMemory, rss() - this.memory);
  }

  check() {
    assert.equal(this.written, LENGTH);
    assert.equal(this.read, LENGTH);
    const said = `${this.mostUnderWay} bytes were under way`;
    assert.ok(this.mostUnderWay < MOST_UNDER_WAY, said);
    const grown = `the process has grown by ${this.mostMemory} bytes`;
    assert.ok(this.mostMemory < MOST_GROWTH, grown);
  }
}

/** Returns a stream of chunks of all sizes, `LENGTH` bytes in total. Hashes them. */
function source(hash, meter) {
  return Readable.from(
    (function* pieces() {
      for (let i = 0; meter.written < LENGTH; i++) {
        const size = Math.min(SIZES[i % SIZES.length], LENGTH - meter.written);
        const start = (i * 4099) % MIB;
        const piece = BYTES.subarray(start, start + size);
        hash.update(piece);
        meter.written += size;
        meter.look();
        yield piece;
      }
    })(),
    { objectMode: false },
  );
}

/**
 * Returns a stream that hashes what is written, one chunk per turn of the event loop.
 */
function sink(hash, meter, done = () => {}) {
  return new Writable({
    write(piece, encoding, callback) {
      hash.update(piece);
      meter.read += piece.length;
      meter.look();
      if (meter.read === LENGTH) done();
      setImmediate(callback);
    },
  });
}

/** Opens a connection. Resolves to a stream at each end. */
async function connect(wss, options) {
  const connected = once(wss, 'connection');
  const ws = new WebSocket(`ws://127.0.0.1:${wss.address().port}`);
  const [peer] = await connected;
  return {
    client: createWebSocketStream(ws, options),
    server: createWebSocketStream(peer, options),
    ws,
  };
}

/** Transfers in one direction. The connection closes after the last byte. */
async function oneWay(from, to) {
  const meter = new Meter();
  const [sent, received] = [createHash('sha1'), createHash('sha1')];
  await Promise.all([
    pipeline(source(sent, meter), from),
    pipeline(to, sink(received, meter)),
  ]);
  meter.check();
  const digest = sent.digest('hex');
  assert.equal(received.digest('hex'), digest);
  return digest;
}

/** Transfers in both directions: the server's stream is piped into itself. */
async function echo({ client, server }) {
  const meter = new Meter();
  const [sent, received] = [createHash('sha1'), createHash('sha1')];
  const echoed = pipeline(server, new PassThrough(), server);
  client.pipe(sink(received, meter, () => client.end()));
  source(sent, meter).pipe(client, { end: false });
  await Promise.all([echoed, once(client, 'close')]);
  meter.check();
  const digest = sent.digest('hex');
  assert.equal(received.digest('hex'), digest);
  return digest;
}

/** Destroys the stream at one end, which closes the connection and the other stream. */
async function destroy({ client, server, ws }) {
  const closed = once(ws, 'close');
  const ended = once(client.resume(), 'end');
  const failed = once(server, 'error');
  server.destroy(new Error('enough'));
  const [[code], [error]] = await Promise.all([closed, failed, ended]);
  assert.equal(code, 1006);
  assert.equal(error.message, 'enough');
  return code;
}

run(async () => {
  const wss = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  await once(wss, 'listening');
  const result = {};

  at('the client writes');
  const up = await connect(wss);
  result.up = await oneWay(up.client, up.server);

  at('the server writes');
  const down = await connect(wss);
  result.down = await oneWay(down.server, down.client);
  assert.equal(result.down, result.up);

  at('there and back');
  result.echo = await echo(await connect(wss));
  assert.equal(result.echo, result.up);

  at('an end that is destroyed');
  result.destroyed = await destroy(await connect(wss));

  at('texts');
  const texts = await connect(wss, {
    decodeStrings: false,
    readableObjectMode: true,
  });
  texts.client.end('äöü €');
  const [text] = await once(texts.server, 'data');
  assert.equal(text, 'äöü €');
  await once(texts.server, 'end');

  at('the end of the server');
  wss.close();
  await once(wss, 'close');
  return result;
});
