'use strict';

const assert = require('node:assert/strict');
const { once } = require('events');
const { Readable, Writable } = require('stream');

const { BINARY, CLOSE, PING, PONG, TEXT, WebSocket } = require('./support');
const { closePayload, collect, deflated, frame } = require('./support');
const { nextUncaught, recorded, turn } = require('./support');

const { PerMessageDeflate, Receiver } = WebSocket;

const FIRST = { fin: false };
const EVENTS = ['message', 'ping', 'pong', 'conclude', 'error'];

/** Creates a Receiver. Its events are added to `seen`, as names and texts. */
function receiver(options) {
  const made = new Receiver(options);
  const seen = [];
  for (const event of EVENTS) {
    made.on(event, (...args) => seen.push([event, ...args.map(String)]));
  }
  return { made, seen };
}

/** Returns the bytes of unmasked frames, as a server sends them. */
const plain = (...frames) =>
  Buffer.concat(
    frames.map(([opcode, data, more]) =>
      frame(opcode, data, { key: null, ...more }),
    ),
  );

/** Creates the extension of a client, with default parameters. */
function extensions(options) {
  const extension = new PerMessageDeflate(options);
  extension.accept([{}]);
  return { 'permessage-deflate': extension };
}

describe('A Receiver', () => {
  it('is a Writable that has its options', () => {
    const options = {
      allowSynchronousEvents: false,
      binaryType: 'fragments',
      isServer: true,
      maxBufferedChunks: 1,
      maxFragments: 2,
      maxPayload: 3,
      skipUTF8Validation: true,
    };
    const made = new Receiver(options);
    assert.ok(made instanceof Writable);
    for (const [name, value] of Object.entries(options)) {
      assert.equal(made[`_${name}`], value);
    }
  });

  it('has defaults', () => {
    const made = new Receiver();
    assert.equal(made._allowSynchronousEvents, true);
    assert.equal(made._binaryType, 'nodebuffer');
    assert.equal(made._isServer, false);
    assert.equal(made._maxBufferedChunks, 0);
    assert.equal(made._maxFragments, 0);
    assert.equal(made._maxPayload, 0);
    assert.equal(made._skipUTF8Validation, false);
    assert.deepEqual(made._extensions, {});
  });

  it('emits events for the frames that are written', () => {
    const { made, seen } = receiver();
    made.write(
      plain(
        [TEXT, 'text'],
        [BINARY, 'bytes'],
        [PING, 'a'],
        [PONG, 'b'],
        [TEXT, ''],
      ),
    );
    assert.deepEqual(seen, [
      ['message', 'text', 'false'],
      ['message', 'bytes', 'true'],
      ['ping', 'a'],
      ['pong', 'b'],
      ['message', '', 'false'],
    ]);
  });

  it('accepts masked frames as a server', () => {
    const { made, seen } = receiver({ isServer: true });
    made.write(Buffer.concat([frame(TEXT, 'text'), frame(PING, 'a')]));
    assert.deepEqual(seen, [
      ['message', 'text', 'false'],
      ['ping', 'a'],
    ]);
  });

  it('accepts frames byte by byte', () => {
    const { made, seen } = receiver();
    const bytes = plain(
      [TEXT, 'x'.repeat(130)],
      [TEXT, 'a', FIRST],
      [PING, 'p'],
      [0, 'b'],
      [CLOSE, closePayload(1000, 'why')],
    );
    for (const byte of bytes) made.write(Buffer.from([byte]));
    assert.deepEqual(seen, [
      ['message', 'x'.repeat(130), 'false'],
      ['ping', 'p'],
      ['message', 'ab', 'false'],
      ['conclude', '1000', 'why'],
    ]);
  });

  it('accepts a long message in several chunks', () => {
    const { made, seen } = receiver();
    const text = 'x'.repeat(200000);
    const bytes = plain([TEXT, text]);
    for (let at = 0; at < bytes.length; at += 65536) {
      made.write(bytes.subarray(at, at + 65536));
    }
    assert.deepEqual(seen, [['message', text, 'false']]);
  });

  it('can be piped into', async () => {
    const { made, seen } = receiver();
    const finished = once(made, 'finish');
    Readable.from([plain([TEXT, 'a']), plain([TEXT, 'b'], [CLOSE])]).pipe(made);
    await finished;
    assert.deepEqual(seen, [
      ['message', 'a', 'false'],
      ['message', 'b', 'false'],
      ['conclude', '1005', ''],
    ]);
  });

  it('may have its _write called', async () => {
    const { made, seen } = receiver();
    const error = await new Promise((resolve) => {
      made._write(plain([TEXT, 'text']), 'binary', resolve);
    });
    assert.ok(!error);
    assert.deepEqual(seen, [['message', 'text', 'false']]);
  });

  it('calls back after it has processed a chunk', async () => {
    const { made, seen } = receiver();
    const bytes = plain([TEXT, 'text']);
    await new Promise((resolve) => made.write(bytes.subarray(0, 3), resolve));
    assert.deepEqual(seen, []);
    await new Promise((resolve) => made.write(bytes.subarray(3), resolve));
    assert.deepEqual(seen, [['message', 'text', 'false']]);
  });

  it('finishes with the close frame, and ignores the rest', async () => {
    const { made, seen } = receiver();
    const finished = once(made, 'finish');
    made.write(plain([CLOSE, closePayload(4000, 'why')], [TEXT, 'late'], [15]));
    await finished;
    assert.deepEqual(seen, [['conclude', '4000', 'why']]);
  });

  it('finishes when it is ended, even within a frame', async () => {
    const { made, seen } = receiver();
    const finished = once(made, 'finish');
    made.end(plain([TEXT, 'text']).subarray(0, 3));
    await finished;
    assert.deepEqual(seen, []);
  });

  it('emits the reason as a Buffer', async () => {
    const made = new Receiver();
    const concluded = once(made, 'conclude');
    made.write(plain([CLOSE, closePayload(1000, 'why')]));
    assert.deepEqual(await concluded, [1000, Buffer.from('why')]);
  });

  for (const [type, check] of [
    ['nodebuffer', (data) => Buffer.isBuffer(data)],
    ['arraybuffer', (data) => data instanceof ArrayBuffer],
    ['blob', (data) => data instanceof Blob],
    ['fragments', (data) => data.map(String).join() === 'a,b'],
  ]) {
    it(`has messages of the type ${type}`, async () => {
      const made = new Receiver({ binaryType: type });
      const received = once(made, 'message');
      made.write(plain([BINARY, 'a', FIRST], [0, 'b']));
      const [data, isBinary] = await received;
      assert.ok(check(data));
      assert.equal(isBinary, true);
    });
  }

  it('counts the bytes of a message until its end', () => {
    const { made } = receiver({ maxPayload: 10 });
    made.write(plain([TEXT, 'abc', FIRST]));
    assert.equal(made._totalPayloadLength, 3);
    made.write(plain([PING, 'abc']));
    assert.equal(made._totalPayloadLength, 3);
    made.write(plain([0, 'd', FIRST]));
    assert.equal(made._totalPayloadLength, 4);
    made.write(plain([0, 'e']));
    assert.equal(made._totalPayloadLength, 0);
  });

  it('uses a limit that is changed', async () => {
    const { made } = receiver({ maxPayload: 10 });
    made._maxPayload = 2;
    const failed = once(made, 'error');
    made.write(plain([TEXT, 'abc']));
    const { code } = (await failed)[0];
    assert.equal(code, 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH');
  });

  it('emits events one by one without allowSynchronousEvents', async () => {
    const { made, seen } = receiver({ allowSynchronousEvents: false });
    made.write(plain([TEXT, 'a'], [PING, 'b'], [BINARY, 'c'], [CLOSE]));
    assert.deepEqual(seen, []);
    const counts = [];
    for (let i = 0; i < 4; i++) {
      await turn();
      counts.push(seen.length);
    }
    assert.deepEqual(
      seen.map(([event]) => event),
      ['message', 'ping', 'message', 'conclude'],
    );
    assert.ok(counts[0] <= 1 && counts[1] <= 2);
  });

  it('makes the error of a listener an uncaught exception', async () => {
    const made = new Receiver();
    made.on('message', () => {
      throw new Error('thrown');
    });
    const thrown = await nextUncaught(() => {
      setImmediate(() => made.write(plain([TEXT, 'text'])));
    });
    assert.equal(thrown, 'thrown');
  });

  describe('with permessage-deflate', () => {
    it('inflates messages, in order', async () => {
      const { made, seen } = receiver({ extensions: extensions() });
      const [[data]] = (
        await Promise.all([
          collect(made, 'message', 3),
          made.write(
            plain(
              [TEXT, deflated('one'), { rsv: 4 }],
              [PING, 'p'],
              [TEXT, 'two'],
              [BINARY, deflated('three'), { rsv: 4 }],
            ),
          ),
        ])
      )[0];
      assert.ok(Buffer.isBuffer(data));
      assert.deepEqual(seen, [
        ['message', 'one', 'false'],
        ['ping', 'p'],
        ['message', 'two', 'false'],
        ['message', 'three', 'true'],
      ]);
    });

    it('inflates fragments', async () => {
      const { made } = receiver({ extensions: extensions() });
      const received = once(made, 'message');
      const data = deflated('text'.repeat(100));
      made.write(
        plain(
          [TEXT, data.subarray(0, 5), { fin: false, rsv: 4 }],
          [0, data.subarray(5)],
        ),
      );
      assert.equal(String((await received)[0]), 'text'.repeat(100));
    });

    it('ignores what is written after the close frame, while it inflates', async () => {
      const { made, seen } = receiver({ extensions: extensions() });
      const finished = once(made, 'finish');
      made.write(plain([TEXT, deflated('last'), { rsv: 4 }], [CLOSE]));
      made.write(plain([15]));
      await finished;
      assert.deepEqual(seen, [
        ['message', 'last', 'false'],
        ['conclude', '1005', ''],
      ]);
    });

    it('limits the inflated length of a message', async () => {
      const maxPayload = 100;
      const { made } = receiver({
        extensions: extensions({ maxPayload }),
        maxPayload,
      });
      const failed = once(made, 'error');
      made.write(plain([TEXT, deflated('x'.repeat(101)), { rsv: 4 }]));
      const { code } = (await failed)[0];
      assert.equal(code, 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH');
    });

    it('fails on what cannot be inflated', async () => {
      const { made } = receiver({ extensions: extensions() });
      const failed = once(made, 'error');
      made.write(plain([TEXT, 'not deflated', { rsv: 4 }]));
      assert.equal((await failed)[0].code, 'Z_DATA_ERROR');
    });
  });

  describe('fails on', () => {
    for (const [name, options, frames, code, closeCode] of [
      ['RSV1', {}, [[TEXT, 'x', { rsv: 4 }]], 'WS_ERR_UNEXPECTED_RSV_1', 1002],
      ['RSV2', {}, [[TEXT, '', { rsv: 2 }]], 'WS_ERR_UNEXPECTED_RSV_2_3', 1002],
      ['a bad opcode', {}, [[3]], 'WS_ERR_INVALID_OPCODE', 1002],
      [
        'a fragment of a ping',
        {},
        [[PING, '', FIRST]],
        'WS_ERR_EXPECTED_FIN',
        1002,
      ],
      [
        'a long ping',
        {},
        [[PING, 'x'.repeat(126)]],
        'WS_ERR_INVALID_CONTROL_PAYLOAD_LENGTH',
        1002,
      ],
      [
        'a missing mask',
        { isServer: true },
        [[TEXT, 'x']],
        'WS_ERR_EXPECTED_MASK',
        1002,
      ],
      [
        'a mask too many',
        {},
        [[TEXT, 'x', { key: Buffer.alloc(4) }]],
        'WS_ERR_UNEXPECTED_MASK',
        1002,
      ],
      [
        'a bad close code',
        {},
        [[CLOSE, closePayload(1005)]],
        'WS_ERR_INVALID_CLOSE_CODE',
        1002,
      ],
      ['bad UTF-8', {}, [[TEXT, [0xff]]], 'WS_ERR_INVALID_UTF8', 1007],
      [
        'a long message',
        { maxPayload: 2 },
        [[TEXT, 'abc']],
        'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH',
        1009,
      ],
      [
        'an impossible length',
        {},
        [[TEXT, '', { length: 2 ** 53 }]],
        'WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH',
        1009,
      ],
      [
        'many fragments',
        { maxFragments: 1 },
        [
          [TEXT, 'a', FIRST],
          [0, 'b'],
        ],
        'WS_ERR_TOO_MANY_BUFFERED_PARTS',
        1008,
      ],
    ]) {
      it(name, async () => {
        const { made, seen } = receiver(options);
        const events = recorded(made, 'finish');
        const failed = once(made, 'error');
        made.write(plain(...frames, [TEXT, 'behind']));
        const [error] = await failed;
        assert.equal(error.code, code);
        const symbols = Object.getOwnPropertySymbols(error);
        assert.ok(symbols.some((symbol) => error[symbol] === closeCode));
        await turn();
        assert.deepEqual(
          seen.map(([event]) => event),
          ['error'],
        );
        assert.deepEqual(events, []);
      });
    }

    it('a message in too many chunks', async () => {
      const { made } = receiver({ maxBufferedChunks: 2 });
      const failed = once(made, 'error');
      const bytes = plain([TEXT, 'text']);
      for (let i = 0; i < 5; i++) made.write(bytes.subarray(i, i + 1));
      const [{ code, message }] = await failed;
      assert.equal(message, 'Too many buffered chunks');
      assert.equal(code, 'WS_ERR_TOO_MANY_BUFFERED_PARTS');
    });
  });

  it('accepts bad UTF-8 with skipUTF8Validation', () => {
    const made = new Receiver({ skipUTF8Validation: true });
    const seen = [];
    made.on('message', (data) => seen.push(data));
    made.on('conclude', (code, reason) => seen.push(reason));
    const bad = Buffer.from([0xff]);
    const reason = Buffer.concat([closePayload(1000), bad]);
    made.write(plain([TEXT, bad], [CLOSE, reason]));
    assert.deepEqual(seen, [bad, bad]);
  });

  it('has no limit if an option is 0', async () => {
    const { made } = receiver({ maxFragments: 0, maxPayload: 0 });
    const received = once(made, 'message');
    const fragments = Array(20000).fill([0, 'x', FIRST]);
    made.write(plain([TEXT, '', FIRST], ...fragments, [0]));
    assert.equal((await received)[0].length, 20000);
  });
});
