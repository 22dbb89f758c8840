'use strict';

const assert = require('node:assert/strict');
const { randomBytes } = require('crypto');
const { once } = require('events');
const net = require('net');
const zlib = require('zlib');

const { BINARY, DEFLATE, PING, PONG, SIDES, TEXT } = require('./support');
const {
  WebSocket,
  accepting,
  closing,
  collect,
  deflated,
  each,
} = require('./support');
const {
  exchange,
  inflated,
  ledger,
  reader,
  recorded,
  request,
} = require('./support');
const { beyondWs, portOf, url } = require('./support');

const EXTENSIONS = 'Sec-WebSocket-Extensions';
const MIB = 1 << 20;
const ON = { perMessageDeflate: true };

/** Options of a server, the offer of a client, and the server's response. */
const ANSWERS = [
  [false, DEFLATE, undefined],
  [true, undefined, undefined],
  [true, 'another', undefined],
  [true, DEFLATE, DEFLATE],
  [true, `another, ${DEFLATE}`, DEFLATE],
  [true, `${DEFLATE}; client_max_window_bits`, DEFLATE],
  [
    true,
    `${DEFLATE}; server_max_window_bits=10; client_no_context_takeover`,
    `${DEFLATE}; server_max_window_bits=10; client_no_context_takeover`,
  ],
  [
    { serverNoContextTakeover: true, clientNoContextTakeover: true },
    DEFLATE,
    `${DEFLATE}; server_no_context_takeover; client_no_context_takeover`,
  ],
  [
    { serverMaxWindowBits: 10, clientMaxWindowBits: 11 },
    `${DEFLATE}; client_max_window_bits`,
    `${DEFLATE}; client_max_window_bits=11; server_max_window_bits=10`,
  ],
  [
    { serverNoContextTakeover: false },
    `${DEFLATE}; server_no_context_takeover, ${DEFLATE}`,
    DEFLATE,
  ],
];

/** Options of a client, and its offer. */
const OFFERS = [
  [{}, `${DEFLATE}; client_max_window_bits`],
  [{ perMessageDeflate: true }, `${DEFLATE}; client_max_window_bits`],
  [{ perMessageDeflate: false }, undefined],
  [{ perMessageDeflate: { clientMaxWindowBits: false } }, DEFLATE],
  [
    {
      perMessageDeflate: {
        clientMaxWindowBits: 10,
        clientNoContextTakeover: true,
        serverMaxWindowBits: 11,
        serverNoContextTakeover: true,
      },
    },
    `${DEFLATE}; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=11; client_max_window_bits=10`,
  ],
];

/** Options of a client, and parameters in a response that it does not accept. */
const BAD_ANSWERS = [
  [{ clientMaxWindowBits: 10 }, 'client_max_window_bits=11'],
  [{ clientMaxWindowBits: false }, 'client_max_window_bits=11'],
  [{ clientNoContextTakeover: false }, 'client_no_context_takeover'],
  [true, 'client_max_window_bits'],
  [true, 'server_max_window_bits=7'],
  [true, 'server_no_context_takeover=1'],
  [true, 'server_max_window_bits=9; server_max_window_bits=9'],
];

/** Returns the sorted parts of an extension in a header. */
const parts = (value) => value && value.trim().split('; ').sort();

/** The examples of RFC 7692, 7.2.3: compressed messages whose text is "Hello". */
const HELLO = [
  ['one block', 'f248cdc9c90700'],
  ['one that shares the window', 'f2001100', '00'],
  ['a block that is not compressed', '000500faff48656c6c6f00'],
  ['a block that is the last', 'f348cdc9c9070000'],
  ['two blocks', 'f248050000', '00ffffcac9c90700'],
];

/** Options that are out of range, and the messages of their errors. */
const OUT_OF_RANGE = [
  [
    { zlibDeflateOptions: { level: 12 } },
    'perMessageDeflate.level must be an integer from 0 to 9: 12',
  ],
  [
    { zlibDeflateOptions: { memLevel: 0 } },
    'perMessageDeflate.memLevel must be an integer from 1 to 9: 0',
  ],
  [
    { serverMaxWindowBits: 16 },
    'perMessageDeflate.serverMaxWindowBits must be an integer from 8 to 15: 16',
  ],
  [
    { clientMaxWindowBits: 7 },
    'perMessageDeflate.clientMaxWindowBits must be an integer from 8 to 15: 7',
  ],
];

describe('permessage-deflate', () => {
  const { answering, bare, pair, serve, track } = ledger();

  const deflate = (side, options, parameters = '') =>
    bare(side, { ...ON, ...options }, { extensions: DEFLATE + parameters });

  describe('is agreed on by a server', () => {
    it('as its options say', () =>
      each(ANSWERS, async (perMessageDeflate, offer, expected) => {
        const wss = await serve({ perMessageDeflate });
        const connected = once(wss, 'connection');
        const socket = track(net.connect(portOf(wss), '127.0.0.1'));
        socket.write(request({ [EXTENSIONS]: offer }));
        const head = await reader(socket).head();
        const [, found] = /^sec-websocket-extensions: (.*)$/im.exec(head) || [];
        assert.deepEqual(parts(found), parts(expected));
        const [ws] = await connected;
        assert.equal(ws.extensions, expected ? DEFLATE : '');
      }));

    it('or refused with 400 if its options do not allow the offer', async () => {
      const wss = await serve({
        perMessageDeflate: { serverNoContextTakeover: false },
      });
      const offer = `${DEFLATE}; server_no_context_takeover`;
      const answer = await exchange(wss, request({ [EXTENSIONS]: offer }));
      assert.equal(answer.line, 'HTTP/1.1 400 Bad Request');
    });
  });

  it('is offered by a client as its options say', () =>
    each(OFFERS, async (options, expected) => {
      const { headers } = (await pair({}, options)).req;
      const found = headers['sec-websocket-extensions'];
      assert.deepEqual(parts(found), parts(expected));
    }));

  it('is refused by a client that has offered something else', () =>
    each(BAD_ANSWERS, async (perMessageDeflate, answer) => {
      const fields = { [EXTENSIONS]: `${DEFLATE}; ${answer}` };
      const server = await answering((head) => accepting(head, fields));
      const ws = track(new WebSocket(url(server), { perMessageDeflate }));
      const [{ message }] = await once(ws, 'error');
      assert.equal(message, 'Invalid Sec-WebSocket-Extensions header');
    }));

  describe('carries', () => {
    for (const size of [0, 1, 125, 126, 1023, 1024, 65535, 65536, MIB]) {
      it(`${size} bytes, as text and as binary, both ways`, async () => {
        const { client, server } = await pair(ON);
        const text = randomBytes(size).toString('base64').slice(0, size);
        for (const [from, to] of [
          [client, server],
          [server, client],
        ]) {
          const received = collect(to, 'message', 2);
          from.send(text);
          from.send(Buffer.from(text));
          const messages = await received;
          for (const [data] of messages) assert.equal(String(data), text);
          const types = messages.map(([, isBinary]) => isBinary);
          assert.deepEqual(types, [false, true]);
        }
      });
    }

    it('a Blob, an ArrayBuffer and a view', async () => {
      const { client, server } = await pair(ON);
      const received = collect(server, 'message', 3);
      const bytes = new Uint8Array([116, 101, 120, 116]);
      client.send(new Blob(['text']));
      client.send(bytes.buffer);
      client.send(new DataView(bytes.buffer, 1, 2));
      const texts = (await received).map(([data]) => data.toString());
      assert.deepEqual(texts, ['text', 'text', 'ex']);
    });

    it('everything in its order', async () => {
      const { client, server } = await pair(ON);
      const received = collect(server, 'message', 200);
      for (let i = 0; i < 200; i++) {
        const compress = i % 2 === 0;
        client.send(`${i}`.padEnd(i * 50, '.'), { compress });
      }
      const numbers = (await received).map(([data]) => parseInt(data, 10));
      assert.deepEqual(numbers, [...Array(200).keys()]);
    });

    it('what is sent before close()', async () => {
      const { client, server } = await pair(ON);
      const events = recorded(server, 'message', 'close');
      const closed = closing(server);
      client.send('x'.repeat(300000));
      client.send('y');
      client.close(1000, 'done');
      assert.deepEqual(await closed, [1000, 'done']);
      assert.deepEqual(events, ['message', 'message', 'close']);
    });

    for (const [name, level, check] of [
      ['nothing smaller with level 0', 0, (size) => size >= 3000],
      ['less with level 9', 9, (size) => size < 300],
    ]) {
      it(name, async () => {
        const { ws, wire } = await deflate('server', {
          perMessageDeflate: { zlibDeflateOptions: { level } },
        });
        ws.send('0123456789'.repeat(300));
        const { payload, rsv } = await wire.frame();
        assert.equal(rsv, 4);
        assert.ok(check(payload.length), `${payload.length}`);
        const text = inflated(payload).toString();
        assert.equal(text, '0123456789'.repeat(300));
      });
    }
  });

  for (const side of SIDES) {
    const own = side === 'server' ? 'server' : 'client';
    const takeover = `; ${own}_no_context_takeover`;

    describe(`at the ${side}`, () => {
      it('compresses messages of any length with context takeover', async () => {
        const { ws, wire } = await deflate(side);
        ws.send('a');
        ws.send(Buffer.alloc(0));
        ws.send('b'.repeat(2000));
        const frames = await wire.frames(3);
        assert.deepEqual(
          frames.map(({ opcode, rsv }) => [opcode, rsv]),
          [
            [TEXT, 4],
            [BINARY, 4],
            [TEXT, 4],
          ],
        );
        assert.equal(inflated(frames[0].payload).toString(), 'a');
      });

      it('does not compress with compress: false', async () => {
        const { ws, wire } = await deflate(side);
        ws.send('text', { compress: false });
        ws.ping('ping');
        const frames = await wire.frames(2);
        assert.deepEqual(
          frames.map(({ rsv, text }) => [rsv, text]),
          [
            [0, 'text'],
            [0, 'ping'],
          ],
        );
      });

      it('does not compress if the extension was not negotiated', async () => {
        const { ws, wire } = await bare(side, ON);
        ws.send('text', { compress: true });
        const { rsv, text } = await wire.frame();
        assert.equal(rsv, 0);
        assert.equal(text, 'text');
      });

      for (const [name, options, below] of [
        ['a threshold of 1024', {}, 1023],
        ['a threshold of its own', { threshold: 10 }, 9],
      ]) {
        it(`has ${name} without context takeover`, async () => {
          const { ws, wire } = await deflate(
            side,
            { perMessageDeflate: options },
            takeover,
          );
          ws.send('x'.repeat(below));
          ws.send('x'.repeat(below + 1));
          ws.send(Buffer.alloc(below + 1));
          const frames = await wire.frames(3);
          assert.deepEqual(
            frames.map(({ rsv }) => rsv),
            [0, 4, 4],
          );
        });
      }

      it('compresses all fragments if it compresses the first one', async () => {
        const options = { perMessageDeflate: { threshold: 10 } };
        const { ws, wire } = await deflate(side, options, takeover);
        for (const size of [9, 10]) {
          ws.send('x'.repeat(size), { fin: false });
          ws.ping();
          ws.send('y'.repeat(100));
        }
        const frames = await wire.frames(6);
        assert.deepEqual(
          frames.map(({ fin, opcode, rsv }) => [fin, opcode, rsv]),
          [
            [false, TEXT, 0],
            [true, PING, 0],
            [true, 0, 0],
            [false, TEXT, 4],
            [true, PING, 0],
            [true, 0, 0],
          ],
        );
        assert.equal(frames[2].text, 'y'.repeat(100));
        const packed = Buffer.concat([frames[3].payload, frames[5].payload]);
        assert.equal(
          inflated(packed).toString(),
          'x'.repeat(10) + 'y'.repeat(100),
        );
      });

      it('keeps the context between messages only with context takeover', async () => {
        const data = randomBytes(2000);
        for (const [parameters, isKept] of [
          ['', true],
          [takeover, false],
        ]) {
          const { ws, wire } = await deflate(side, {}, parameters);
          ws.send(data);
          ws.send(data);
          const [first, second] = await wire.frames(2);
          assert.equal(second.payload.length < 1000, isKept);
          assert.ok(inflated(first.payload).equals(data));
          if (!isKept) assert.deepEqual(second.payload, first.payload);
        }
      });

      it('uses the window size that was negotiated', async () => {
        const parameters = `; ${own}_max_window_bits=9`;
        const { ws, wire } = await deflate(side, {}, parameters);
        const data = randomBytes(2000);
        ws.send(Buffer.concat([data, data]));
        const { payload } = await wire.frame();
        assert.ok(payload.length > 4000);
        const unpacked = zlib.inflateRawSync(
          Buffer.concat([payload, Buffer.from([0, 0, 0xff, 0xff])]),
          { finishFlush: zlib.constants.Z_SYNC_FLUSH, windowBits: 9 },
        );
        assert.ok(unpacked.equals(Buffer.concat([data, data])));
      });

      it('inflates the messages of RFC 7692', async () => {
        const { ws, sendAll } = await deflate(side);
        const received = collect(ws, 'message', HELLO.length);
        sendAll(
          ...HELLO.map(([, ...hex]) => [
            TEXT,
            Buffer.from(hex.join(''), 'hex'),
            { rsv: 4 },
          ]),
        );
        const texts = (await received).map(([data]) => data.toString());
        assert.deepEqual(
          texts,
          HELLO.map(() => 'Hello'),
        );
      });

      it('inflates fragments, with control frames between', async () => {
        const { ws, sendAll, wire } = await deflate(side);
        const received = once(ws, 'message');
        const data = deflated('text'.repeat(1000));
        sendAll(
          [TEXT, data.subarray(0, 3), { fin: false, rsv: 4 }],
          [PING, 'ping'],
          [0, '', { fin: false }],
          [0, data.subarray(3)],
        );
        assert.equal(String((await received)[0]), 'text'.repeat(1000));
        const { opcode, rsv } = await wire.frame();
        assert.deepEqual([opcode, rsv], [PONG, 0]);
      });

      it('stops inflating a message at maxPayload', async () => {
        const { ws, send } = await deflate(side, { maxPayload: MIB });
        const failed = once(ws, 'error');
        send(BINARY, deflated(Buffer.alloc(32 * MIB)), { rsv: 4 });
        const { code } = (await failed)[0];
        assert.equal(code, 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH');
        assert.equal((await closing(ws))[0], 1006);
      });
    });
  }

  it('calls back in order', async () => {
    const { client } = await pair(ON);
    const called = [];
    await new Promise((resolve) => {
      client.send('x'.repeat(300000), () => called.push(1));
      client.send('plain', { compress: false }, () => called.push(2));
      client.ping('ping', undefined, () => called.push(3));
      client.send('y', () => resolve(called.push(4)));
      assert.deepEqual(called, []);
    });
    assert.deepEqual(called, [1, 2, 3, 4]);
  });

  describe('sends nothing after terminate()', () => {
    /** A text that takes long to compress. */
    const long = randomBytes(3 << 20).toString('base64');

    for (const [title, busy] of [
      ['and calls back with an error', 0],
      ['even if it is compressed before the socket is closed', 1000],
    ]) {
      it(title, async () => {
        const { client } = await pair(ON);
        const failed = new Promise((resolve) => client.send(long, resolve));
        client.terminate();
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, busy);
        assert.equal(
          (await failed).message,
          'The socket was closed while data was being compressed',
        );
      });
    }
  });

  it('serves many connections at once', async () => {
    const wss = await serve(ON);
    wss.on('connection', (ws) => {
      ws.on('message', (data) => ws.send(data));
    });
    const texts = Array.from({ length: 20 }, (_, i) => `${i}`.repeat(50000));
    const echoes = await Promise.all(
      texts.map(async (text) => {
        const ws = track(new WebSocket(url(wss)));
        await once(ws, 'open');
        ws.send(text);
        return String((await once(ws, 'message'))[0]);
      }),
    );
    assert.deepEqual(echoes, texts);
  });

  beyondWs('options', () => {
    it('that are out of range throw at both ends', () =>
      each(OUT_OF_RANGE, (perMessageDeflate, text) => {
        assert.throws(
          () => new WebSocket.Server({ noServer: true, perMessageDeflate }),
          { message: text },
        );
        assert.throws(
          () => new WebSocket('ws://127.0.0.1:1', { perMessageDeflate }),
          { message: text },
        );
      }));

    it('may have a threshold that is a string', async () => {
      const { client, server } = await pair({
        perMessageDeflate: { serverNoContextTakeover: true, threshold: '2000' },
      });
      const received = once(client, 'message');
      server.send('x'.repeat(1999));
      assert.equal((await received)[0].length, 1999);
    });
  });
});
