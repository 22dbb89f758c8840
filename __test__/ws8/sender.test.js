'use strict';

const assert = require('node:assert/strict');
const { Duplex } = require('stream');

const { BINARY, CLOSE, PING, PONG, TEXT, WebSocket } = require('./support');
const { closePayload, frame, inflated, ignore, reader } = require('./support');
const { DEFLATE, each, turn } = require('./support');

const { PerMessageDeflate, Sender } = WebSocket;

const KEY = Buffer.from([1, 2, 3, 4]);
const OPTIONS = {
  fin: true,
  mask: false,
  opcode: BINARY,
  readOnly: true,
  rsv1: false,
};

/** Joins the result of frame(). */
const joined = (list) => Buffer.concat(list.map((each) => Buffer.from(each)));

const fill = (buffer) => KEY.copy(buffer);

describe('Sender.frame', () => {
  const SIZES = [[0], [1], [125], [126], [65535], [65536], [100000]];

  it('returns the head and the data', () =>
    each(SIZES, (size) => {
      const data = Buffer.alloc(size, 'x');
      const list = Sender.frame(data, OPTIONS);
      assert.equal(list.length, size === 0 ? 1 : 2);
      if (size > 0) assert.equal(list[1], data);
      assert.deepEqual(joined(list), frame(BINARY, data, { key: null }));
    }));

  it('masks', () =>
    each(SIZES, (size) => {
      const data = Buffer.alloc(size, 'x');
      const options = { ...OPTIONS, generateMask: fill, mask: true };
      const expected = frame(BINARY, data, { key: KEY });
      assert.deepEqual(joined(Sender.frame(data, options)), expected);
    }));

  it('uses fin, rsv1 and opcode', () =>
    each(
      [
        [{ fin: false }, BINARY, { fin: false }],
        [{ rsv1: true }, BINARY, { rsv: 4 }],
        [{ fin: false, opcode: 0 }, 0, { fin: false }],
      ],
      (options, opcode, bits) => {
        const list = Sender.frame(Buffer.from('x'), { ...OPTIONS, ...options });
        const expected = frame(opcode, 'x', { key: null, ...bits });
        assert.deepEqual(joined(list), expected);
      },
    ));

  it('accepts a string', () => {
    const options = { ...OPTIONS, opcode: TEXT };
    const text = '\u20ac'.repeat(50);
    const expected = frame(TEXT, text, { key: null });
    assert.deepEqual(joined(Sender.frame(text, options)), expected);
  });

  it('copies the data to mask it, with readOnly', () => {
    const data = Buffer.from('text');
    const options = { ...OPTIONS, generateMask: fill, mask: true };
    const list = Sender.frame(data, options);
    assert.equal(list.length, 1);
    assert.deepEqual(list[0], frame(BINARY, 'text', { key: KEY }));
    assert.equal(data.toString(), 'text');
  });

  it('masks the data in place without readOnly', () => {
    const data = Buffer.from('text');
    const list = Sender.frame(data, {
      ...OPTIONS,
      generateMask: fill,
      mask: true,
      readOnly: false,
    });
    assert.equal(list.length, 2);
    assert.equal(list[1], data);
    assert.notEqual(data.toString(), 'text');
  });

  it('has random masks by default', () => {
    const options = { ...OPTIONS, mask: true };
    const keys = Array.from({ length: 20 }, () =>
      Sender.frame(Buffer.from('x'), options)[0].subarray(2, 6).toString('hex'),
    );
    assert.ok(new Set(keys).size > 15);
  });

  it('writes the mask to maskBuffer', () => {
    const maskBuffer = Buffer.alloc(4);
    const options = { ...OPTIONS, mask: true, maskBuffer, generateMask: fill };
    Sender.frame(Buffer.from('x'), options);
    assert.deepEqual(maskBuffer, KEY);
  });

  it('leaves the data unchanged if the mask is zero', () => {
    const generateMask = (buffer) => buffer.fill(0);
    const options = { ...OPTIONS, generateMask, mask: true };
    const list = Sender.frame(Buffer.from('text'), options);
    const expected = frame(BINARY, 'text', { key: Buffer.alloc(4) });
    assert.deepEqual(joined(list), expected);
  });
});

describe('A Sender', () => {
  const SEND = { binary: false, compress: false, fin: true, mask: false };

  /** Creates a Sender on a stream, and a reader of its frames. */
  function sender(extensions, generateMask) {
    const made = {};
    const peer = new Duplex({ read: ignore, write: ignore });
    const socket = new Duplex({
      read: ignore,
      write(chunk, encoding, callback) {
        peer.push(chunk);
        callback();
      },
    });
    made.wire = reader(peer);
    made.sender = new Sender(socket, extensions, generateMask);
    return made;
  }

  /** Creates the extension of a server that has accepted these parameters. */
  function extensions(options, accepted = {}) {
    const extension = new PerMessageDeflate({ isServer: true, ...options });
    extension.accept([accepted]);
    return { [DEFLATE]: extension };
  }

  it('sends messages', async () => {
    const { sender: made, wire } = sender();
    const called = [];
    made.send('text', SEND, () => called.push(1));
    made.send(Buffer.from('a'), { ...SEND, binary: true });
    made.send(new Uint8Array([98]), { ...SEND, binary: true });
    made.send(new Uint8Array([99]).buffer, { ...SEND, binary: true });
    assert.deepEqual(
      (await wire.frames(4)).map(({ opcode, text, masked }) => [
        opcode,
        text,
        masked,
      ]),
      [
        [TEXT, 'text', false],
        [BINARY, 'a', false],
        [BINARY, 'b', false],
        [BINARY, 'c', false],
      ],
    );
    await turn();
    assert.deepEqual(called, [1]);
  });

  it('sends fragments', async () => {
    const { sender: made, wire } = sender();
    made.send('a', { ...SEND, fin: false });
    made.send('b', { ...SEND, binary: true, fin: false });
    made.send('c', SEND);
    made.send('d', SEND);
    assert.deepEqual(
      (await wire.frames(4)).map(({ opcode, fin }) => [opcode, fin]),
      [
        [TEXT, false],
        [0, false],
        [0, true],
        [TEXT, true],
      ],
    );
  });

  for (const [method, opcode] of [
    ['ping', PING],
    ['pong', PONG],
  ]) {
    it(`sends ${method}s`, async () => {
      const { sender: made, wire } = sender(undefined, fill);
      for (const data of [
        'text',
        Buffer.from('text'),
        new Uint8Array(Buffer.from('text')),
        new Blob(['text']),
      ]) {
        await new Promise((resolve) => made[method](data, true, resolve));
        const sent = await wire.frame();
        assert.equal(sent.opcode, opcode);
        assert.equal(sent.text, 'text');
        assert.deepEqual(sent.key, KEY);
      }
      assert.throws(() => made[method]('x'.repeat(126), true), {
        name: 'RangeError',
        message: 'The data size must not be greater than 125 bytes',
      });
    });
  }

  it('sends close frames', async () => {
    const { sender: made, wire } = sender();
    for (const [args, payload] of [
      [[], Buffer.alloc(0)],
      [[1000], closePayload(1000)],
      [[1000, ''], closePayload(1000)],
      [[4000, 'why'], closePayload(4000, 'why')],
      [[4000, Buffer.from('why')], closePayload(4000, 'why')],
    ]) {
      const [code, reason] = args;
      await new Promise((resolve) => made.close(code, reason, false, resolve));
      const sent = await wire.frame();
      assert.equal(sent.opcode, CLOSE);
      assert.deepEqual(sent.payload, payload);
    }
  });

  it('refuses bad close codes and reasons', () => {
    const { sender: made } = sender();
    for (const [args, message] of [
      [['text'], 'First argument must be a valid error code number'],
      [[1006], 'First argument must be a valid error code number'],
      [
        [1000, 'x'.repeat(124)],
        'The message must not be greater than 123 bytes',
      ],
    ]) {
      assert.throws(() => made.close(...args), { message });
    }
  });

  it('sends frames that are already encoded', async () => {
    const { sender: made, wire } = sender();
    const list = Sender.frame(Buffer.from('text'), OPTIONS);
    await new Promise((resolve) => made.sendFrame(list, resolve));
    made.sendFrame([joined(list)]);
    const texts = (await wire.frames(2)).map(({ text }) => text);
    assert.deepEqual(texts, ['text', 'text']);
  });

  describe('that compresses', () => {
    const COMPRESS = { ...SEND, compress: true };

    it('sends compressed messages, and later data after them', async () => {
      const { sender: made, wire } = sender(extensions());
      made.send('text', COMPRESS);
      made.ping('a', false);
      made.send('plain', SEND);
      made.close(1000, undefined, false);
      const frames = await wire.frames(4);
      assert.deepEqual(
        frames.map(({ opcode, rsv }) => [opcode, rsv]),
        [
          [TEXT, 4],
          [PING, 0],
          [TEXT, 0],
          [CLOSE, 0],
        ],
      );
      assert.equal(inflated(frames[0].payload).toString(), 'text');
    });

    it('counts queued bytes', async () => {
      const { sender: made, wire } = sender(extensions());
      made.send('text', COMPRESS);
      made.ping('a', false);
      assert.equal(made._bufferedBytes, 5);
      await wire.frames(2);
      assert.equal(made._bufferedBytes, 0);
    });

    for (const [name, size, rsv] of [
      ['compresses what reaches the threshold', 3, 4],
      ['leaves what does not', 2, 0],
    ]) {
      it(`${name}, without context takeover`, async () => {
        const { sender: made, wire } = sender(
          extensions({ threshold: 3 }, { server_no_context_takeover: [true] }),
        );
        made.send('x'.repeat(size), { ...COMPRESS, fin: false });
        made.send('x'.repeat(10), COMPRESS);
        const frames = await wire.frames(2);
        assert.deepEqual(
          frames.map((each) => each.rsv),
          [rsv, 0],
        );
        assert.equal(frames[1].text === 'x'.repeat(10), rsv === 0);
      });
    }

    for (const pieces of [
      ['', 'text'],
      ['text', ''],
      ['', ''],
    ]) {
      it(`sends the fragments ${JSON.stringify(pieces)}`, async () => {
        const { sender: made, wire } = sender(extensions());
        made.send(pieces[0], { ...COMPRESS, fin: false });
        made.send(pieces[1], COMPRESS);
        const frames = await wire.frames(2);
        const payloads = frames.map(({ payload }) => payload);
        const text = inflated(Buffer.concat(payloads)).toString();
        assert.equal(text, pieces.join(''));
      });
    }
  });
});
