'use strict';

const assert = require('node:assert/strict');
const { EventEmitter, once } = require('events');
const fs = require('fs');
const path = require('path');
const { Duplex, PassThrough } = require('stream');
const { promisify } = require('util');

const Reference = require('./Reference');
const WebSocket = require('../..');
const Extensions = require('../../lib/ws2016/Extensions');
const PerMessageDeflate = require('../../lib/ws2016/PerMessageDeflate');
const { Validation } = require('../../lib/ws2016/Validation');
const native = require('../../lib/native');
const { BINARY, CLOSE, DEFLATE, PING, TEXT } = require('../ws8/support');
const { accepting, closePayload, closing } = require('../ws8/support');
const { exchange, frame, ignore, ledger, request } = require('../ws8/support');
const { uncaught, url } = require('../ws8/support');

const { Receiver, Sender, Server } = WebSocket;

const reference = new Reference('docs/ws2016.md');
const lib = path.join(__dirname, '..', '..', 'lib', 'ws2016');

/** An extension whose offer is accepted. */
function accepted() {
  const extension = new PerMessageDeflate({}, true);
  extension.accept([{}]);
  return extension;
}

/** Frames that violate the protocol, and arguments of their Receiver, by the message. */
const VIOLATIONS = {
  'RSV2 and RSV3 must be clear': [[frame(TEXT, '', { rsv: 2 })]],
  'RSV1 must be clear': [[frame(TEXT, '', { rsv: 4 })]],
  'invalid opcode: 5': [[frame(5)]],
  'FIN must be set': [[frame(PING, '', { fin: false })]],
  'invalid payload length': [[frame(PING, 'x'.repeat(126))]],
  'MASK must be set': [
    [frame(TEXT, '', { key: null })],
    {},
    0,
    { masked: true },
  ],
  'MASK must be clear': [[frame(TEXT)], {}, 0, { masked: false }],
  'invalid status code: 5': [[frame(CLOSE, closePayload(5))]],
  'invalid utf8 sequence': [[frame(TEXT, [0xff])]],
  'invalid compressed data': [
    [frame(TEXT, [0xff, 0xff], { rsv: 4 })],
    { [DEFLATE]: accepted() },
  ],
  'too many message fragments': [
    [frame(TEXT, 'x', { fin: false }), frame(0, 'x')],
    {},
    0,
    { maxFragments: 1 },
  ],
  'max payload size exceeded': [[frame(BINARY, 'xx')], {}, 1],
};

/** The fields of a server's answer, and the client's arguments, by the message. */
const FAILING = {
  'invalid upgrade header': [{ Upgrade: 'other' }],
  'invalid server key': [{ 'Sec-WebSocket-Accept': 'other' }],
  'server sent no subprotocol even though requested': [{}, ['a']],
  'server sent a subprotocol even though none requested': [
    { 'Sec-WebSocket-Protocol': 'a' },
  ],
  'server responded with an invalid protocol': [
    { 'Sec-WebSocket-Protocol': 'b' },
    ['a'],
  ],
  'server sent an extension that was not requested': [
    { 'Sec-WebSocket-Extensions': DEFLATE },
    [],
    { perMessageDeflate: false },
  ],
  'invalid extension parameter': [
    { 'Sec-WebSocket-Extensions': `${DEFLATE}; other` },
  ],
};

describe('ws2016.md says what is true', () => {
  const { answering, bare, pair, serve, track } = ledger(WebSocket);

  /** A client that is given up before it is open. */
  function unconnected() {
    const ws = track(new WebSocket('ws://127.0.0.1:1'));
    return ws.on('error', ignore);
  }

  describe('of what is exported', () => {
    const [rows] = reference.tables('What is exported');

    it('by require', () => {
      const names = rows.map(({ name }) => Reference.code(name)[0]);
      assert.deepEqual(names.sort(), Reference.members(WebSocket).sort());
    });

    it('by import', async () => {
      const exported = await import('../../wrapper.mjs');
      const names = rows
        .filter((row) => row['`import`'] === 'yes')
        .map(({ name }) => Reference.code(name)[0]);
      assert.deepEqual([...names, 'default'].sort(), Object.keys(exported));
    });

    it('as states', () => {
      for (const { name, what } of rows.slice(-4)) {
        const [state] = Reference.code(name);
        assert.equal(`${WebSocket[state]}`, Reference.code(what)[0]);
      }
    });
  });

  describe('of the default of each option', () => {
    it('of both ends', async () => {
      const defaults = reference.defaults('Limits');
      assert.deepEqual(Object.keys(defaults), [
        'maxFragments',
        'strictMasking',
      ]);
      assert.equal(defaults.strictMasking, false);
      const { ws, socket } = await bare('server');
      const received = once(ws, 'message');
      socket.write(frame(TEXT, 'x', { key: null }));
      assert.equal((await received)[0], 'x');

      const receiver = new Receiver();
      const errors = [];
      receiver.onerror = (error) => errors.push(error.message);
      receiver.add(frame(TEXT, 'x', { fin: false }));
      const fragment = frame(0, '', { fin: false });
      receiver.add(
        Buffer.alloc(fragment.length * (defaults.maxFragments - 1), fragment),
      );
      assert.deepEqual(errors, []);
      receiver.add(fragment);
      assert.deepEqual(errors, ['too many message fragments']);
    });

    it('of a server', () => {
      const own = reference.defaults('Options of a server');
      const server = new EventEmitter();
      for (const given of [{ noServer: true }, { server }]) {
        assert.deepEqual(new Server(given).options, { ...own, ...given });
      }
    });

    it('of a client', async () => {
      const heads = [];
      const server = await answering((head) => {
        heads.push(head.replace(/^sec-websocket-key:.*$/im, ''));
        return accepting(head);
      });
      const opened = async (options) => {
        const ws = track(new WebSocket(url(server), options));
        await once(ws, 'open');
        const { maxPayload, protocolVersion } = ws;
        return { head: heads.pop(), maxPayload, protocolVersion };
      };
      const defaults = reference.defaults('Options of a client');
      const byDefault = await opened();
      for (const [name, value] of Object.entries(defaults)) {
        assert.deepEqual(await opened({ [name]: value }), byDefault, name);
      }
      const defined = Object.entries(defaults).filter(
        ([, value]) => value !== undefined,
      );
      assert.deepEqual(defined.map(([name]) => name).sort(), [
        'highWaterMark',
        'maxPayload',
        'perMessageDeflate',
        'protocolVersion',
      ]);
    });

    describe('of permessage-deflate', () => {
      const { threshold, ...others } = reference.defaults('permessage-deflate');

      /** What the document is compressed to with these options. */
      async function compressed(options) {
        const deflate = new PerMessageDeflate(options);
        const compress = promisify(deflate.compress).bind(deflate);
        const data = await compress(Buffer.from(reference.text), true);
        return data.toString('hex');
      }

      it('in JavaScript', () => {
        const deflate = new PerMessageDeflate();
        assert.equal(deflate.threshold, threshold);
        const given = Object.fromEntries(
          Object.entries(others).filter(([, value]) => value !== undefined),
        );
        assert.deepEqual(Object.keys(given).sort(), [
          'level',
          'memLevel',
          'memoryBudget',
        ]);
        assert.deepEqual(deflate.offer(), { client_max_window_bits: true });
      });

      for (const [name, least, most] of [
        ['level', 0, 9],
        ['memLevel', 1, 9],
      ]) {
        it(name, async () => {
          const value = others[name];
          const byDefault = await compressed({});
          assert.equal(await compressed({ [name]: value }), byDefault);
          assert.notEqual(await compressed({ [name]: value - 1 }), byDefault);
          for (const wrong of [least - 2, most + 1, 1.5]) {
            assert.throws(() => new PerMessageDeflate({ [name]: wrong }));
          }
        });
      }

      it('memoryBudget', () => {
        const { memoryBudget } = others;
        const deflate = new PerMessageDeflate();
        assert.equal(deflate.native.memoryBudget, memoryBudget);
      });
    });

    it('of send', async () => {
      const extensions = DEFLATE;
      const { ws, wire } = await bare('client', {}, { extensions });
      const data = 'x'.repeat(2000);
      const headOf = async (options) => {
        ws.send(data, options);
        const { fin, masked, opcode, rsv } = await wire.frame();
        return { fin, masked, opcode, rsv };
      };
      const defaults = reference.defaults('Methods');
      assert.deepEqual(defaults, { compress: true, fin: true, mask: true });
      const byDefault = await headOf();
      for (const [name, value] of Object.entries(defaults)) {
        assert.deepEqual(await headOf({ [name]: value }), byDefault);
        assert.notDeepEqual(await headOf({ [name]: !value }), byDefault);
        // The rest of a message.
        if (name === 'fin') await headOf();
      }
    });
  });

  describe('and names', () => {
    for (const [heading, Class, ...objects] of [
      ['Class: WebSocket', WebSocket],
      [
        'Class: WebSocket.Server',
        Server,
        Server,
        new Server({ noServer: true }),
      ],
      ['Class: Receiver', Receiver, Receiver, new Receiver()],
      ['Class: Sender', Sender, Sender, new Sender(new PassThrough())],
      [
        'Class: PerMessageDeflate',
        PerMessageDeflate,
        PerMessageDeflate,
        new PerMessageDeflate(),
      ],
    ]) {
      it(`each member: ${heading}`, () => {
        const defined = reference.definitions(heading);
        for (const name of Reference.methods(Class)) {
          assert.ok(defined.has(name), `${name}()`);
        }
        const names = reference.names(heading);
        for (const name of Reference.members(Class.prototype, ...objects)) {
          assert.ok(names.has(name), name);
        }
      });
    }

    it('each property of a connection', async () => {
      const { client, server } = await pair();
      const names = reference.names('Properties');
      for (const name of Reference.members(client, server)) {
        assert.ok(names.has(name), name);
      }
    });

    it('each function and property of the others', () => {
      for (const [heading, object] of [
        ['Extensions', Extensions],
        ['Validation', Validation],
        ['WebSocket.diagnostics([websocket])', WebSocket.diagnostics()],
      ]) {
        const names = reference.names(heading);
        for (const name of Object.keys(object)) {
          assert.ok(names.has(name), name);
        }
      }
    });

    for (const [heading, file] of [
      ['Events of a server', 'WebSocketServer.js'],
      ['Events of a connection', 'WebSocket.js'],
    ]) {
      it(`each event: ${heading}`, () => {
        const emits = /\b(?:this|ws|wss)\.emit\(\s*'([\w-]+)'/g;
        const text = fs.readFileSync(path.join(lib, file), 'utf8');
        const emitted = [...text.matchAll(emits)].map(([, name]) => name);
        const names = [...new Set(emitted)].sort();
        assert.deepEqual(reference.events(heading).sort(), names);
      });
    }

    it('the event that has the URL in its name', async () => {
      const [, name] = /`'(connection\/.*)'`/.exec(reference.text);
      const wss = await serve();
      const emitted = once(wss, name);
      const target = name.replace('connection', '');
      track(new WebSocket(url(wss, target)));
      assert.ok((await emitted)[0] instanceof WebSocket);
    });
  });

  describe('of violations', () => {
    const [rows] = reference.tables('Violations');

    it('each of which it names', () => {
      const codes = rows.map((row) => Reference.code(row['`error.code`'])[0]);
      // The length of a frame is that of its message.
      const frames = 'WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH';
      const all = native.violations().filter((name) => name !== frames);
      assert.deepEqual(codes.sort(), all.sort());
      const messages = rows.map(({ message }) => Reference.code(message)[0]);
      assert.deepEqual(messages.sort(), Object.keys(VIOLATIONS).sort());
    });

    for (const row of rows) {
      const [code, name, message, closeCode] = Object.values(row).map(
        (cell) => Reference.code(cell)[0],
      );
      it(message, () => {
        const [frames, ...args] = VIOLATIONS[message];
        const receiver = new Receiver(...args);
        const errors = [];
        receiver.onerror = (...event) => errors.push(event);
        for (const bytes of frames) receiver.add(Buffer.from(bytes));
        assert.equal(errors.length, 1);
        const [[error, given]] = errors;
        assert.equal(error.message, message);
        assert.equal(error.code, code);
        assert.equal(error.constructor.name, name);
        assert.equal(`${given}`, closeCode);
      });
    }
  });

  describe('of handshakes that fail', () => {
    const cases = {
      'opening handshake has timed out': async () => {
        const server = await answering(() => '');
        return track(new WebSocket(url(server), { handshakeTimeout: 10 }));
      },
      'unexpected server response (404)': async () => {
        const server = await answering(() => 'HTTP/1.1 404 Not Found\r\n\r\n');
        return track(new WebSocket(url(server)));
      },
      ...Object.fromEntries(
        Object.entries(FAILING).map(([message, [fields, ...args]]) => [
          message,
          async () => {
            const server = await answering((head) => accepting(head, fields));
            return track(new WebSocket(url(server), ...args));
          },
        ]),
      ),
    };
    const [rows] = reference.tables('Failed handshakes');

    it('each of which it names', () => {
      const messages = rows.map(({ message }) => Reference.code(message)[0]);
      assert.deepEqual(messages.sort(), Object.keys(cases).sort());
    });

    for (const [message, fail] of Object.entries(cases)) {
      it(message, async () => {
        const ws = await fail();
        const closed = closing(ws);
        const [error] = await once(ws, 'error');
        assert.equal(error.message, message);
        assert.deepEqual(await closed, [1006, '']);
      });
    }
  });

  describe('of errors of the program', () => {
    const thrown = async (run) => {
      try {
        await run();
      } catch (error) {
        return { how: 'thrown', error };
      }
      return {};
    };
    const calledBack = async (run) => ({
      how: 'callback',
      error: await new Promise(run),
    });
    const emitted = async (...args) => {
      const { client } = await pair();
      const failed = once(client, 'error');
      client.close(...args);
      const [error] = await failed;
      return { how: "'error' event", error };
    };

    /** Ways to get an error, by where it comes from and its message. */
    const cases = {
      'new WebSocket: invalid url': () =>
        thrown(() => new WebSocket('example')),
      'new WebSocket: unsupported protocol version': () =>
        thrown(() => new WebSocket('ws://localhost', { protocolVersion: 7 })),
      'new WebSocket: perMessageDeflate.level must be an integer from 0 to 9: 99':
        () => {
          const perMessageDeflate = { level: 99 };
          return thrown(
            () => new WebSocket('ws://localhost', { perMessageDeflate }),
          );
        },
      'new WebSocket: highWaterMark must be an integer of at least 0': () =>
        thrown(() => new WebSocket('ws://localhost', { highWaterMark: -1 })),
      'new WebSocket.Server: missing or invalid options': () =>
        thrown(() => new Server({})),
      'send: not opened': () =>
        calledBack((callback) => unconnected().send('text', callback)),
      'ping: not opened': () => thrown(() => unconnected().ping()),
      'ping: The data size must not be greater than 125 bytes': () =>
        thrown(async () => (await pair()).client.ping('x'.repeat(126))),
      'stream: callback must be provided': () =>
        thrown(async () => (await pair()).client.stream()),
      'binaryType: unsupported binaryType: must be either "nodebuffer" or "arraybuffer"':
        () =>
          thrown(() => {
            unconnected().binaryType = 'blob';
          }),
      'close: first argument must be a valid error code number': () =>
        emitted(1005),
      'close: The message must not be greater than 123 bytes': () =>
        emitted(1000, 'x'.repeat(124)),
      'close: The message must be valid UTF-8': () =>
        emitted(1000, Buffer.from([0xff])),
      'send: the connection ended before the data was sent': () =>
        calledBack((callback) => {
          const socket = new Duplex({ read: ignore, write: ignore });
          const upgraded = [{ headers: {} }, socket, Buffer.alloc(0)];
          const ws = new WebSocket(upgraded);
          ws.send('text', callback);
          socket.destroy();
        }),
    };
    const [rows] = reference.tables('Errors of the program');
    const keyOf = ({ where, message }) =>
      [where, message].map((cell) => Reference.code(cell)[0]).join(': ');

    it('each of which it names', () => {
      assert.deepEqual(rows.map(keyOf).sort(), Object.keys(cases).sort());
    });

    for (const row of rows) {
      it(keyOf(row), async () => {
        const { how, error } = await cases[keyOf(row)]();
        assert.equal(error.message, Reference.code(row.message)[0]);
        assert.equal(error.constructor.name, Reference.code(row.class)[0]);
        assert.ok(row.how.replaceAll('`', '').startsWith(how), row.how);
      });
    }

    it('the last of which has a code', async () => {
      const last = Object.values(cases).pop();
      assert.equal((await last()).error.code, 'ERR_OXWS_NOT_SENT');
    });
  });

  it('of the codes that close() takes', () => {
    const section = reference.section('Close codes');
    const ranges = [...section.matchAll(/(\d{4}) to (\d{4})/g)];
    assert.equal(ranges.length, 3);
    for (let code = 0; code < 6000; code++) {
      const isTaken = ranges.some(
        ([, first, last]) => code >= first && code <= last,
      );
      assert.equal(isTaken, native.isValidCloseCode(code), `${code}`);
    }
  });

  describe('of answers to requests', () => {
    const fails = () => {
      throw new Error('on purpose');
    };
    const wrong = 'permessage-deflate; other';
    /** Options of the server, and the request, in the order of the table. */
    const cases = [
      [{}, request()],
      [{}, request({ 'Sec-WebSocket-Key': 'other' })],
      [{}, request({ 'Sec-WebSocket-Extensions': wrong })],
      [{ path: '/other' }, request()],
      [{ verifyClient: () => false }, request()],
      [{ handleProtocols: () => false }, request()],
      [{}, request({}, { method: 'POST' })],
      [{}, request({ Upgrade: undefined, Connection: 'close' })],
      [{ verifyClient: fails }, request()],
    ];
    const [rows] = reference.tables('Answers to requests');

    rows.forEach((row, i) => {
      const [status] = Reference.code(row.status);
      it(`${status}: ${row.why}`, async () => {
        const [options, bytes] = cases[i];
        const wss = await serve(options);
        wss.on('connection', (ws) => ws.terminate());
        let answer;
        await uncaught(async () => {
          answer = await exchange(wss, bytes);
        });
        assert.equal(answer.line.split(' ')[1], status);
      });
    });

    it('each of which it names', () => {
      assert.equal(rows.length, cases.length);
    });
  });
});
