'use strict';

const assert = require('node:assert/strict');
const { once } = require('events');

const {
  BINARY,
  CLOSE,
  DEFLATE,
  PING,
  PONG,
  SIDES,
  TEXT,
} = require('./support');
const { WebSocket, beyondWs, closePayload, closing } = require('./support');
const { collect, deflated, each, ledger, nextUncaught } = require('./support');
const { recorded, turn } = require('./support');

const FIRST = { fin: false };
const RSV1 = 'WS_ERR_UNEXPECTED_RSV_1';
const RSV23 = 'WS_ERR_UNEXPECTED_RSV_2_3';
const OPCODE = 'WS_ERR_INVALID_OPCODE';
const FIN = 'WS_ERR_EXPECTED_FIN';
const LENGTH = 'WS_ERR_INVALID_CONTROL_PAYLOAD_LENGTH';
const CODE = 'WS_ERR_INVALID_CLOSE_CODE';
const UTF8 = 'WS_ERR_INVALID_UTF8';
const HUGE = 'WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH';
const SIZE = 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH';
const PARTS = 'WS_ERR_TOO_MANY_BUFFERED_PARTS';

const MESSAGES = {
  [RSV1]: 'RSV1 must be clear',
  [RSV23]: 'RSV2 and RSV3 must be clear',
  [FIN]: 'FIN must be set',
  [UTF8]: 'invalid UTF-8 sequence',
};

/**
 * A continuation byte alone, an overlong form, an incomplete sequence, a surrogate, and
 * a code point beyond U+10FFFF.
 */
const BAD_UTF8 = [
  [0x80],
  [0xc0, 0x80],
  [0xe2, 0x82],
  [0xed, 0xa0, 0x80],
  [0xf4, 0x90, 0x80, 0x80],
].map((bytes) => Buffer.from(bytes));

/** A part of a compressed message that can be decompressed completely by itself. */
const FLUSHED = Buffer.concat([
  deflated('x'.repeat(60)),
  Buffer.from([0, 0, 0xff, 0xff]),
]);

const prefixed = (message) => `Invalid WebSocket frame: ${message}`;

/**
 * Frames that a peer must not send: name; frames; code of the error; message of the
 * error, by default that of the code; code of the close frame; required options.
 */
const VIOLATIONS = [
  ['RSV1', [[TEXT, 'x', { rsv: 4 }]], RSV1],
  ['RSV2', [[TEXT, 'x', { rsv: 2 }]], RSV23],
  ['RSV3', [[BINARY, 'x', { rsv: 1 }]], RSV23],
  [
    'RSV1 of a later fragment',
    [
      [TEXT, deflated('x'), { ...FIRST, rsv: 4 }],
      [0, '', { rsv: 4 }],
    ],
    RSV1,
    undefined,
    1002,
    { perMessageDeflate: true },
  ],
  [
    'RSV1 of a ping',
    [[PING, '', { rsv: 4 }]],
    RSV1,
    undefined,
    1002,
    { perMessageDeflate: true },
  ],
  ['a fragment of nothing', [[0, 'x']], OPCODE, prefixed('invalid opcode 0')],
  [
    'a text within a message',
    [
      [TEXT, 'x', FIRST],
      [TEXT, 'y'],
    ],
    OPCODE,
    prefixed('invalid opcode 1'),
  ],
  [
    'binary data within a message',
    [
      [TEXT, 'x', FIRST],
      [BINARY, 'y'],
    ],
    OPCODE,
    prefixed('invalid opcode 2'),
  ],
  ...[3, 11, 15].map((opcode) => [
    `the opcode ${opcode}`,
    [[opcode, 'x']],
    OPCODE,
    prefixed(`invalid opcode ${opcode}`),
  ]),
  ['a fragment of a ping', [[PING, 'x', FIRST]], FIN],
  ['a fragment of a pong', [[PONG, 'x', FIRST]], FIN],
  ['a fragment of a close frame', [[CLOSE, '', FIRST]], FIN],
  [
    'a ping of 126 bytes',
    [[PING, 'x'.repeat(126)]],
    LENGTH,
    prefixed('invalid payload length 126'),
  ],
  [
    'a pong of 65536 bytes',
    [[PONG, '', { length: 65536 }]],
    LENGTH,
    prefixed('invalid payload length 127'),
  ],
  [
    'a close frame of 126 bytes',
    [[CLOSE, closePayload(1000, 'x'.repeat(124))]],
    LENGTH,
    prefixed('invalid payload length 126'),
  ],
  [
    'a close frame of one byte',
    [[CLOSE, 'x']],
    LENGTH,
    prefixed('invalid payload length 1'),
  ],
  ...[0, 1004, 1006, 1015, 2999, 5000].map((code) => [
    `the close code ${code}`,
    [[CLOSE, closePayload(code)]],
    CODE,
    prefixed(`invalid status code ${code}`),
  ]),
  ...BAD_UTF8.map((bytes) => [
    `a text of ${bytes.toString('hex')}`,
    [[TEXT, bytes]],
    UTF8,
    undefined,
    1007,
  ]),
  [
    'bad UTF-8 over two fragments',
    [
      [TEXT, [0xe2, 0x82], FIRST],
      [0, 'x'],
    ],
    UTF8,
    undefined,
    1007,
  ],
  [
    'bad UTF-8 in a compressed text',
    [[TEXT, deflated(Buffer.from([0xff])), { rsv: 4 }]],
    UTF8,
    undefined,
    1007,
    { perMessageDeflate: true },
  ],
  [
    'bad UTF-8 in a close frame',
    [[CLOSE, Buffer.concat([closePayload(1000), Buffer.from([0xff])])]],
    UTF8,
    undefined,
    1007,
  ],
  ...[2 ** 53, 2n ** 64n - 1n].map((length) => [
    `a frame of ${length} bytes`,
    [[BINARY, '', { length }]],
    HUGE,
    'Unsupported WebSocket frame: payload length > 2^53 - 1',
    1009,
  ]),
  [
    'a message longer than 100 MiB',
    [[BINARY, '', { length: 104857601 }]],
    SIZE,
    'Max payload size exceeded',
    1009,
  ],
  [
    'a message longer than maxPayload',
    [[BINARY, 'x'.repeat(11)]],
    SIZE,
    'Max payload size exceeded',
    1009,
    { maxPayload: 10 },
  ],
  [
    'fragments longer than maxPayload',
    [
      [TEXT, 'x'.repeat(6), FIRST],
      [0, 'x'.repeat(5), FIRST],
    ],
    SIZE,
    'Max payload size exceeded',
    1009,
    { maxPayload: 10 },
  ],
  [
    'what is inflated to more than maxPayload',
    [[TEXT, deflated('x'.repeat(101)), { rsv: 4 }]],
    SIZE,
    'Max payload size exceeded',
    1009,
    { maxPayload: 100, perMessageDeflate: true },
  ],
  [
    'fragments that are inflated to more than maxPayload',
    [
      [TEXT, FLUSHED, { ...FIRST, rsv: 4 }],
      [0, deflated('x'.repeat(60))],
    ],
    SIZE,
    'Max payload size exceeded',
    1009,
    { maxPayload: 100, perMessageDeflate: true },
  ],
  [
    'more than maxFragments',
    [
      [TEXT, 'x', FIRST],
      [0, '', FIRST],
      [0, 'x'],
    ],
    PARTS,
    'Too many message fragments',
    1008,
    { maxFragments: 2 },
  ],
  [
    'more than 16,384 fragments',
    [[TEXT, '', FIRST], ...Array(16384).fill([0, '', FIRST])],
    PARTS,
    'Too many message fragments',
    1008,
  ],
  [
    'more than maxFragments that are compressed',
    [
      [TEXT, deflated('x'), { ...FIRST, rsv: 4 }],
      [0, '', FIRST],
      [0, ''],
    ],
    PARTS,
    'Too many message fragments',
    1008,
    { maxFragments: 2, perMessageDeflate: true },
  ],
];

describe('The violation of the protocol', () => {
  const { bare } = ledger();

  /** Creates a WebSocket with these options. Its peer accepts permessage-deflate. */
  const peerOf = (side, options) =>
    bare(side, options, {
      extensions: options && options.perMessageDeflate ? DEFLATE : undefined,
    });

  /** Sends invalid frames, and checks what follows. Resolves to the error. */
  async function violate({ ws, wire, socket, sendAll }, frames, closeCode) {
    const events = recorded(ws, 'message', 'ping', 'pong', 'error', 'close');
    const states = [];
    ws.once('error', () => states.push(ws.readyState));
    const failed = once(ws, 'error');
    const closed = collect(ws, 'close', 1);
    const ended = once(socket, 'end');
    sendAll(...frames, [TEXT, 'behind'], [PING]);
    const [error] = await failed;
    const sent = await wire.rest();
    assert.deepEqual(
      sent.map(({ opcode, payload }) => [opcode, payload]),
      [[CLOSE, closePayload(closeCode)]],
    );
    await ended;
    const [[code, reason]] = await closed;
    assert.equal(code, 1006);
    assert.equal(reason.length, 0);
    assert.deepEqual(events, ['error', 'close']);
    assert.deepEqual(states, [WebSocket.CLOSING]);
    const symbols = Object.getOwnPropertySymbols(error);
    assert.ok(symbols.some((symbol) => error[symbol] === closeCode));
    return error;
  }

  describe('at either end by', () => {
    const sides = SIDES.map((side) => [side]);

    for (const violation of VIOLATIONS) {
      const [name, frames, code, text, closeCode = 1002, options] = violation;
      it(name, () =>
        each(sides, async (side) => {
          const peer = await peerOf(side, options);
          const error = await violate(peer, frames, closeCode);
          assert.equal(error.code, code);
          assert.equal(error.message, text || prefixed(MESSAGES[code]));
          assert.equal(error.constructor, code === UTF8 ? Error : RangeError);
        }),
      );
    }

    for (const [side, isMasked, code, message] of [
      ['server', false, 'WS_ERR_EXPECTED_MASK', 'MASK must be set'],
      ['client', true, 'WS_ERR_UNEXPECTED_MASK', 'MASK must be clear'],
    ]) {
      it(`a frame ${isMasked ? 'with' : 'without'} a mask`, async () => {
        const key = isMasked ? Buffer.from([1, 2, 3, 4]) : null;
        const peer = await peerOf(side);
        const error = await violate(peer, [[TEXT, 'x', { key }]], 1002);
        assert.equal(error.code, code);
        assert.equal(error.message, prefixed(message));
        assert.equal(error.constructor, RangeError);
      });
    }

    it('data that cannot be inflated', () =>
      each(sides, async (side) => {
        const peer = await peerOf(side, { perMessageDeflate: true });
        const frames = [[TEXT, 'not deflated', { rsv: 4 }]];
        const error = await violate(peer, frames, 1007);
        assert.equal(error.code, 'Z_DATA_ERROR');
        assert.equal(error.errno, -3);
        assert.equal(error.constructor, Error);
      }));
  });

  describe('is reported', () => {
    it('after the messages before it', async () => {
      const { ws, sendAll } = await bare('server');
      const events = recorded(ws, 'message', 'ping', 'error', 'close');
      const closed = closing(ws);
      sendAll([TEXT, 'a'], [PING], [TEXT, 'b'], [15]);
      await closed;
      const expected = ['message', 'ping', 'message', 'error', 'close'];
      assert.deepEqual(events, expected);
    });

    it('by an uncaught exception without a listener', async () => {
      const { send } = await bare('server');
      const thrown = await nextUncaught(() => send(15));
      assert.equal(thrown, prefixed('invalid opcode 15'));
    });

    it('while CLOSING as well', async () => {
      const { ws, send, wire } = await bare('server');
      const failed = once(ws, 'error');
      const closed = closing(ws);
      ws.close(4000);
      await wire.frame();
      send(15);
      assert.equal((await failed)[0].code, OPCODE);
      assert.deepEqual(await wire.rest(), []);
      assert.deepEqual(await closed, [1006, '']);
    });

    it('to the peer with its own close code, even if the listener calls close()', async () => {
      const { ws, send, wire } = await bare('server');
      ws.on('error', () => ws.close(1011, 'too late'));
      send(15);
      const { payload } = await wire.frame();
      assert.deepEqual(payload, closePayload(1002));
    });

    it('after which send() fails', async () => {
      const { ws, send } = await bare('server');
      const refused = new Promise((resolve) => {
        ws.on('error', () => ws.send('x', resolve));
      });
      send(15);
      const { message } = await refused;
      assert.equal(message, 'WebSocket is not open: readyState 2 (CLOSING)');
    });
  });
});

describe('No violation', () => {
  const { bare, pair } = ledger();

  for (const side of SIDES) {
    for (const [name, options, frames] of [
      [
        'is as much as maxPayload',
        { maxPayload: 10 },
        [[TEXT, 'x'.repeat(10)]],
      ],
      [
        'is a control frame within it',
        { maxPayload: 10 },
        [
          [TEXT, 'x'.repeat(5), FIRST],
          [PING, 'x'.repeat(11)],
          [0, 'x'.repeat(5)],
        ],
      ],
      [
        'is as many as maxFragments, each time',
        { maxFragments: 2 },
        [[TEXT, 'x', FIRST], [PING], [0, 'x'], [TEXT, 'x', FIRST], [0, 'x']],
      ],
      [
        'is as much as is inflated to maxPayload, each time',
        { maxPayload: 100, perMessageDeflate: true },
        Array(2).fill([TEXT, deflated('x'.repeat(100)), { rsv: 4 }]),
      ],
      [
        'is anything without limits',
        { maxFragments: 0, maxPayload: 0 },
        [[TEXT, '', FIRST], ...Array(20000).fill([0, 'x', FIRST]), [0]],
      ],
    ]) {
      it(`${name}, at the ${side}`, async () => {
        const extensions = options.perMessageDeflate ? DEFLATE : undefined;
        const { ws, sendAll } = await bare(side, options, { extensions });
        const errors = recorded(ws, 'error');
        const closed = closing(ws);
        const messages = recorded(ws, 'message');
        sendAll(...frames, [CLOSE, closePayload(1000)]);
        assert.deepEqual(await closed, [1000, '']);
        assert.deepEqual(errors, []);
        assert.ok(messages.length > 0);
      });
    }

    it(`is bad UTF-8 with skipUTF8Validation, at the ${side}`, async () => {
      const { ws, sendAll } = await bare(side, { skipUTF8Validation: true });
      const bad = Buffer.from([0xff, 0x80]);
      const received = once(ws, 'message');
      const closed = once(ws, 'close');
      const reason = Buffer.concat([closePayload(1000), bad]);
      sendAll([TEXT, bad], [CLOSE, reason]);
      assert.deepEqual(await received, [bad, false]);
      assert.deepEqual(await closed, [1000, bad]);
    });
  }

  it('is a message that a client has not compressed', async () => {
    const { client, server } = await pair({ perMessageDeflate: true });
    const received = collect(server, 'message', 2);
    client.send('plain', { compress: false });
    client.send('compressed');
    assert.deepEqual((await received).map(String), [
      'plain,false',
      'compressed,false',
    ]);
  });
});

beyondWs('maxBufferedChunks', () => {
  const { bare } = ledger();

  it('does not limit the chunks in which a frame arrives', async () => {
    const { ws, frame, socket } = await bare('server', {
      maxBufferedChunks: 1,
    });
    const received = once(ws, 'message');
    socket.setNoDelay();
    for (const byte of frame(TEXT, 'text')) {
      socket.write(Buffer.from([byte]));
      await turn();
    }
    assert.equal(String((await received)[0]), 'text');
  });
});

beyondWs('invalid UTF-8', () => {
  const { bare } = ledger();

  for (const side of SIDES) {
    it(`is found at its first byte by the ${side}`, async () => {
      const { ws, send } = await bare(side);
      const failed = once(ws, 'error');
      send(TEXT, [0x61, 0xff], FIRST);
      assert.equal((await failed)[0].code, UTF8);
    });
  }
});
