'use strict';

const assert = require('node:assert/strict');
const { randomBytes } = require('crypto');
const { once } = require('events');

const WebSocket = require('..');
const { collect, deflate, frame, ledger, listen, url } = require('./support');

const MIB = 1 << 20;

const PLAIN = { perMessageDeflate: false };
const DEFLATE = { perMessageDeflate: true };
const ACCEPTED = 'Sec-WebSocket-Extensions: permessage-deflate\r\n';

const TEXT_SIZE = 'The data size must not be greater than 125 bytes';

const directions = [
  ['client', 'server'],
  ['server', 'client'],
];

const bytes = Buffer.from(Array.from({ length: 64 }, (_, i) => 255 - i));
const memory = new Uint8Array(bytes).buffer;

const texts = [
  ['a string', 'some text', 'some text'],
  ['an empty string', '', ''],
  ['undefined', undefined, ''],
  ['null', null, ''],
  ['the number 0', 0, ''],
  ['an integer', 42, '42'],
  ['a fraction', -1.5, '-1.5'],
  ['an array of bytes', [79, 88, 87, 83], 'OXWS'],
];

const views = [
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
];

const binaries = [
  ['a Buffer', bytes, bytes],
  ['an empty Buffer', Buffer.alloc(0), Buffer.alloc(0)],
  ['a slice of a Buffer', bytes.subarray(5, 9), bytes.subarray(5, 9)],
  ['an ArrayBuffer', memory, bytes],
  ['a DataView', new DataView(memory), bytes],
  ['a DataView of a part', new DataView(memory, 3, 7), bytes.subarray(3, 10)],
];

for (const View of views) {
  binaries.push([`${View.name}`, new View(memory), bytes]);
  binaries.push([
    `${View.name} of a part`,
    new View(memory, 16, 2),
    bytes.subarray(16, 16 + 2 * View.BYTES_PER_ELEMENT),
  ]);
}

/** The lengths around which the form of a frame's head changes. */
const borders = [0, 1, 124, 125, 126, 127, 65534, 65535, 65536, 65537];

/** Returns pseudo-random text, which does not compress well. */
function pattern(length) {
  const data = Buffer.alloc(length);
  let state = 1;
  for (let i = 0; i < length; i++) {
    state = (state * 1103515245 + 12345) & 0x7fffffff;
    data[i] = 32 + ((state >> 16) % 95);
  }
  return data;
}

/** Resolves to the error that `action` throws or emits. */
async function refusal(ws, action) {
  const failed = once(ws, 'error');
  try {
    action();
  } catch (error) {
    ws.emit('error', error);
  }
  return (await failed)[0];
}

describe('Messages', () => {
  const { bareClient, bareServer, join, pair, track } = ledger();

  for (const [from, to] of directions) {
    describe(`from ${from} to ${to}`, () => {
      for (const [name, data, expected] of texts) {
        it(`delivers ${name} as text`, async () => {
          const both = await pair(PLAIN);
          const received = once(both[to], 'message');
          both[from].send(data);
          const [message, flags] = await received;
          assert.equal(message, expected);
          assert.ok(!flags.binary);
          assert.equal(flags.masked, from === 'client');
        });
      }

      for (const [name, data, expected] of binaries.slice(0, 6)) {
        it(`delivers ${name} as a Buffer`, async () => {
          const both = await pair(PLAIN);
          const received = once(both[to], 'message');
          both[from].send(data);
          const [message, flags] = await received;
          assert.ok(Buffer.isBuffer(message));
          assert.deepEqual(message, Buffer.from(expected));
          assert.equal(flags.binary, true);
          assert.equal(flags.masked, from === 'client');
        });
      }

      it('delivers the bytes of every kind of typed array', async () => {
        const both = await pair(PLAIN);
        for (const [name, data, expected] of binaries.slice(6)) {
          const received = once(both[to], 'message');
          both[from].send(data);
          const [message, flags] = await received;
          assert.deepEqual(message, Buffer.from(expected), name);
          assert.equal(flags.binary, true, name);
        }
      });

      it('delivers a message of several fragments as one', async () => {
        const both = await pair(PLAIN);
        const received = once(both[to], 'message');
        both[from].send('one ', { fin: false });
        both[from].send('two ', { fin: false });
        both[from].send('three');
        assert.equal((await received)[0], 'one two three');
      });

      it('delivers compressed fragments as one message', async () => {
        const both = await pair(DEFLATE);
        const part = pattern(3000);
        const received = once(both[to], 'message');
        both[from].send(part, { fin: false });
        both[from].send(part, { fin: false });
        both[from].send(part, { fin: true });
        const [message, flags] = await received;
        assert.deepEqual(message, Buffer.concat([part, part, part]));
        assert.equal(flags.binary, true);
      });

      it('delivers a ping that stands between two fragments', async () => {
        const both = await pair(PLAIN);
        const order = [];
        both[to].on('ping', (data) => order.push(`ping ${data}`));
        both[to].on('message', (data) => order.push(`message ${data}`));
        const received = once(both[to], 'message');
        both[from].send('frag', { fin: false });
        both[from].ping('now');
        both[from].send('ment', { fin: true });
        await received;
        assert.deepEqual(order, ['ping now', 'message fragment']);
      });

      it('keeps the order of hundreds of messages', async () => {
        const both = await pair(PLAIN);
        const received = collect(both[to], 'message', 500);
        for (let i = 0; i < 500; i++) both[from].send(String(i));
        const order = (await received).map(([data]) => Number(data));
        assert.deepEqual(
          order,
          Array.from({ length: 500 }, (_, i) => i),
        );
      });

      it('keeps the order of compressed and plain messages', async () => {
        const both = await pair(DEFLATE);
        const long = pattern(4000).toString();
        const received = collect(both[to], 'message', 60);
        for (let i = 0; i < 60; i++) {
          both[from].send(i % 3 ? `${i}` : `${i} ${long}`, {
            binary: i % 2 === 0,
          });
        }
        const order = (await received).map(([data]) => parseInt(data, 10));
        assert.deepEqual(
          order,
          Array.from({ length: 60 }, (_, i) => i),
        );
      });

      it('keeps a short message between compressed ones whole', async () => {
        const both = await pair(DEFLATE);
        const long = pattern(4000).toString();
        const received = collect(both[to], 'message', 3);
        for (const data of [long, 'short', long]) both[from].send(data);
        assert.deepEqual(
          (await received).map(([data]) => data),
          [long, 'short', long],
        );
      });

      it('arrives although the options name an unknown member', async () => {
        const both = await pair(PLAIN);
        const received = once(both[to], 'message');
        both[from].send('data', { unheard: true });
        assert.equal((await received)[0], 'data');
      });
    });
  }

  for (const [name, options] of [
    ['without compression', PLAIN],
    ['with permessage-deflate', DEFLATE],
  ]) {
    describe(`of any length ${name}`, () => {
      for (const [kind, make] of [
        ['text', (length) => pattern(length).toString()],
        ['binary data', (length) => pattern(length)],
      ]) {
        const roundTrip = async (both, data) => {
          both.server.once('message', (message, { binary }) => {
            assert.equal(Boolean(binary), typeof data !== 'string');
            both.server.send(message);
          });
          const echoed = once(both.client, 'message');
          both.client.send(data);
          const [message] = await echoed;
          assert.equal(message.length, data.length);
          assert.ok(
            typeof data === 'string' ? message === data : message.equals(data),
          );
        };

        it(`carries ${kind} around each border of the length`, async () => {
          const both = await pair(options);
          for (const length of borders) await roundTrip(both, make(length));
        });

        it(`carries 1 MiB of ${kind}`, async () => {
          await roundTrip(await pair(options), make(1024 * 1024));
        });

        it(`carries 16 MiB of ${kind}`, async () => {
          const unit = pattern(1024 * 1024);
          const data = Buffer.concat(Array(16).fill(unit));
          await roundTrip(
            await pair(options),
            kind === 'text' ? data.toString() : data,
          );
        }).timeout(10000);
      }
    });
  }

  describe('of text', () => {
    it('carry characters of every plane', async () => {
      const { client, server } = await pair(PLAIN);
      let text = '\u0000\u007f\u0080\u07ff\u0800\ufffd';
      for (let plane = 0; plane <= 16; plane++) {
        text += String.fromCodePoint(plane * 0x10000 + 0x1234);
        text += String.fromCodePoint(plane * 0x10000 + 0xfffd);
      }
      server.on('message', (message) => server.send(message));
      const echoed = once(client, 'message');
      client.send(text);
      assert.equal((await echoed)[0], text);
    });

    for (const size of [1 << 15, (1 << 17) - 1, 1 << 17, 1 << 20]) {
      for (const character of ['a', '\u00e9', '\u{1f40e}']) {
        it(`are strings like any other: ${size} bytes of ${character}`, async () => {
          const { client, server } = await pair(PLAIN);
          server.on('message', (message) => server.send(message));
          const text = JSON.stringify({
            value: character.repeat(size / Buffer.byteLength(character)),
          });
          client.send(text);
          const [echo] = await once(client, 'message');
          assert.ok(echo === text);
          assert.equal(echo.length, text.length);
          assert.deepEqual(JSON.parse(echo), JSON.parse(text));
          assert.equal({ [text]: 'found' }[echo], 'found');
          assert.ok(`${echo}${echo}`.slice(text.length) === text);
          assert.ok(Buffer.from(echo).equals(Buffer.from(text)));
        });
      }
    }

    it('carry a lone surrogate as the replacement character', async () => {
      const { client, server } = await pair(PLAIN);
      const received = once(server, 'message');
      client.send('a\ud800b');
      assert.equal((await received)[0], 'a\ufffdb');
    });

    it('may be split within a character', async () => {
      const { client, server } = await pair(PLAIN);
      const data = Buffer.from('\u{1f40e}');
      const received = once(server, 'message');
      for (let i = 0; i < 4; i++) {
        client.send(data.subarray(i, i + 1), { binary: false, fin: i === 3 });
      }
      assert.equal((await received)[0], '\u{1f40e}');
    });
  });

  describe('and the options of send', () => {
    it('sends a string as binary data if told so', async () => {
      const { client, server } = await pair(PLAIN);
      const received = once(server, 'message');
      client.send('h\u00e9', { binary: true });
      const [message, flags] = await received;
      assert.deepEqual(message, Buffer.from('h\u00e9'));
      assert.equal(flags.binary, true);
    });

    it('sends a Buffer as text if told so', async () => {
      const { client, server } = await pair(PLAIN);
      const received = once(server, 'message');
      client.send(Buffer.from('h\u00e9'), { binary: false });
      const [message, flags] = await received;
      assert.equal(message, 'h\u00e9');
      assert.ok(!flags.binary);
    });

    it('does not mask a client frame with mask: false', async () => {
      const { client, wire } = await bareServer(PLAIN);
      client.send('bare', { mask: false });
      const sent = await wire.frame();
      assert.equal(sent.masked, false);
      assert.equal(sent.payload.toString(), 'bare');
    });

    it('masks a server frame with mask: true', async () => {
      const { client, server } = await pair(PLAIN);
      const received = once(client, 'message');
      server.send('covered', { mask: true });
      const [message, flags] = await received;
      assert.equal(message, 'covered');
      assert.equal(flags.masked, true);
    });

    it('writes the fragments of a message as frames of their own', async () => {
      const { client, wire } = await bareServer(PLAIN);
      client.send('a', { fin: false, binary: true });
      client.send('b', { fin: false, binary: true });
      client.send('c', { binary: true });
      client.send('d');
      const sent = await wire.frames(4);
      assert.deepEqual(
        sent.map(({ fin, opcode, payload }) => [fin, opcode, `${payload}`]),
        [
          [false, 2, 'a'],
          [false, 0, 'b'],
          [true, 0, 'c'],
          [true, 1, 'd'],
        ],
      );
    });

    const long = 'x'.repeat(2000);

    for (const [name, data, options, settings, rsv] of [
      ['compresses by default', long, undefined, {}, 4],
      ['compresses from 1024 bytes on', 'x'.repeat(1024), undefined, {}, 4],
      ['leaves 1023 bytes as they are', 'x'.repeat(1023), undefined, {}, 0],
      [
        'compresses nothing with compress: false',
        long,
        { compress: false },
        {},
        0,
      ],
      [
        'compresses from the threshold on',
        'xxxxx',
        undefined,
        { threshold: 5 },
        4,
      ],
      [
        'compresses nothing below the threshold',
        'xxxx',
        undefined,
        { threshold: 5 },
        0,
      ],
      [
        'compresses by the length of the first fragment',
        long,
        { fin: false },
        {},
        4,
      ],
    ]) {
      it(name, async () => {
        const { client, wire } = await bareServer(
          { perMessageDeflate: settings },
          ACCEPTED,
        );
        client.send(data, options);
        const sent = await wire.frame();
        assert.equal(sent.rsv, rsv);
        assert.equal(`${sent.payload}` === data, rsv === 0);
      });
    }

    it('leaves long fragments plain after a short first one', async () => {
      const { client, wire } = await bareServer(DEFLATE, ACCEPTED);
      client.send('short', { fin: false });
      client.send(long);
      const sent = await wire.frames(2);
      assert.deepEqual(
        sent.map(({ rsv, payload }) => [rsv, `${payload}`]),
        [
          [0, 'short'],
          [0, long],
        ],
      );
    });

    it('sets the compression bit on the first fragment only', async () => {
      const { client, wire } = await bareServer(DEFLATE, ACCEPTED);
      client.send(long, { fin: false });
      client.send(long, { fin: true });
      const sent = await wire.frames(2);
      assert.deepEqual(
        sent.map(({ rsv, payload }) => [rsv, payload.length < 2000]),
        [
          [4, true],
          [0, true],
        ],
      );
    });

    it('sends plain with compress: true and no extension', async () => {
      const { client, wire } = await bareServer(DEFLATE);
      client.send(long, { compress: true });
      const sent = await wire.frame();
      assert.equal(sent.rsv, 0);
      assert.equal(`${sent.payload}`, long);
    });
  });

  describe('and the callback of send', () => {
    for (const [name, args] of [
      ['as second argument', []],
      ['after options', [{}]],
      ['after undefined options', [undefined]],
      ['after null options', [null]],
    ]) {
      it(`is called without an error ${name}`, async () => {
        const { client } = await pair(PLAIN);
        const error = await new Promise((resolve) => {
          client.send('data', ...args, resolve);
        });
        assert.ifError(error);
      });
    }

    it('is called after send has returned', async () => {
      const { client } = await pair(PLAIN);
      let returned = false;
      const called = new Promise((resolve) => {
        client.send('data', () => resolve(returned));
      });
      returned = true;
      assert.equal(await called, true);
    });

    for (const [name, options] of [
      ['without compression', PLAIN],
      ['with permessage-deflate', DEFLATE],
    ]) {
      it(`is called once per message and in order ${name}`, async () => {
        const { client, server } = await pair(options);
        const received = collect(server, 'message', 51);
        const called = [];
        for (let i = 0; i < 50; i++) {
          client.send('x'.repeat(i % 2 ? 10 : 5000), () => called.push(i));
        }
        await new Promise((resolve) => client.send('last', resolve));
        await received;
        assert.deepEqual(
          called,
          Array.from({ length: 50 }, (_, i) => i),
        );
      });
    }

    for (const [name, prepare] of [
      ['connecting', () => {}],
      ['closing', (ws) => once(ws, 'open').then(() => ws.close())],
      [
        'closed',
        (ws) =>
          once(ws, 'open').then(() => {
            ws.close();
            return once(ws, 'close');
          }),
      ],
    ]) {
      it(`gets the error of a send while ${name}`, async () => {
        const { wss } = await pair(PLAIN);
        const client = tracked(wss);
        await prepare(client);
        const error = await new Promise((resolve) => {
          client.send('data', resolve);
        });
        assert.ok(error instanceof Error);
        assert.equal(error.message, 'not opened');
      });

      it(`is needed by a send while ${name}, which throws otherwise`, async () => {
        const { wss } = await pair(PLAIN);
        const client = tracked(wss);
        await prepare(client);
        assert.throws(() => client.send('data'), { message: 'not opened' });
      });
    }

    it('gets an error if the connection is lost before', async () => {
      const { client, socket } = await bareServer(PLAIN);
      client.on('error', () => {});
      socket.pause();
      const called = new Promise((resolve) => {
        client.send(Buffer.alloc(32 * 1024 * 1024));
        client.send('never sent', resolve);
      });
      socket.destroy();
      assert.ok((await called) instanceof Error);
    });
  });

  describe('and the data of the sender', () => {
    for (const length of [10, 2000, 200000]) {
      it(`leaves a Buffer of ${length} bytes as it was`, async () => {
        const { client, server } = await pair(PLAIN);
        const data = pattern(length);
        const received = once(server, 'message');
        client.send(data);
        assert.deepEqual((await received)[0], pattern(length));
        assert.deepEqual(data, pattern(length));
      });

      it(`leaves an ArrayBuffer of ${length} bytes as it was`, async () => {
        const { client, server } = await pair(PLAIN);
        const data = new Uint8Array(pattern(length)).buffer;
        const received = once(server, 'message');
        client.send(data);
        assert.deepEqual((await received)[0], pattern(length));
        assert.deepEqual(Buffer.from(data), pattern(length));
      });
    }
  });

  describe('ping and pong', () => {
    const payloads = [
      ['no data', undefined, ''],
      ['a string', 'text', 'text'],
      ['a Buffer', Buffer.from('buffer'), 'buffer'],
      ['a typed array', new Uint8Array([111, 120]), 'ox'],
      ['an ArrayBuffer', new Uint8Array([119, 115]).buffer, 'ws'],
      ['a number', 4000, '4000'],
      ['125 bytes', 'p'.repeat(125), 'p'.repeat(125)],
    ];

    for (const [from, to] of directions) {
      for (const method of ['ping', 'pong']) {
        it(`${method} from ${from} to ${to} carries any data`, async () => {
          const both = await pair(PLAIN);
          for (const [name, data, expected] of payloads) {
            const received = once(both[to], method);
            both[from][method](data);
            const [message, flags] = await received;
            assert.ok(Buffer.isBuffer(message), name);
            assert.equal(message.toString(), expected, name);
            assert.equal(flags.binary, true, name);
            assert.equal(flags.masked, from === 'client', name);
          }
        });
      }

      it(`a ping of the ${from} is answered with its data`, async () => {
        const both = await pair(PLAIN);
        const answered = once(both[from], 'pong');
        both[from].ping('there?');
        assert.equal((await answered)[0].toString(), 'there?');
      });
    }

    for (const method of ['ping', 'pong']) {
      it(`${method} is not masked with mask: false`, async () => {
        const { client, wire } = await bareServer(PLAIN);
        client[method]('data', { mask: false });
        const sent = await wire.frame();
        assert.equal(sent.masked, false);
        assert.equal(sent.opcode, method === 'ping' ? 9 : 10);
        assert.equal(sent.payload.toString(), 'data');
      });

      it(`${method} is masked with mask: true`, async () => {
        const { server, wire } = await pairBare();
        server[method]('data', { mask: true });
        const sent = await wire.frame();
        assert.equal(sent.masked, true);
        assert.equal(sent.payload.toString(), 'data');
      });

      it(`${method} throws while connecting`, async () => {
        const { wss } = await pair(PLAIN);
        assert.throws(() => tracked(wss)[method]('data'), {
          message: 'not opened',
        });
      });

      it(`${method} throws after the close`, async () => {
        const { client } = await pair(PLAIN);
        client.close();
        await once(client, 'close');
        assert.throws(() => client[method](), { message: 'not opened' });
      });

      it(`${method} does not throw with dontFailWhenClosed`, async () => {
        const { client } = await pair(PLAIN);
        client.close();
        await once(client, 'close');
        assert.equal(client[method]('data', {}, true), undefined);
      });

      it(`${method} with 126 bytes is refused`, async () => {
        const { client } = await pair(PLAIN);
        const error = await refusal(client, () => {
          client[method]('p'.repeat(126));
        });
        assert.equal(error.message, TEXT_SIZE);
      });

      it(`${method} counts the bytes of its data, not the characters`, async () => {
        const { client } = await pair(PLAIN);
        const error = await refusal(client, () => {
          client[method]('\u20ac'.repeat(42));
        });
        assert.equal(error.message, TEXT_SIZE);
      });

      it(`${method} with too much data leaves the connection open`, async () => {
        const { client, server } = await pair(PLAIN);
        await refusal(client, () => client[method](Buffer.alloc(126)));
        const received = once(server, 'message');
        client.send('still here');
        assert.equal((await received)[0], 'still here');
      });
    }
  });

  describe('and maxPayload', () => {
    const limited = { maxPayload: 1000, perMessageDeflate: false };

    it('lets a message of just that length pass', async () => {
      const { client, server } = await pair(limited);
      const received = once(server, 'message');
      client.send('x'.repeat(1000));
      assert.equal((await received)[0].length, 1000);
    });

    it('closes with 1009 on a longer message', async () => {
      const { server, socket, wire } = await pairBare(limited);
      const failed = once(server, 'error');
      socket.write(frame(1, 'x'.repeat(1001)));
      assert.equal((await failed)[0].message, 'max payload size exceeded');
      const sent = await wire.frame();
      assert.equal(sent.opcode, 8);
      assert.equal(sent.payload.readUInt16BE(0), 1009);
    });

    it('closes with 1009 on fragments that are longer together', async () => {
      const { server, socket, wire } = await pairBare(limited);
      const failed = once(server, 'error');
      socket.write(frame(2, Buffer.alloc(600), { fin: false }));
      socket.write(frame(0, Buffer.alloc(600)));
      assert.equal((await failed)[0].message, 'max payload size exceeded');
      assert.equal((await wire.frame()).payload.readUInt16BE(0), 1009);
    });

    it('counts each message for itself', async () => {
      const { client, server } = await pair(limited);
      const received = collect(server, 'message', 5);
      for (let i = 0; i < 5; i++) client.send('x'.repeat(900));
      assert.equal((await received).length, 5);
    });

    it('counts the inflated bytes of a compressed message', async () => {
      const { client, server } = await pair({ maxPayload: 20000 });
      const failed = once(server, 'error');
      client.on('error', () => {});
      client.send('x'.repeat(20001));
      assert.equal((await failed)[0].message, 'max payload size exceeded');
    });

    for (const name of ['maxPayload', '_maxPayload']) {
      it(`is what ws._receiver.${name} is set to`, async () => {
        const { server, socket, wire } = await pairBare(limited);
        const failed = once(server, 'error');
        assert.equal(server._receiver[name], 1000);
        for (const [limit, size] of [
          [5000, 4000],
          [0, 200000],
          [10, 10],
        ]) {
          await limitTo({ server, wire }, name, limit);
          const received = once(server, 'message');
          socket.write(frame(1, 'x'.repeat(size)));
          assert.equal((await received)[0].length, size);
        }
        socket.write(frame(1, 'x'.repeat(11)));
        assert.equal((await failed)[0].message, 'max payload size exceeded');
        assert.equal((await wire.frame()).payload.readUInt16BE(0), 1009);
      });
    }

    it('is set within a compressed message', async () => {
      const { server, socket, wire } = await pairBare(DEFLATE, {
        'Sec-WebSocket-Extensions': 'permessage-deflate',
      });
      const failed = once(server, 'error');
      const sent = frame(2, deflate(randomBytes(MIB)), { rsv: 4 });
      socket.write(sent.subarray(0, MIB / 2));
      await limitTo({ server, wire }, '_maxPayload', (3 * MIB) / 4);
      socket.write(sent.subarray(MIB / 2));
      assert.equal((await failed)[0].message, 'max payload size exceeded');
      assert.equal((await wire.frame()).payload.readUInt16BE(0), 1009);
    });

    /** Sets the limit. Resolves when the decoder has it. */
    async function limitTo({ server, wire }, name, limit) {
      server._receiver[name] = limit;
      assert.equal(server._receiver.maxPayload, limit);
      assert.equal(server._receiver._maxPayload, limit);
      server.ping();
      assert.equal((await wire.frame()).opcode, 9);
    }

    it('does not affect other connections of the server', async () => {
      const { client, server, wss } = await pair(limited);
      const other = await join(wss);
      const failed = once(server, 'error');
      client.send('x'.repeat(1001));
      await failed;
      const received = once(other.server, 'message');
      other.client.send('served');
      assert.equal((await received)[0], 'served');
    });
  });

  describe('and the counters', () => {
    it('bytesReceived is 0 on a new connection', async () => {
      const { client, server } = await pair(PLAIN);
      assert.deepEqual([client.bytesReceived, server.bytesReceived], [0, 0]);
    });

    it('bytesReceived counts the frame of a message with its head', async () => {
      const { client, server } = await pair(PLAIN);
      const received = once(server, 'message');
      client.send('hello');
      await received;
      assert.equal(server.bytesReceived, 11);
    });

    it('bytesReceived grows with every frame, pings included', async () => {
      const { client, server } = await pair(PLAIN);
      server.send('hello');
      await once(client, 'message');
      assert.equal(client.bytesReceived, 7);
      server.ping('abc');
      await once(client, 'ping');
      assert.equal(client.bytesReceived, 12);
    });

    it('bytesReceived counts compressed bytes as they came', async () => {
      const { client, server } = await pair(DEFLATE);
      const received = once(server, 'message');
      client.send('x'.repeat(100000));
      await received;
      assert.ok(server.bytesReceived > 0);
      assert.ok(server.bytesReceived < 10000);
    });

    it('bytesReceived is right at each of many messages that arrive at once', async () => {
      const { server, socket } = await pairBare();
      const frames = Array.from({ length: 2000 }, (_, i) => frame(1, `${i}`));
      const wire = Buffer.concat(frames);
      const cut = Buffer.concat(frames.slice(0, 1000)).length + 3;
      let expected = 0;
      let seen = 0;
      let next;
      server.on('message', (data) => {
        expected += frames[seen].length;
        assert.equal(data, `${seen}`);
        assert.equal(server.bytesReceived, expected);
        seen++;
        if (seen % 37 === 0) {
          server.pause();
          setImmediate(() => server.resume());
        }
        if (seen % 1000 === 0) next();
      });
      for (const part of [wire.subarray(0, cut), wire.subarray(cut)]) {
        const thousand = new Promise((resolve) => (next = resolve));
        socket.write(part);
        await thousand;
      }
      assert.equal(seen, 2000);
    });

    it('bufferedAmount is 0 before the connection is open', async () => {
      const { wss } = await pair(PLAIN);
      assert.equal(tracked(wss).bufferedAmount, 0);
    });

    it('bufferedAmount is 0 when everything was sent', async () => {
      const { client } = await pair(PLAIN);
      await new Promise((resolve) => client.send('data', resolve));
      assert.equal(client.bufferedAmount, 0);
    });

    it('bufferedAmount grows while the peer reads nothing', async () => {
      const { client, socket } = await bareServer(PLAIN);
      socket.pause();
      const size = 32 * 1024 * 1024;
      client.send(Buffer.alloc(size));
      const first = client.bufferedAmount;
      client.send(Buffer.alloc(size));
      assert.ok(first > 0);
      // It does not grow by the whole length: the system may take some of the data at
      // any time, but far less than one message while the peer reads nothing.
      assert.ok(client.bufferedAmount > Math.max(first, size));
      client.on('error', () => {});
    });

    it('bufferedAmount returns to 0 when the peer reads on', async () => {
      const { client, server } = await pair(PLAIN);
      server.pause();
      let size = 0;
      const called = new Promise((resolve) => {
        client.send(Buffer.alloc(32 * 1024 * 1024), resolve);
        size = client.bufferedAmount;
      });
      server.resume();
      assert.ifError(await called);
      assert.ok(size > 0);
      assert.equal(client.bufferedAmount, 0);
    });
  });

  /** Creates a client of `wss` that has not connected yet. */
  function tracked(wss) {
    return track(new WebSocket(url(wss)));
  }

  /** Creates a WebSocket at a server, whose peer is a raw socket. */
  async function pairBare(options = PLAIN, headers = {}) {
    return bareClient(track(await listen(options)), headers);
  }
});
