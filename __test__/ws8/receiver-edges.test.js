'use strict';

const assert = require('node:assert/strict');
const { once } = require('events');

const { BINARY, CLOSE, PING, TEXT, WebSocket, beyondWs } = require('./support');
const { DEFLATE, deflated, frame, turn, uncaught } = require('./support');

const { PerMessageDeflate, Receiver } = WebSocket;

const FIRST = { fin: false };
const DEFLATED = { rsv: 4 };

/** A text so long that it is decompressed on another thread. */
const LONG = 'x'.repeat(3 << 20);

/** Returns the bytes of an unmasked frame, as a server sends it. */
const plain = (opcode, data, more) =>
  frame(opcode, data, { key: null, ...more });

function extensions(options) {
  const extension = new PerMessageDeflate(options);
  extension.accept([{}]);
  return { [DEFLATE]: extension };
}

/** Creates a Receiver. The data of its messages is added to `seen`. */
function receiver(options) {
  const made = new Receiver(options);
  const seen = [];
  made.on('message', (data) => seen.push(data));
  return { made, seen };
}

describe('A Receiver', () => {
  it('emits the same empty Buffer for all empty payloads', async () => {
    const { made, seen } = receiver({ extensions: extensions() });
    made.on('ping', (data) => seen.push(data));
    made.on('conclude', (code, reason) => seen.push(reason));
    made.write(plain(TEXT, ''));
    made.write(plain(BINARY, ''));
    made.write(plain(PING, ''));
    made.write(Buffer.concat([plain(BINARY, '', FIRST), plain(0, '')]));
    made.write(plain(TEXT, deflated(''), DEFLATED));
    made.write(plain(CLOSE, ''));
    await once(made, 'finish');
    assert.equal(seen.length, 6);
    assert.ok(seen.every((data) => data === seen[0]));
  });

  it('leaves out empty fragments', () => {
    const { made, seen } = receiver({ binaryType: 'fragments' });
    for (const pieces of [[''], ['a'], ['', 'a', '', 'b', '']]) {
      pieces.forEach((piece, i) => {
        const fin = i === pieces.length - 1;
        made.write(plain(i === 0 ? BINARY : 0, piece, { fin }));
      });
    }
    const texts = seen.map((list) => list.map(String));
    assert.deepEqual(texts, [[], ['a'], ['a', 'b']]);
  });

  it('uses a binary type that a listener sets', () => {
    const { made, seen } = receiver();
    made.once('message', () => {
      made._binaryType = 'arraybuffer';
    });
    made.write(Buffer.concat([plain(BINARY, 'a'), plain(BINARY, 'b')]));
    assert.ok(Buffer.isBuffer(seen[0]));
    assert.ok(seen[1] instanceof ArrayBuffer);
  });

  it('accepts invalid UTF-8 after _skipUTF8Validation is set', () => {
    const { made, seen } = receiver();
    made._skipUTF8Validation = true;
    made.write(plain(TEXT, [0xff]));
    assert.deepEqual(seen, [Buffer.from([0xff])]);
  });

  it('counts only the chunks of a payload', () => {
    const bytes = Buffer.concat([plain(TEXT, 'abc'), plain(TEXT, 'def')]);
    for (const cuts of [[2, 3], [3], [3, 8], [1, 3, 6, 8], [4, 9]]) {
      const { made, seen } = receiver({ maxBufferedChunks: 2 });
      made.on('error', (error) => seen.push(error));
      [...cuts, bytes.length].forEach((cut, i) => {
        made.write(bytes.subarray(cuts[i - 1], cut));
      });
      assert.deepEqual(seen.map(String), ['abc', 'def'], `cut at ${cuts}`);
    }
  });

  it('does not count fragments as chunks', () => {
    const { made, seen } = receiver({ maxBufferedChunks: 1 });
    made.on('error', (error) => seen.push(error));
    made.write(plain(TEXT, 'a', FIRST));
    made.write(plain(0, 'b', FIRST));
    made.write(plain(0, 'c'));
    assert.deepEqual(seen.map(String), ['abc']);
  });
});

beyondWs('a Receiver', () => {
  for (const allowSynchronousEvents of [true, false]) {
    const name = `allowSynchronousEvents: ${allowSynchronousEvents}`;
    it(`continues after listeners that throw, with ${name}`, async () => {
      const { made, seen } = receiver({
        allowSynchronousEvents,
        extensions: extensions(),
      });
      const taken = [];
      made.on('message', () => {
        throw new Error(`message ${seen.length}`);
      });
      made.on('conclude', () => {
        throw new Error('conclude');
      });
      const errors = await uncaught(async () => {
        const closed = once(made, 'close');
        // The others are queued until the first is decompressed.
        [
          plain(TEXT, deflated(LONG), DEFLATED),
          Buffer.concat([plain(TEXT, 'a'), plain(TEXT, 'b')]),
          plain(CLOSE, ''),
        ].forEach((chunk, i) => made.write(chunk, () => taken.push(i)));
        await closed;
      });
      assert.deepEqual(seen.map(String), [LONG, 'a', 'b']);
      assert.deepEqual(taken, [0, 1, 2]);
      assert.deepEqual(errors, [
        'message 1',
        'message 2',
        'message 3',
        'conclude',
      ]);
    });
  }

  it('may have its _write called before it calls back', async () => {
    const { made, seen } = receiver({ extensions: extensions() });
    const long = plain(TEXT, deflated(LONG), DEFLATED);
    const written = [long, plain(TEXT, 'a'), plain(TEXT, 'b')].map(
      (chunk) =>
        new Promise((resolve) => made._write(chunk, 'binary', resolve)),
    );
    assert.deepEqual(seen, []);
    await Promise.all(written);
    assert.deepEqual(seen.map(String), [LONG, 'a', 'b']);
  });

  it('emits nothing more once it is destroyed', async () => {
    const { made, seen } = receiver({ extensions: extensions() });
    const answered = new Promise((resolve) => {
      made.write(plain(TEXT, deflated(LONG), DEFLATED), resolve);
    });
    made.destroy();
    await answered;
    // Wait for another Receiver that takes as long.
    const { made: other, seen: others } = receiver({
      extensions: extensions(),
    });
    other.write(plain(TEXT, deflated(LONG), DEFLATED));
    await once(other, 'message');
    await turn();
    assert.deepEqual([seen.length, others.length], [0, 1]);
  });

  it('ignores what is written in the same tick after the close frame', async () => {
    const { made, seen } = receiver();
    const finished = once(made, 'finish');
    made.write(plain(CLOSE, ''));
    made.write(plain(TEXT, 'late'));
    await finished;
    assert.deepEqual(seen, []);
  });

  it('has the limit of the extension by default', async () => {
    const { made } = receiver({ extensions: extensions({ maxPayload: 10 }) });
    assert.equal(made._maxPayload, 10);
    const failed = once(made, 'error');
    made.write(plain(TEXT, deflated('x'.repeat(11)), DEFLATED));
    const [{ code }] = await failed;
    assert.equal(code, 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH');
  });
});
