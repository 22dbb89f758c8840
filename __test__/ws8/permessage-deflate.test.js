'use strict';

const assert = require('node:assert/strict');
const { randomBytes } = require('crypto');

const { WebSocket, deflated, each, inflated } = require('./support');

const { PerMessageDeflate } = WebSocket;

const BITS = ['client_max_window_bits', 'server_max_window_bits'];
const TAKEOVER = ['client_no_context_takeover', 'server_no_context_takeover'];

/** Options of a client, and its offer. */
const OFFERS = [
  [{}, { client_max_window_bits: true }],
  [
    {
      clientMaxWindowBits: 10,
      clientNoContextTakeover: true,
      serverMaxWindowBits: 9,
      serverNoContextTakeover: true,
    },
    {
      client_max_window_bits: 10,
      client_no_context_takeover: true,
      server_max_window_bits: 9,
      server_no_context_takeover: true,
    },
  ],
  [{ clientMaxWindowBits: false }, {}],
  [{ clientMaxWindowBits: true }, { client_max_window_bits: true }],
  [{ serverNoContextTakeover: false }, { client_max_window_bits: true }],
];

/** Options of a server, the offers of a client, and the accepted parameters. */
const AGREED = [
  [{}, [{}], {}],
  [{}, [{ client_max_window_bits: [true] }], {}],
  [{}, [{ client_max_window_bits: ['10'] }], { client_max_window_bits: 10 }],
  [{}, [{ server_max_window_bits: ['9'] }], { server_max_window_bits: 9 }],
  [
    {},
    [
      {
        client_no_context_takeover: [true],
        server_no_context_takeover: [true],
      },
    ],
    { client_no_context_takeover: true, server_no_context_takeover: true },
  ],
  [
    { clientNoContextTakeover: true, serverNoContextTakeover: true },
    [{}],
    { client_no_context_takeover: true, server_no_context_takeover: true },
  ],
  [
    { clientNoContextTakeover: false },
    [{ client_no_context_takeover: [true] }],
    { client_no_context_takeover: true },
  ],
  [{ serverMaxWindowBits: 11 }, [{}], { server_max_window_bits: 11 }],
  [
    { serverMaxWindowBits: 11 },
    [{ server_max_window_bits: ['12'] }],
    { server_max_window_bits: 11 },
  ],
  [
    { clientMaxWindowBits: 11 },
    [{ client_max_window_bits: [true] }],
    { client_max_window_bits: 11 },
  ],
  [
    { clientMaxWindowBits: 11 },
    [{ client_max_window_bits: ['12'] }],
    { client_max_window_bits: 11 },
  ],
  [{ clientMaxWindowBits: false }, [{ client_max_window_bits: ['12'] }], {}],
  [
    { serverMaxWindowBits: 11 },
    [{ server_max_window_bits: ['10'] }, { server_max_window_bits: ['11'] }],
    { server_max_window_bits: 11 },
  ],
];

/** Options of a server, and offers that it cannot accept. */
const NOT_AGREED = [
  [
    { serverNoContextTakeover: false },
    [{ server_no_context_takeover: [true] }],
  ],
  [{ serverMaxWindowBits: false }, [{ server_max_window_bits: ['10'] }]],
  [{ serverMaxWindowBits: 11 }, [{ server_max_window_bits: ['10'] }]],
  [{ clientMaxWindowBits: 11 }, [{}]],
  [{ clientMaxWindowBits: 11 }, [{ client_max_window_bits: ['10'] }]],
];

/** Options of a client, the server's response, and the negotiated parameters. */
const ANSWERS = [
  [{}, {}, {}],
  [
    {},
    {
      client_max_window_bits: ['10'],
      client_no_context_takeover: [true],
      server_max_window_bits: ['9'],
      server_no_context_takeover: [true],
    },
    {
      client_max_window_bits: 10,
      client_no_context_takeover: true,
      server_max_window_bits: 9,
      server_no_context_takeover: true,
    },
  ],
  [{ clientMaxWindowBits: 10 }, {}, { client_max_window_bits: 10 }],
  [
    { clientMaxWindowBits: 10 },
    { client_max_window_bits: ['9'] },
    { client_max_window_bits: 9 },
  ],
  [{ clientNoContextTakeover: true }, {}, {}],
];

/** Options of a client, and responses that it does not accept. */
const BAD_ANSWERS = [
  [
    { clientNoContextTakeover: false },
    { client_no_context_takeover: [true] },
    'Unexpected parameter "client_no_context_takeover"',
  ],
  [
    { clientMaxWindowBits: false },
    { client_max_window_bits: ['10'] },
    'Unexpected or invalid parameter "client_max_window_bits"',
  ],
  [
    { clientMaxWindowBits: 10 },
    { client_max_window_bits: ['11'] },
    'Unexpected or invalid parameter "client_max_window_bits"',
  ],
  [
    {},
    { client_max_window_bits: [true] },
    'Invalid value for parameter "client_max_window_bits": true',
  ],
];

const BAD_PARAMETERS = [
  [{ other: [true] }, 'Unknown parameter "other"'],
  ...[...BITS, ...TAKEOVER].map((name) => [
    { [name]: ['10', '10'] },
    `Parameter "${name}" must have only a single value`,
  ]),
  ...TAKEOVER.map((name) => [
    { [name]: ['10'] },
    `Invalid value for parameter "${name}": 10`,
  ]),
  ...BITS.flatMap((name) =>
    ['7', '16', '10.5', 'x'].map((value) => [
      { [name]: [value] },
      `Invalid value for parameter "${name}": ${value}`,
    ]),
  ),
  [
    { server_max_window_bits: [true] },
    'Invalid value for parameter "server_max_window_bits": true',
  ],
];

describe('PerMessageDeflate', () => {
  const server = (options) =>
    new PerMessageDeflate({ isServer: true, ...options });
  const client = (options) => new PerMessageDeflate(options);
  const copy = (value) => structuredClone(value);

  /** Calls `method`. Resolves to the result of its callback. */
  const run = (made, method, data, fin = true) =>
    new Promise((resolve, reject) => {
      made[method](data, fin, (error, result) => {
        if (error) reject(error);
        else resolve(result);
      });
    });

  /** Creates both ends of a connection that has negotiated these parameters. */
  function agreed(params = {}, options) {
    const ends = [server(options), client(options)];
    for (const each of ends) each.accept([copy(params)]);
    return ends;
  }

  it('has its name, its defaults, and no parameters at first', () => {
    const made = new PerMessageDeflate();
    assert.equal(PerMessageDeflate.extensionName, 'permessage-deflate');
    assert.equal(made._threshold, 1024);
    assert.equal(made._maxPayload, 0);
    assert.equal(made.params, null);
    const { _threshold, _maxPayload } = server({
      maxPayload: 10,
      threshold: 0,
    });
    assert.deepEqual([_threshold, _maxPayload], [0, 10]);
  });

  it('offers what its options ask for', () =>
    each(OFFERS, (options, offer) => {
      assert.deepEqual(client(options).offer(), offer);
    }));

  it('agrees to the first offer that it can accept', () =>
    each(AGREED, (options, offers, expected) => {
      const made = server(options);
      assert.deepEqual({ ...made.accept(copy(offers)) }, expected);
      assert.deepEqual({ ...made.params }, expected);
    }));

  it('throws if it can accept no offer', () =>
    each(NOT_AGREED, (options, offers) => {
      assert.throws(() => server(options).accept(copy(offers)), {
        name: 'Error',
        message: 'None of the extension offers can be accepted',
      });
    }));

  it('accepts a response', () =>
    each(ANSWERS, (options, answer, expected) => {
      const made = client(options);
      assert.deepEqual({ ...made.accept([copy(answer)]) }, expected);
    }));

  it('throws for a response that does not match its offer', () =>
    each(BAD_ANSWERS, (options, answer, message) => {
      assert.throws(() => client(options).accept([copy(answer)]), { message });
    }));

  it('throws for bad parameters at either end', () =>
    each(BAD_PARAMETERS, (params, message) => {
      for (const made of [server(), client()]) {
        assert.throws(() => made.accept([copy(params)]), { message });
      }
    }));

  describe('compresses and decompresses', () => {
    for (const [name, data] of [
      ['nothing', ''],
      ['a string', 'text \u20ac'],
      ['much', 'text'.repeat(100000)],
    ]) {
      it(name, async () => {
        for (const [one, other] of [agreed(), agreed().reverse()]) {
          const packed = await run(one, 'compress', data);
          assert.equal(inflated(packed).toString(), data);
          const unpacked = await run(other, 'decompress', packed);
          assert.equal(unpacked.toString(), data);
        }
      });
    }

    it('bytes', async () => {
      const [one, other] = agreed();
      const data = randomBytes(100000);
      const packed = await run(one, 'compress', data);
      assert.ok((await run(other, 'decompress', packed)).equals(data));
    });

    it('asynchronously', async () => {
      const [one, other] = agreed();
      let isLater = false;
      await new Promise((resolve) => {
        one.compress('text', true, (error, packed) => {
          assert.ok(isLater);
          isLater = false;
          other.decompress(packed, true, () => {
            assert.ok(isLater);
            resolve();
          });
          isLater = true;
        });
        isLater = true;
      });
    });

    it('fragments', async () => {
      const [one, other] = agreed();
      const pieces = ['one ', 'two ', '', 'three'];
      const result = [];
      for (const [i, piece] of pieces.entries()) {
        const fin = i === 3;
        const packed = await run(one, 'compress', piece, fin);
        result.push(await run(other, 'decompress', packed, fin));
      }
      assert.equal(Buffer.concat(result).toString(), 'one two three');
    });

    it('with context takeover', async () => {
      const [one, other] = agreed();
      const data = randomBytes(500);
      const first = await run(one, 'compress', data);
      const second = await run(one, 'compress', data);
      assert.ok(second.length < first.length);
      await run(other, 'decompress', first);
      assert.ok((await run(other, 'decompress', second)).equals(data));
    });

    it('without context takeover', async () => {
      const params = { server_no_context_takeover: [true] };
      const [one, other] = agreed(params);
      const data = randomBytes(500);
      const first = await run(one, 'compress', data);
      const second = await run(one, 'compress', data);
      assert.deepEqual(first, second);
      for (const packed of [first, second]) {
        assert.ok((await run(other, 'decompress', packed)).equals(data));
      }
    });

    it('with a small window', async () => {
      const params = {
        client_max_window_bits: ['9'],
        server_max_window_bits: ['10'],
      };
      const data = 'text'.repeat(10000);
      for (const [one, other] of [agreed(params), agreed(params).reverse()]) {
        const packed = await run(one, 'compress', data);
        assert.equal((await run(other, 'decompress', packed)).toString(), data);
      }
    });

    it('with a level', async () => {
      const data = 'some text that repeats itself, '.repeat(100);
      const sizes = [];
      for (const level of [0, 9]) {
        const [one] = agreed({}, { zlibDeflateOptions: { level } });
        sizes.push((await run(one, 'compress', data)).length);
      }
      assert.ok(sizes[0] >= data.length);
      assert.ok(sizes[1] < data.length / 10);
    });

    it('a message that ends the zlib stream, and one after it', async () => {
      const [one] = agreed();
      // "Hello" in a block that is marked as the last one (RFC 7692, 7.2.3.4).
      const last = Buffer.from('f348cdc9c9070000', 'hex');
      for (const packed of [last, last, deflated('then')]) {
        const data = await run(one, 'decompress', packed);
        assert.equal(data.toString(), packed === last ? 'Hello' : 'then');
      }
    });
  });

  describe('fails on', () => {
    it('what cannot be inflated', async () => {
      const [one] = agreed();
      const bad = Buffer.from('not deflated');
      await assert.rejects(run(one, 'decompress', bad), {
        code: 'Z_DATA_ERROR',
        errno: -3,
      });
    });

    for (const [name, size] of [
      ['more than maxPayload', 26],
      ['much more than maxPayload', 10000000],
    ]) {
      it(name, async () => {
        const [one] = agreed({}, { maxPayload: 25 });
        const packed = deflated(Buffer.alloc(size));
        await assert.rejects(run(one, 'decompress', packed), {
          name: 'RangeError',
          code: 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH',
          message: 'Max payload size exceeded',
        });
      });
    }

    it('no message that is as long as maxPayload', async () => {
      const [one] = agreed({}, { maxPayload: 25 });
      const packed = deflated(Buffer.alloc(25));
      assert.equal((await run(one, 'decompress', packed)).length, 25);
    });

    it('cleanup() while it compresses', async () => {
      const [one] = agreed();
      const failed = run(one, 'compress', randomBytes(100000));
      one.cleanup();
      await assert.rejects(failed, {
        message: 'The deflate stream was closed while data was being processed',
      });
    });
  });

  it('may be cleaned up before it is used', () => {
    const [one] = agreed();
    one.cleanup();
    one.cleanup();
    assert.deepEqual({ ...one.params }, {});
  });
});
