'use strict';

const assert = require('node:assert/strict');
const { randomBytes } = require('crypto');
const { once } = require('events');
const net = require('net');

const { BINARY, PING, PONG, SIDES, TEXT, WebSocket } = require('./support');
const {
  beyondWs,
  close,
  closing,
  collect,
  each,
  ledger,
} = require('./support');
const { listenHttp, nextUncaught, turn, uncaught, url } = require('./support');

const MIB = 1 << 20;

/** The lengths around which the form of a frame's head changes. */
const SIZES = [0, 1, 125, 126, 127, 65535, 65536, 65537, MIB];

const bytes = Buffer.from(Array.from({ length: 64 }, (_, i) => 255 - i));
const memory = new Uint8Array(bytes).buffer;

/** Name, data to send, the bytes that arrive, and whether they are binary. */
const DATA = [
  ['a string', 'text', 'text', false],
  ['an empty string', '', '', false],
  ['characters of each width', '\u00e4\u20ac\u{1f44b}', undefined, false],
  ['half a pair of surrogates', 'a\ud83d', 'a\ufffd', false],
  ['a number', -1.5, '-1.5', false],
  ['the number 0', 0, '0', false],
  ['NaN', NaN, 'NaN', false],
  ['undefined', undefined, '', true],
  ['null', null, '', true],
  ['false', false, '', true],
  ['an array of bytes', [87, 83, 256 + 56], 'WS8', true],
  ['an empty array', [], '', true],
  ['a String object', new String('text'), 'text', true],
  ['the JSON of a Buffer', bytes.toJSON(), bytes, true],
  ['an object with valueOf', { valueOf: () => 'text' }, 'text', true],
  ['a Buffer', bytes, bytes, true],
  ['an empty Buffer', Buffer.alloc(0), '', true],
  ['a part of a Buffer', bytes.subarray(5, 9), bytes.subarray(5, 9), true],
  ['an ArrayBuffer', memory, bytes, true],
  ['a DataView', new DataView(memory, 3, 7), bytes.subarray(3, 10), true],
  ['a Blob', new Blob(['te', 'xt']), 'text', true],
  ['an empty Blob', new Blob([]), '', true],
];

const VIEWS = [
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
  BigUint64Array,
];

/** Data that is not sent, and how much it adds to `bufferedAmount`. */
const UNSENT = [
  ['a string', '\u20ac', 3],
  ['a number', 12, 2],
  ['a Buffer', Buffer.alloc(5), 5],
  ['a view', new Uint16Array(4), 8],
  ['a Blob', new Blob(['abc']), 3],
  ['an array', [1, 2], 2],
  ['nothing', undefined, 0],
];

/** Values that cannot be sent. */
const REFUSED = [
  ['an object', {}],
  ['true', true],
  ['a symbol', Symbol('s')],
  ['a function', () => {}],
  ['a BigInt', 1n],
];

/** Returns shared memory that contains `bytes`. */
function sharedMemory() {
  const shared = new SharedArrayBuffer(bytes.length);
  new Uint8Array(shared).set(bytes);
  return shared;
}

const other = (side) => (side === 'client' ? 'server' : 'client');

/** Returns both directions of a connection. */
const directions = ({ client, server }) => [
  { from: client, to: server },
  { from: server, to: client },
];

/** Resolves to the bytes of a message of any binary type. */
async function contents(data) {
  if (data instanceof Blob) return Buffer.from(await data.arrayBuffer());
  if (Array.isArray(data)) return Buffer.concat(data);
  return Buffer.from(data);
}

describe('Messages', () => {
  const { bare, pair, serve, settle, track } = ledger();

  describe('from either end', () => {
    it('deliver data of each kind', async () => {
      const ends = directions(await pair());
      await each(DATA, async (name, data, expected = data, binary) => {
        for (const { from, to } of ends) {
          const received = once(to, 'message');
          from.send(data);
          const [message, isBinary] = await received;
          assert.ok(Buffer.isBuffer(message));
          assert.deepEqual(message, Buffer.from(expected));
          assert.equal(isBinary, binary);
        }
      });
    });

    it('deliver a view of any kind', async () => {
      for (const { from, to } of directions(await pair())) {
        const received = collect(to, 'message', VIEWS.length);
        for (const View of VIEWS) from.send(new View(memory, 16, 2));
        (await received).forEach(([message, isBinary], i) => {
          const size = 2 * VIEWS[i].BYTES_PER_ELEMENT;
          assert.deepEqual(message, bytes.subarray(16, 16 + size));
          assert.equal(isBinary, true);
        });
      }
    });

    it('deliver a SharedArrayBuffer', async () => {
      for (const { from, to } of directions(await pair())) {
        const received = once(to, 'message');
        from.send(sharedMemory());
        assert.deepEqual((await received)[0], bytes);
      }
    });

    it('refuse what is no data, and go on', async () => {
      const ends = directions(await pair());
      await each(REFUSED, async (name, data) => {
        for (const { from, to } of ends) {
          const received = once(to, 'message');
          const called = [];
          const callback = () => called.push('called');
          assert.throws(() => from.send(data, callback), TypeError);
          from.send('next');
          assert.equal(String((await received)[0]), 'next');
          assert.deepEqual(called, []);
        }
      });
    });

    for (const size of SIZES) {
      it(`deliver ${size} bytes, as text and as binary`, async () => {
        const data = randomBytes(Math.ceil(size / 2));
        const text = data.toString('hex').slice(0, size);
        for (const { from, to } of directions(await pair())) {
          const received = collect(to, 'message', 2);
          from.send(text);
          from.send(Buffer.from(text));
          const messages = await received;
          for (const [message] of messages) {
            assert.ok(message.equals(Buffer.from(text)));
          }
          const types = messages.map(([, isBinary]) => isBinary);
          assert.deepEqual(types, [false, true]);
        }
      });
    }
  });

  for (const side of SIDES) {
    describe(`from the ${side}`, () => {
      it('keep their order, whatever they are', async () => {
        const { [side]: from, [other(side)]: to } = await pair();
        const received = collect(to, 'message', 100);
        for (let i = 0; i < 100; i++) {
          const text = `${i}`.padEnd(i * i, '.');
          if (i % 3 === 0) from.send(new Blob([text]));
          else from.send(i % 3 === 1 ? text : Buffer.from(text));
        }
        const numbers = (await received).map(([data]) => parseInt(data, 10));
        assert.deepEqual(numbers, [...Array(100).keys()]);
      });

      it('leave the data as it was', async () => {
        const { [side]: from, [other(side)]: to } = await pair();
        const received = collect(to, 'message', 2);
        const data = randomBytes(1000);
        const copy = Buffer.from(data);
        from.send(data);
        from.send(data.buffer.slice(0, 10));
        await received;
        assert.ok(data.equals(copy));
      });

      it('may be sent as soon as the connection is open', async () => {
        const wss = await serve();
        const received = new Promise((resolve) => {
          const exchange = (ws, sends) => {
            if (sends) ws.send('first');
            else ws.on('message', (data) => resolve(String(data)));
          };
          wss.on('connection', (ws) => exchange(ws, side === 'server'));
          const client = track(new WebSocket(url(wss)));
          if (side === 'server') exchange(client, false);
          else client.on('open', () => exchange(client, true));
        });
        assert.equal(await received, 'first');
      });
    });
  }

  describe('with the option binary', () => {
    for (const [binary, data] of [
      [true, 'text'],
      [false, Buffer.from('text')],
      [false, new Blob(['text'])],
    ]) {
      it(`${binary} are sent as it says, from a ${data.constructor.name}`, async () => {
        const { client, server } = await pair();
        client.send(data, { binary });
        const [message, isBinary] = await once(server, 'message');
        assert.equal(message.toString(), 'text');
        assert.equal(isBinary, binary);
      });
    }
  });

  describe('in fragments', () => {
    it('arrive as one', async () => {
      const { client, server } = await pair();
      client.send('one ', { fin: false });
      client.send('two ', { fin: false });
      client.send('three', { fin: true });
      const [data, isBinary] = await once(server, 'message');
      assert.equal(data.toString(), 'one two three');
      assert.equal(isBinary, false);
    });

    it('have the type of the first', async () => {
      const { client, server } = await pair();
      client.send('one ', { binary: true, fin: false });
      client.send('two', { binary: false });
      const [data, isBinary] = await once(server, 'message');
      assert.equal(data.toString(), 'one two');
      assert.equal(isBinary, true);
    });

    it('are sent as frames of their own', async () => {
      const { ws, wire } = await bare('server');
      ws.send('a', { fin: false });
      ws.ping('p');
      ws.send(Buffer.from('b'), { fin: false });
      ws.send('', { fin: true });
      ws.send('next');
      assert.deepEqual(
        (await wire.frames(5)).map(({ fin, opcode, text }) => [
          fin,
          opcode,
          text,
        ]),
        [
          [false, TEXT, 'a'],
          [true, PING, 'p'],
          [false, 0, 'b'],
          [true, 0, ''],
          [true, TEXT, 'next'],
        ],
      );
    });

    for (const side of SIDES) {
      it(`may be divided anywhere, for the ${side}`, async () => {
        const { ws, sendAll } = await bare(side);
        const text = Buffer.from('\u00e4\u20ac\u{1f44b}');
        const pings = collect(ws, 'ping', text.length);
        const received = once(ws, 'message');
        sendAll([TEXT, '', { fin: false }]);
        for (const byte of text) sendAll([0, [byte], { fin: false }], [PING]);
        sendAll([0, '']);
        assert.deepEqual((await received)[0], text);
        assert.equal((await pings).length, text.length);
      });
    }

    it('may come byte by byte', async () => {
      const { ws, frame, socket } = await bare('server');
      const received = collect(ws, 'message', 3);
      socket.setNoDelay();
      for (const byte of Buffer.concat([
        frame(TEXT, 'a'.repeat(130)),
        frame(BINARY, 'b', { fin: false }),
        frame(0, 'c'),
        frame(TEXT, ''),
      ])) {
        socket.write(Buffer.from([byte]));
        await turn();
      }
      assert.deepEqual(
        (await received).map(([data]) => data.toString()),
        ['a'.repeat(130), 'bc', ''],
      );
    });
  });

  describe('of binaryType', () => {
    const PIECES = ['one', '', 'two'];

    for (const [type, check] of [
      ['nodebuffer', (data) => Buffer.isBuffer(data)],
      ['arraybuffer', (data) => data instanceof ArrayBuffer],
      ['blob', (data) => data instanceof Blob],
      ['fragments', (data) => Array.isArray(data)],
    ]) {
      for (const side of SIDES) {
        it(`${type} have this type at the ${side}`, async () => {
          const { ws, sendAll } = await bare(side);
          ws.binaryType = type;
          assert.equal(ws.binaryType, type);
          const received = collect(ws, 'message', 4);
          sendAll(
            [BINARY, 'whole'],
            [BINARY, ''],
            ...PIECES.map((piece, i) => [
              i === 0 ? BINARY : 0,
              piece,
              { fin: i === 2 },
            ]),
            [TEXT, 'text'],
          );
          const messages = await received;
          const [text, isBinary] = messages.pop();
          for (const [data, binary] of messages) {
            assert.ok(check(data));
            assert.equal(binary, true);
          }
          const all = messages.map(([data]) => contents(data));
          assert.deepEqual((await Promise.all(all)).map(String), [
            'whole',
            '',
            'onetwo',
          ]);
          assert.ok(Buffer.isBuffer(text));
          assert.equal(isBinary, false);
        });
      }
    }

    it('arraybuffer have exactly the length of the message', async () => {
      const { client, server } = await pair();
      client.binaryType = 'arraybuffer';
      const received = collect(client, 'message', 3);
      for (const size of [0, 1, 100000]) server.send(Buffer.alloc(size));
      const sizes = (await received).map(([data]) => data.byteLength);
      assert.deepEqual(sizes, [0, 1, 100000]);
    });

    it('fragments leave out empty fragments', async () => {
      const { ws, sendAll } = await bare('server');
      ws.binaryType = 'fragments';
      const received = collect(ws, 'message', 3);
      sendAll(
        [BINARY, 'one', { fin: false }],
        [0, '', { fin: false }],
        [0, 'two'],
        [BINARY, 'whole'],
        [BINARY, ''],
      );
      const pieces = (await received).map(([data]) => data.map(String));
      assert.deepEqual(pieces, [['one', 'two'], ['whole'], []]);
    });

    it('change from one message to the next', async () => {
      const { client, server } = await pair();
      const received = collect(client, 'message', 2);
      client.once('message', () => (client.binaryType = 'arraybuffer'));
      server.send(Buffer.from('one'));
      server.send(Buffer.from('two'));
      const [[first], [second]] = await received;
      assert.ok(Buffer.isBuffer(first));
      assert.ok(second instanceof ArrayBuffer);
    });

    it('keep their type if another value is assigned', async () => {
      const { client } = await pair();
      client.binaryType = 'arraybuffer';
      for (const type of ['', 'Blob', 'buffer', undefined, null, 1]) {
        client.binaryType = type;
        assert.equal(client.binaryType, 'arraybuffer');
      }
    });

    it('may be set before the connection is open', async () => {
      const wss = await serve();
      wss.on('connection', (ws) => ws.send(Buffer.from('text')));
      const ws = track(new WebSocket(url(wss)));
      ws.binaryType = 'arraybuffer';
      assert.ok((await once(ws, 'message'))[0] instanceof ArrayBuffer);
    });
  });

  describe('call back', () => {
    /** Creates a callback that adds its name to `called`, and fails on an error. */
    const counter = (called) => (name) => (error) => {
      assert.ok(!error, String(error));
      called.push(name);
    };

    it('once each, in order, and asynchronously', async () => {
      const { client, server } = await pair();
      const called = [];
      const callback = counter(called);
      const received = collect(server, 'message', 4);
      client.send('a', callback('a'));
      client.send(new Blob(['b']), callback('b'));
      client.send(Buffer.alloc(MIB), {}, callback('c'));
      await new Promise((resolve) => {
        client.send('d', undefined, (error) => {
          callback('d')(error);
          resolve();
        });
        assert.deepEqual(called, []);
      });
      await received;
      await turn();
      assert.deepEqual(called, ['a', 'b', 'c', 'd']);
    });

    it('for each fragment', async () => {
      const { client } = await pair();
      const called = [];
      client.send('a', { fin: false }, counter(called)('a'));
      await new Promise((resolve) => client.send('b', resolve));
      assert.deepEqual(called, ['a']);
    });

    it('with an error, once, if the connection is terminated', async () => {
      const { ws, socket } = await bare('server');
      const errors = [];
      socket.pause();
      const closed = closing(ws);
      for (let i = 0; i < 8; i++) {
        ws.send(Buffer.alloc(4 * MIB), (error) => errors.push(error));
      }
      await turn();
      ws.terminate();
      await closed;
      await turn();
      assert.equal(errors.length, 8);
      assert.ok(errors[7] instanceof Error);
    });

    it('even if another callback throws', async () => {
      const { client } = await pair();
      const called = [];
      const errors = await uncaught(async () => {
        await new Promise((resolve) => {
          for (const name of ['a', 'b', 'c']) {
            client.send(name, () => {
              called.push(name);
              if (name === 'c') resolve();
              throw new Error(name);
            });
          }
        });
        await turn();
      });
      assert.deepEqual(called, ['a', 'b', 'c']);
      assert.deepEqual(errors, called);
    });

    it('only if there is a callback', async () => {
      const { ws, socket } = await bare('server');
      const closed = closing(ws);
      socket.pause();
      ws.send(Buffer.alloc(16 * MIB));
      ws.terminate();
      assert.equal((await closed)[0], 1006);
    });
  });

  describe('of a Blob', () => {
    /** Returns a Blob that cannot be read. */
    function broken(size = 3) {
      const blob = new Blob(['x'.repeat(size)]);
      blob.arrayBuffer = () => Promise.reject(new Error('unreadable'));
      return blob;
    }

    it('may be a File', async function () {
      const { File } = require('buffer');
      const { client, server } = await pair();
      client.send(new File(['text'], 'name'));
      assert.equal(String((await once(server, 'message'))[0]), 'text');
    });

    it('delay everything that is sent after them', async () => {
      const { ws, wire } = await bare('server');
      ws.send(new Blob(['a']));
      ws.ping('b');
      ws.send(new Blob(['c']), { binary: false });
      ws.pong(new Blob(['d']));
      ws.send('e');
      ws.close();
      assert.deepEqual(
        (await wire.frames(6)).map(({ opcode, text }) => [opcode, text]),
        [
          [BINARY, 'a'],
          [PING, 'b'],
          [TEXT, 'c'],
          [PONG, 'd'],
          [TEXT, 'e'],
          [8, ''],
        ],
      );
    });

    it('that cannot be read fail the connection', async () => {
      const { client, server } = await pair();
      const called = [];
      const closed = closing(server);
      const failed = once(client, 'error');
      client.send('before');
      client.send(broken(), (error) => called.push(error.message));
      client.send('behind', (error) => called.push(error.message));
      const [error] = await failed;
      assert.equal(error.message, 'unreadable');
      assert.equal(client.readyState, WebSocket.CLOSING);
      assert.deepEqual(called, ['unreadable', 'unreadable']);
      assert.equal((await closing(client))[0], 1006);
      assert.equal((await closed)[0], 1006);
    });

    it('that cannot be read fail it even if the peer does not end', async () => {
      const { ws, socket } = await bare('server', { closeTimeout: 20 });
      const closed = closing(ws);
      socket.allowHalfOpen = true;
      ws.send(broken());
      assert.deepEqual(await closed, [1006, '']);
    });

    it('are not sent if the connection ends first', async () => {
      const { client } = await pair();
      const failed = new Promise((resolve) => {
        client.send(new Blob(['text']), resolve);
      });
      client.terminate();
      const { message } = await failed;
      assert.equal(
        message,
        'The socket was closed while the blob was being read',
      );
    });

    it('count as buffered until they are sent', async () => {
      const { client } = await pair();
      const sent = new Promise((resolve) => {
        client.send(new Blob(['x'.repeat(1000)]), resolve);
      });
      client.send('y'.repeat(100));
      assert.ok(client.bufferedAmount >= 1100);
      assert.ok(client.bufferedAmount <= 1100 + 2 * 14);
      await sent;
      await turn();
      assert.equal(client.bufferedAmount, 0);
    });
  });

  describe('that are not yet sent', () => {
    for (const side of SIDES) {
      it(`count as buffered at the ${side}`, async () => {
        const { ws, socket } = await bare(side);
        socket.pause();
        assert.equal(ws.bufferedAmount, 0);
        const sent = new Promise((resolve) => {
          ws.send(Buffer.alloc(16 * MIB), resolve);
        });
        await turn();
        assert.ok(ws.bufferedAmount > 0);
        assert.ok(ws.bufferedAmount <= 16 * MIB + 14);
        socket.removeAllListeners('data');
        socket.resume();
        await sent;
        assert.equal(ws.bufferedAmount, 0);
      });
    }
  });

  describe('in another state than OPEN', () => {
    const METHODS = ['send', 'ping', 'pong'];

    for (const method of METHODS) {
      it(`are refused by ${method}() while CONNECTING`, async () => {
        const wss = await serve();
        const ws = track(new WebSocket(url(wss)));
        const called = [];
        const expected = {
          name: 'Error',
          message: 'WebSocket is not open: readyState 0 (CONNECTING)',
        };
        assert.throws(() => ws[method]('x'), expected);
        assert.throws(() => ws[method]('x', () => called.push(1)), expected);
        await once(ws, 'open');
        assert.deepEqual(called, []);
        assert.equal(ws.bufferedAmount, 0);
      });

      for (const [state, name] of [
        [2, 'CLOSING'],
        [3, 'CLOSED'],
      ]) {
        it(`call ${method}() back with an error while ${name}`, async () => {
          const { client } = await pair();
          const closed = closing(client);
          client.close();
          if (state === 3) await closed;
          assert.equal(client.readyState, state);
          const called = [];
          client[method]('x');
          client[method]('x', (error) => called.push(error));
          assert.deepEqual(called, []);
          await new Promise((resolve) => process.nextTick(resolve));
          assert.equal(called.length, 1);
          const expected = `WebSocket is not open: readyState ${state} (${name})`;
          assert.equal(called[0].message, expected);
          await closed;
        });
      }
    }

    it('count as buffered by their size', () =>
      each(UNSENT, async (name, data, size) => {
        const { client } = await pair();
        const closed = closing(client);
        client.close();
        await closed;
        for (const method of METHODS) client[method](data);
        assert.equal(client.bufferedAmount, 3 * size);
      }));

    it('count as buffered if the handshake has failed', async () => {
      const server = await listenHttp(net.createServer());
      const address = url(server);
      await close(server);
      const ws = track(new WebSocket(address));
      await closing(ws);
      for (const method of METHODS) ws[method]('abc');
      assert.equal(ws.bufferedAmount, 9);
    });
  });

  describe('that are received', () => {
    it('are emitted with the WebSocket as this', async () => {
      const { client, server } = await pair();
      client.send('text');
      const self = await new Promise((resolve) => {
        server.on('message', function listener() {
          resolve(this);
        });
      });
      assert.equal(self, server);
    });

    it('without a listener are lost', async () => {
      const { client, server } = await pair();
      client.send('lost');
      await settle();
      client.send('seen');
      assert.equal(String((await once(server, 'message'))[0]), 'seen');
    });

    it('reach every listener', async () => {
      const { client, server } = await pair();
      const both = [once(server, 'message'), once(server, 'message')];
      client.send('text');
      const [[one], [two]] = await Promise.all(both);
      assert.equal(one.toString(), 'text');
      assert.equal(one, two);
    });

    it('may be answered in turn', async () => {
      const { client, server } = await pair();
      server.on('message', (data, binary) => server.send(data, { binary }));
      const received = new Promise((resolve) => {
        client.on('message', (data) => {
          if (data.length === 100) resolve(String(data));
          else client.send(`${data}.`);
        });
      });
      client.send('.');
      assert.equal(await received, '.'.repeat(100));
    });

    it('make the error of a listener an uncaught exception', async () => {
      const { client, server } = await pair();
      server.on('message', () => {
        throw new Error('thrown');
      });
      const thrown = await nextUncaught(() => client.send('text'));
      assert.equal(thrown, 'thrown');
    });
  });

  beyondWs('shared memory', () => {
    it('is not changed when it is sent', async () => {
      const { client, server } = await pair();
      const shared = sharedMemory();
      const received = once(server, 'message');
      client.send(shared);
      await received;
      assert.deepEqual(Buffer.from(shared), bytes);
    });
  });

  beyondWs('a listener that throws', () => {
    for (const side of SIDES) {
      it(`loses none of the ${side}'s messages`, async () => {
        const { ws, sendAll } = await bare(side);
        const seen = [];
        const errors = await uncaught(async () => {
          const closed = closing(ws);
          for (const event of ['message', 'ping', 'pong']) {
            ws.on(event, (data) => {
              seen.push(data.toString());
              throw new Error(data.toString());
            });
          }
          sendAll([TEXT, 'a'], [PING, 'b'], [PONG, 'c'], [BINARY, 'd'], [8]);
          assert.deepEqual(await closed, [1005, '']);
          await turn();
        });
        assert.deepEqual(seen, ['a', 'b', 'c', 'd']);
        assert.deepEqual(errors, seen);
      });
    }
  });
});
