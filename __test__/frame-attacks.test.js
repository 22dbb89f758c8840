'use strict';

const assert = require('node:assert/strict');
const { once } = require('events');

const {
  bombOf,
  closing,
  collect,
  deflate,
  frame,
  ledger,
  listen,
} = require('./support');

const PLAIN = { perMessageDeflate: false };
const OFFER = { 'Sec-WebSocket-Extensions': 'permessage-deflate' };

const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

const FIRST = { fin: false };

/** Returns the payload of a close frame. */
function code(value, reason = '') {
  const payload = Buffer.alloc(2);
  payload.writeUInt16BE(value);
  return Buffer.concat([payload, Buffer.from(reason)]);
}

/** Returns the head of a frame with any 64-bit length, without data. */
function huge(length) {
  const head = Buffer.alloc(14);
  head[0] = 0x80 | BINARY;
  head[1] = 0x80 | 127;
  head.writeBigUInt64BE(length, 2);
  return head;
}

describe('Frames of an attacker', () => {
  const { bareClient, bareServer, join, pair, track } = ledger();

  /** Creates a WebSocket at a server, whose peer is a raw socket. */
  async function bare(options = PLAIN, headers) {
    const wss = track(await listen(options));
    return Object.assign(await bareClient(wss, headers), { wss });
  }

  /** As `bare`, with permessage-deflate. */
  function deflated(options) {
    return bare(Object.assign({ perMessageDeflate: true }, options), OFFER);
  }

  /** Writes frames. Resolves to the first error and the code of the close frame. */
  async function failure({ server, socket, wire }, ...frames) {
    const failed = new Promise((resolve) => server.on('error', resolve));
    socket.write(Buffer.concat(frames));
    const error = await failed;
    const sent = await wire.frame();
    assert.ok(error instanceof Error);
    assert.equal(sent.opcode, CLOSE);
    return { message: error.message, code: sent.payload.readUInt16BE(0) };
  }

  /** Checks that the server still serves another client. */
  async function serves(wss) {
    const { client, server } = await join(wss);
    const received = once(server, 'message');
    client.send('served');
    assert.equal((await received)[0], 'served');
  }

  const violations = [
    [
      'RSV2 set',
      'RSV2 and RSV3 must be clear',
      1002,
      frame(TEXT, 'x', { rsv: 2 }),
    ],
    [
      'RSV3 set',
      'RSV2 and RSV3 must be clear',
      1002,
      frame(TEXT, 'x', { rsv: 1 }),
    ],
    [
      'RSV1 set without an extension',
      'RSV1 must be clear',
      1002,
      frame(TEXT, 'x', { rsv: 4 }),
    ],
    [
      'RSV1 set on a ping',
      'RSV1 must be clear',
      1002,
      frame(PING, 'x', { rsv: 4 }),
    ],
    ['a continuation of nothing', 'invalid opcode: 0', 1002, frame(0, 'x')],
    [
      'text within fragments',
      'invalid opcode: 1',
      1002,
      frame(TEXT, 'x', FIRST),
      frame(TEXT, 'x'),
    ],
    [
      'binary data within fragments',
      'invalid opcode: 2',
      1002,
      frame(TEXT, 'x', FIRST),
      frame(BINARY, 'x'),
    ],
    ['a ping in fragments', 'FIN must be set', 1002, frame(PING, 'x', FIRST)],
    ['a pong in fragments', 'FIN must be set', 1002, frame(PONG, 'x', FIRST)],
    [
      'a close in fragments',
      'FIN must be set',
      1002,
      frame(CLOSE, code(1000), FIRST),
    ],
    [
      'a ping of 126 bytes',
      'invalid payload length',
      1002,
      frame(PING, 'x'.repeat(126)),
    ],
    [
      'a pong of 65536 bytes',
      'invalid payload length',
      1002,
      frame(PONG, '', { length: 65536 }),
    ],
    [
      'a close of 126 bytes',
      'invalid payload length',
      1002,
      frame(CLOSE, code(1000, 'x'.repeat(124))),
    ],
    ['a close of 1 byte', 'invalid payload length', 1002, frame(CLOSE, 'x')],
    [
      'a close whose reason is no UTF-8',
      'invalid utf8 sequence',
      1007,
      frame(CLOSE, Buffer.from([3, 232, 0xff])),
    ],
    [
      'a length of 2^53 - 1',
      'max payload size exceeded',
      1009,
      huge(2n ** 53n - 1n),
    ],
    ['a length of 2^53', 'max payload size exceeded', 1009, huge(2n ** 53n)],
    ['a length of 2^63', 'max payload size exceeded', 1009, huge(2n ** 63n)],
    [
      'a length of 2^64 - 1',
      'max payload size exceeded',
      1009,
      huge(2n ** 64n - 1n),
    ],
    [
      'a length of 2^32 + 1',
      'max payload size exceeded',
      1009,
      huge(2n ** 32n + 1n),
    ],
  ];

  for (const opcode of [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]) {
    const message = `invalid opcode: ${opcode}`;
    violations.push([`opcode ${opcode}`, message, 1002, frame(opcode, 'x')]);
  }

  for (const value of [
    0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535,
  ]) {
    violations.push([
      `a close with ${value}`,
      `invalid status code: ${value}`,
      1002,
      frame(CLOSE, code(value)),
    ]);
  }

  for (const [name, message, expected, ...frames] of violations) {
    it(`${name} is an error and closes with ${expected}`, async () => {
      assert.deepEqual(await failure(await bare(), ...frames), {
        message,
        code: expected,
      });
    });
  }

  it('a violation is also found in single bytes', async () => {
    const { server, socket, wire } = await bare();
    const failed = new Promise((resolve) => server.on('error', resolve));
    socket.setNoDelay();
    for (const byte of frame(CLOSE, code(1005))) {
      await new Promise((done) => socket.write(Buffer.from([byte]), done));
    }
    assert.equal((await failed).message, 'invalid status code: 1005');
    assert.equal((await wire.frame()).payload.readUInt16BE(0), 1002);
  });

  it('nothing after a violation is delivered', async () => {
    const attacked = await bare();
    const seen = [];
    attacked.server.on('message', (data) => seen.push(data));
    attacked.server.on('ping', (data) => seen.push(data));
    await failure(
      attacked,
      frame(TEXT, 'before'),
      frame(3, 'bad'),
      frame(TEXT, 'after'),
      frame(PING, 'after'),
    );
    attacked.socket.write(frame(TEXT, 'later'));
    await serves(attacked.wss);
    assert.deepEqual(seen, ['before']);
  });

  it('many violations cause one error', async () => {
    const attacked = await bare();
    let errors = 0;
    attacked.server.on('error', () => {
      errors += 1;
    });
    await failure(attacked, ...Array(50).fill(frame(3, 'bad')));
    await serves(attacked.wss);
    assert.equal(errors, 1);
  });

  it('the attacked connection closes with 1006', async () => {
    const attacked = await bare();
    const closed = closing(attacked.server);
    await failure(attacked, frame(3, 'bad'));
    attacked.socket.destroy();
    assert.equal((await closed)[0], 1006);
  });

  describe('with permessage-deflate', () => {
    for (const [name, message, expected, ...frames] of [
      [
        'RSV1 set on a continuation',
        'RSV1 must be clear',
        1002,
        frame(TEXT, 'x', FIRST),
        frame(0, 'x', { rsv: 4 }),
      ],
      [
        'RSV1 set on a ping',
        'RSV1 must be clear',
        1002,
        frame(PING, 'x', { rsv: 4 }),
      ],
      [
        'RSV1 set on a close',
        'RSV1 must be clear',
        1002,
        frame(CLOSE, code(1000), { rsv: 4 }),
      ],
      [
        'compressed text that is no UTF-8',
        'invalid utf8 sequence',
        1007,
        frame(TEXT, deflate(Buffer.from([0x61, 0xc0, 0x80])), { rsv: 4 }),
      ],
    ]) {
      it(`${name} is an error and closes with ${expected}`, async () => {
        assert.deepEqual(await failure(await deflated(), ...frames), {
          message,
          code: expected,
        });
      });
    }

    it('data that cannot be inflated closes with 1007', async () => {
      const bad = frame(BINARY, Buffer.alloc(40, 0xff), { rsv: 4 });
      assert.equal((await failure(await deflated(), bad)).code, 1007);
    });

    it('a bomb beyond maxPayload closes with 1009', async () => {
      const bomb = bombOf(64);
      const attacked = await deflated({ maxPayload: 1024 * 1024 });
      assert.ok(bomb.length < 1024 * 1024);
      assert.deepEqual(
        await failure(attacked, frame(BINARY, bomb, { rsv: 4 })),
        {
          message: 'max payload size exceeded',
          code: 1009,
        },
      );
      await serves(attacked.wss);
    });

    it('a bomb in many fragments closes with 1009', async () => {
      const bomb = bombOf(16);
      const attacked = await deflated({ maxPayload: 1024 * 1024 });
      const frames = [];
      for (let at = 0; at < bomb.length; at += 100) {
        const part = bomb.subarray(at, at + 100);
        frames.push(
          frame(at ? 0 : BINARY, part, { fin: false, rsv: at ? 0 : 4 }),
        );
      }
      assert.equal((await failure(attacked, ...frames)).code, 1009);
    });

    it('a bomb does not take the memory it would inflate to', async () => {
      const bomb = bombOf(256);
      const attacked = await deflated({ maxPayload: 1024 * 1024 });
      const before = process.memoryUsage().rss;
      const { code: sent } = await failure(
        attacked,
        frame(BINARY, bomb, { rsv: 4 }),
      );
      assert.equal(sent, 1009);
      assert.ok(process.memoryUsage().rss - before < 128 * 1024 * 1024);
    }).timeout(10000);
  });

  describe('of text that is no UTF-8', () => {
    const bad = [
      ['a byte that never occurs', [0xff]],
      ['a continuation byte alone', [0x80]],
      ['an overlong form', [0xc0, 0x80]],
      ['an overlong form of 3 bytes', [0xe0, 0x80]],
      ['a surrogate', [0xed, 0xa0]],
      ['a code point beyond U+10FFFF', [0xf4, 0x90]],
      ['a sequence cut short by a letter', [0xe2, 0x82, 0x41]],
    ];

    for (const [name, sequence] of bad) {
      it(`${name} closes with 1007`, async () => {
        const text = Buffer.concat([Buffer.from('ok'), Buffer.from(sequence)]);
        assert.deepEqual(await failure(await bare(), frame(TEXT, text)), {
          message: 'invalid utf8 sequence',
          code: 1007,
        });
      });

      it(`${name} closes with 1007 before the frame is whole`, async () => {
        const text = Buffer.concat([Buffer.from('ok'), Buffer.from(sequence)]);
        assert.deepEqual(
          await failure(await bare(), frame(TEXT, text, { length: 1000 })),
          { message: 'invalid utf8 sequence', code: 1007 },
        );
      });
    }

    it('a sequence cut short by the end closes with 1007', async () => {
      const text = frame(TEXT, Buffer.from([0xe2, 0x82]));
      assert.equal((await failure(await bare(), text)).code, 1007);
    });

    it('a bad first fragment closes before the next one', async () => {
      const text = frame(TEXT, Buffer.from([0x61, 0xff]), FIRST);
      assert.equal((await failure(await bare(), text)).code, 1007);
    });

    it('a sequence that goes bad in the next fragment closes', async () => {
      const first = frame(TEXT, Buffer.from([0xe2]), FIRST);
      const next = frame(0, Buffer.from([0x41]), { length: 1000 });
      assert.equal((await failure(await bare(), first, next)).code, 1007);
    });

    it('binary data is not validated', async () => {
      const { server, socket } = await bare();
      const received = once(server, 'message');
      socket.write(frame(BINARY, Buffer.from([0xff, 0xc0])));
      assert.deepEqual((await received)[0], Buffer.from([0xff, 0xc0]));
    });
  });

  describe('beyond maxPayload', () => {
    const limit = { maxPayload: 5000, perMessageDeflate: false };

    it('close with 1009 at the head of the frame', async () => {
      const head = frame(TEXT, '', { length: 5001 });
      assert.deepEqual(await failure(await bare(limit), head), {
        message: 'max payload size exceeded',
        code: 1009,
      });
    });

    it('close with 1009 at the head of the fragment that exceeds it', async () => {
      const first = frame(BINARY, Buffer.alloc(5000), FIRST);
      const next = frame(0, '', { length: 1 });
      assert.equal((await failure(await bare(limit), first, next)).code, 1009);
    });

    it('do not affect other connections', async () => {
      const attacked = await bare(limit);
      await failure(attacked, frame(TEXT, '', { length: 5001 }));
      await serves(attacked.wss);
    });
  });

  describe('in great numbers', () => {
    /**
     * Resolves to the message of the server's error, or to the length of the message.
     */
    const outcome = (server) =>
      new Promise((resolve) => {
        server.on('error', (error) => resolve(error.message));
        server.on('message', (data) => resolve(data.length));
      });

    for (const [name, part, total] of [
      ['empty', '', 0],
      ['one-byte', 'x', 100000],
    ]) {
      it(`100,000 ${name} fragments leave the server alive`, async () => {
        const { server, socket, wss } = await bare();
        const done = outcome(server);
        const filling = Buffer.concat(
          Array(99998).fill(frame(0, part, { fin: false })),
        );
        socket.write(frame(TEXT, part, FIRST));
        socket.write(filling);
        socket.write(frame(0, part));
        const result = await done;
        assert.ok(typeof result === 'string' || result === total, result);
        await serves(wss);
      }).timeout(10000);
    }

    it('20,000 messages in one write all arrive in order', async () => {
      const { server, socket } = await bare();
      const received = collect(server, 'message', 20000);
      const frames = [];
      for (let i = 0; i < 20000; i++) frames.push(frame(TEXT, `${i}`));
      socket.write(Buffer.concat(frames));
      (await received).forEach(([data], i) => assert.equal(data, `${i}`));
    });

    // RFC 6455, 5.5.3: it is sufficient to answer the most recent ping.
    it('20,000 pings in one write are answered up to the last one', async () => {
      const { server, socket, wire, wss } = await bare();
      const pinged = collect(server, 'ping', 20000);
      const frames = [];
      for (let i = 0; i < 20000; i++) frames.push(frame(PING, `${i}`));
      socket.write(Buffer.concat(frames));
      let last = -1;
      while (last < 19999) {
        const { opcode, payload } = await wire.frame();
        assert.equal(opcode, PONG);
        assert.ok(Number(payload) > last, 'pongs in the order of the pings');
        last = Number(payload);
      }
      assert.equal(last, 19999);
      assert.equal((await pinged).length, 20000);
      await serves(wss);
    });

    it('a connection that ends within a message frees the server', async () => {
      const { server, socket, wss } = await bare();
      const closed = closing(server);
      socket.write(frame(TEXT, 'x'.repeat(1000), FIRST));
      socket.write(frame(0, 'x', { length: 1000 }));
      socket.end();
      assert.equal((await closed)[0], 1006);
      await serves(wss);
    });
  });

  describe('cannot read memory of the process:', () => {
    for (const method of ['ping', 'pong']) {
      for (const number of [1, 50, 125, 10000, -1, 1.5]) {
        it(`${method}(${number}) sends the text of the number`, async () => {
          const { client, wire } = await bareServer(PLAIN);
          client[method](number);
          assert.equal((await wire.frame()).payload.toString(), `${number}`);
        });
      }
    }

    for (const number of [50, 10000]) {
      it(`send(${number}) sends the text of the number`, async () => {
        const { client, wire } = await bareServer(PLAIN);
        client.send(number);
        assert.equal((await wire.frame()).payload.toString(), `${number}`);
      });
    }

    const filled = Buffer.alloc(64, 'A');

    for (const [name, reason, bytes] of [
      ['a number', 100, Buffer.alloc(0)],
      ['a Buffer', filled, filled],
      ['a Uint8Array', new Uint8Array(filled), filled],
      [
        'a part of a Uint8Array',
        new Uint8Array(64).fill(65).subarray(8, 16),
        filled.subarray(0, 8),
      ],
      ['a Float64Array', new Float64Array(8), Buffer.alloc(64)],
      ['a DataView', new DataView(new ArrayBuffer(64)), Buffer.alloc(64)],
      ['an ArrayBuffer', new ArrayBuffer(64), Buffer.alloc(64)],
    ]) {
      it(`close with ${name} as reason leaks nothing`, async () => {
        const { client, wire } = await bareServer(PLAIN);
        const refused = new Promise((resolve) => {
          client.on('error', (error) => resolve({ error }));
          try {
            client.close(1000, reason);
          } catch (error) {
            resolve({ error });
          }
        });
        const { error, opcode, payload } = await Promise.race([
          refused,
          wire.frame(),
        ]);

        if (error) {
          assert.ok(error instanceof Error);
        } else {
          const allowed = [bytes, Buffer.from(String(reason)), Buffer.alloc(0)];
          assert.equal(opcode, CLOSE);
          assert.equal(payload.readUInt16BE(0), 1000);
          assert.ok(
            allowed.some((one) => one.equals(payload.subarray(2))),
            payload.toString('latin1', 2),
          );
        }
      });
    }
  });

  describe('cannot predict the masks:', () => {
    it('every frame of a client has a different key', async () => {
      const { client, wire } = await bareServer(PLAIN);
      for (let i = 0; i < 64; i++) client.send('the same text');
      const keys = (await wire.frames(64)).map(({ key }) =>
        key.toString('hex'),
      );
      assert.equal(new Set(keys).size, 64);
    });

    it('every byte of the keys varies', async () => {
      const { client, wire } = await bareServer(PLAIN);
      for (let i = 0; i < 64; i++) client.send('the same text');
      const keys = (await wire.frames(64)).map(({ key }) => key);
      for (let at = 0; at < 4; at++) {
        assert.ok(new Set(keys.map((key) => key[at])).size > 16);
      }
    });

    it('every control frame has a different key', async () => {
      const { client, wire } = await bareServer(PLAIN);
      for (let i = 0; i < 64; i++) client.ping('the same data');
      const keys = (await wire.frames(64)).map(({ key }) =>
        key.toString('hex'),
      );
      assert.equal(new Set(keys).size, 64);
    });

    it('two connections have different keys', async () => {
      const keys = [];
      for (let i = 0; i < 2; i++) {
        const { client, wire } = await bareServer(PLAIN);
        for (let n = 0; n < 16; n++) client.send('the same text');
        for (const { key } of await wire.frames(16)) {
          keys.push(key.toString('hex'));
        }
      }
      assert.equal(new Set(keys).size, 32);
    });
  });

  it('a bad frame of a server fails only the client', async () => {
    const { client, socket } = await bareServer(PLAIN);
    const failed = new Promise((resolve) => client.on('error', resolve));
    socket.write(frame(3, 'bad', { key: null }));
    assert.equal((await failed).message, 'invalid opcode: 3');
    const other = await pair(PLAIN);
    await serves(other.wss);
  });
});
