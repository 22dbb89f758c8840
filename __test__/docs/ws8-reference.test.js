'use strict';

const assert = require('node:assert/strict');
const { once } = require('events');
const fs = require('fs');
const http = require('http');
const path = require('path');
const { Duplex } = require('stream');
const { promisify } = require('util');

const Reference = require('./Reference');
const { kStatusCode } = require('../../lib/ws8/constants');
const native = require('../../lib/native');
const { BINARY, CLOSE, DEFLATE, PING, TEXT } = require('../ws8/support');
const {
  WebSocket,
  accepting,
  closePayload,
  closing,
} = require('../ws8/support');
const { exchange, frame, ignore, ledger } = require('../ws8/support');
const { request, silent, uncaught, url } = require('../ws8/support');

const { PerMessageDeflate, Receiver, Sender, WebSocketServer } = WebSocket;

const reference = new Reference('docs/ws8.md');
const lib = path.join(__dirname, '..', '..', 'lib', 'ws8');

/** What `http.request` is given by a client whatever the program's options are. */
const OF_REQUESTS = [
  'auth',
  'createConnection',
  'defaultPort',
  'headers',
  'highWaterMark', // That of a socket would be another one.
  'host',
  'hostname',
  'method',
  'path',
  'port',
  'protocol',
  'protocols',
  'socketPath',
  'timeout',
];

/** An extension whose offer is accepted. */
function accepted() {
  const extension = new PerMessageDeflate({ isServer: true });
  extension.accept([{}]);
  return extension;
}

/** Chunks that violate the protocol, and the options of their Receiver, by the message. */
const VIOLATIONS = {
  'Invalid WebSocket frame: RSV2 and RSV3 must be clear': [
    [frame(TEXT, '', { rsv: 2 })],
  ],
  'Invalid WebSocket frame: RSV1 must be clear': [
    [frame(TEXT, '', { rsv: 4 })],
  ],
  'Invalid WebSocket frame: invalid opcode 5': [[frame(5)]],
  'Invalid WebSocket frame: FIN must be set': [
    [frame(PING, '', { fin: false })],
  ],
  'Invalid WebSocket frame: invalid payload length 126': [
    [frame(PING, 'x'.repeat(126))],
  ],
  'Invalid WebSocket frame: MASK must be set': [
    [frame(TEXT, '', { key: null })],
  ],
  'Invalid WebSocket frame: MASK must be clear': [
    [frame(TEXT)],
    { isServer: false },
  ],
  'Invalid WebSocket frame: invalid status code 5': [
    [frame(CLOSE, closePayload(5))],
  ],
  'Invalid WebSocket frame: invalid UTF-8 sequence': [[frame(TEXT, [0xff])]],
  'invalid compressed data': [
    [frame(TEXT, [0xff, 0xff], { rsv: 4 })],
    { extensions: { [DEFLATE]: accepted() } },
  ],
  'Too many message fragments': [
    [frame(TEXT, 'x', { fin: false }), frame(0, 'x')],
    { maxFragments: 1 },
  ],
  'Too many buffered chunks': [
    [frame(TEXT, 'xxx').subarray(0, -1), frame(TEXT, 'xxx').subarray(-1)],
    { maxBufferedChunks: 1 },
  ],
  'Max payload size exceeded': [[frame(BINARY, 'xx')], { maxPayload: 1 }],
  'Unsupported WebSocket frame: payload length > 2^53 - 1': [
    [frame(BINARY, '', { length: 2 ** 53 })],
  ],
};

/** The fields of a server's answer, and the client's arguments, by the message. */
const FAILING = {
  'Invalid Upgrade header': [{ Upgrade: 'other' }],
  'Invalid Sec-WebSocket-Accept header': [{ 'Sec-WebSocket-Accept': 'other' }],
  'Server sent no subprotocol': [{}, ['a']],
  'Server sent a subprotocol but none was requested': [
    { 'Sec-WebSocket-Protocol': 'a' },
  ],
  'Server sent an invalid subprotocol': [
    { 'Sec-WebSocket-Protocol': 'b' },
    ['a'],
  ],
  'Server sent a Sec-WebSocket-Extensions header but no extension was requested':
    [{ 'Sec-WebSocket-Extensions': DEFLATE }, [], { perMessageDeflate: false }],
  'Server indicated an extension that was not requested': [
    { 'Sec-WebSocket-Extensions': 'other' },
  ],
  'Invalid Sec-WebSocket-Extensions header': [
    { 'Sec-WebSocket-Extensions': '=' },
  ],
};

describe('ws8.md says what is true', () => {
  const { answering, bare, pair, serve, track } = ledger();

  /** A client whose handshake goes no further than `createConnection`. */
  function unconnected(options) {
    const createConnection = silent;
    const ws = new WebSocket('ws://localhost', {
      createConnection,
      ...options,
    });
    return track(ws.on('error', ignore));
  }

  describe('of what is exported', () => {
    const [rows] = reference.tables('What is exported');

    it('by require', () => {
      const names = rows.map(({ name }) => Reference.code(name)[0]);
      assert.deepEqual(names.sort(), Reference.members(WebSocket).sort());
    });

    it('by import', async () => {
      const exported = await import('../../ws8/wrapper.mjs');
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
    const both = reference.defaults('Options of both ends');

    it('of a server', () => {
      const own = reference.defaults('Options of a server', { WebSocket });
      for (const given of [{ noServer: true }, { server: http.createServer() }])
        assert.deepEqual(new WebSocketServer(given).options, {
          ...both,
          ...own,
          ...given,
        });
    });

    it('of a client', () => {
      let given;
      unconnected({
        createConnection(options) {
          given = options;
          return silent();
        },
      });
      const own = reference.defaults('Options of a client');
      const documented = { ...both, ...own };
      for (const [name, value] of Object.entries(documented)) {
        if (!OF_REQUESTS.includes(name)) assert.equal(given[name], value, name);
      }
      assert.equal(given.timeout, own.handshakeTimeout);
      for (const name of Object.keys(given)) {
        const isKnown = name in documented || OF_REQUESTS.includes(name);
        assert.ok(isKnown, name);
      }
    });

    describe('of permessage-deflate', () => {
      const defaults = reference.defaults('permessage-deflate');
      const { threshold, concurrencyLimit, ...others } = defaults;

      /** What the document is compressed to with these options. */
      async function compressed(zlibDeflateOptions) {
        const deflate = new PerMessageDeflate({ zlibDeflateOptions });
        const compress = promisify(deflate.compress).bind(deflate);
        const data = await compress(Buffer.from(reference.text), true);
        return data.toString('hex');
      }

      it('in JavaScript', () => {
        const deflate = new PerMessageDeflate();
        assert.equal(deflate._threshold, threshold);
        assert.equal(deflate._limiter.concurrency, concurrencyLimit);
        const given = Object.fromEntries(
          Object.entries(others).filter(([, value]) => value !== undefined),
        );
        assert.deepEqual(Object.keys(given).sort(), [
          'memoryBudget',
          'zlibDeflateOptions.level',
          'zlibDeflateOptions.memLevel',
        ]);
        assert.deepEqual(deflate.offer(), { client_max_window_bits: true });
      });

      for (const [name, least, most] of [
        ['level', 0, 9],
        ['memLevel', 1, 9],
      ]) {
        it(name, async () => {
          const value = others[`zlibDeflateOptions.${name}`];
          const byDefault = await compressed({});
          assert.equal(await compressed({ [name]: value }), byDefault);
          assert.notEqual(await compressed({ [name]: value - 1 }), byDefault);
          for (const wrong of [least - 2, most + 1, 1.5]) {
            const zlibDeflateOptions = { [name]: wrong };
            assert.throws(() => new PerMessageDeflate({ zlibDeflateOptions }));
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
      const headOf = async (options) => {
        ws.send('text', options);
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

    it('of a Receiver', () => {
      const receiver = new Receiver();
      const defaults = reference.defaults('Class: Receiver');
      assert.equal(Object.keys(defaults).length, 8);
      for (const [name, value] of Object.entries(defaults)) {
        assert.deepEqual(receiver[`_${name}`], value, name);
      }
    });
  });

  describe('and names', () => {
    for (const [heading, Class, ...objects] of [
      ['Class: WebSocket', WebSocket],
      [
        'Class: WebSocketServer',
        WebSocketServer,
        WebSocketServer,
        new WebSocketServer({ noServer: true }),
      ],
      ['Class: Receiver', Receiver, Receiver],
      ['Class: Sender', Sender, Sender],
      ['Class: PerMessageDeflate', PerMessageDeflate, PerMessageDeflate],
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

    it('each function and property of the others', () => {
      const { parse, format } = WebSocket.extension;
      for (const [heading, object] of [
        ['extension', { parse, format }],
        ['subprotocol', WebSocket.subprotocol],
        ['WebSocket.diagnostics([websocket])', WebSocket.diagnostics()],
      ]) {
        const names = reference.names(heading);
        for (const name of Object.keys(object)) {
          assert.ok(names.has(name), name);
        }
      }
    });

    for (const [heading, ...files] of [
      ['Events of a server', 'websocket-server.js'],
      [
        'Events of a connection',
        'websocket.js',
        'connect.js',
        'incoming.js',
        'event-target.js',
      ],
    ]) {
      it(`each event: ${heading}`, () => {
        const emits = /\b(?:this|ws|wss|websocket)\.emit\(\s*'([\w-]+)'/g;
        const emitted = files
          .map((file) => fs.readFileSync(path.join(lib, file), 'utf8'))
          .flatMap((text) => [...text.matchAll(emits)].map(([, name]) => name));
        const names = [...new Set(emitted)].sort();
        assert.deepEqual(reference.events(heading).sort(), names);
      });
    }
  });

  describe('of violations', () => {
    const [rows] = reference.tables('Violations');

    it('each of which it names', () => {
      const names = rows.map((row) => Reference.code(row['`error.code`'])[0]);
      const all = [...new Set(names)].sort();
      assert.deepEqual(all, native.violations().sort());
      const messages = rows.map(({ message }) => Reference.code(message)[0]);
      assert.deepEqual(messages.sort(), Object.keys(VIOLATIONS).sort());
    });

    for (const row of rows) {
      const [code, name, message, closeCode] = Object.values(row).map(
        (cell) => Reference.code(cell)[0],
      );
      it(message, async () => {
        const [chunks, options] = VIOLATIONS[message];
        const receiver = new Receiver({ isServer: true, ...options });
        receiver.on('message', ignore);
        for (const chunk of chunks) receiver.write(Buffer.from(chunk));
        const [error] = await once(receiver, 'error');
        assert.equal(error.message, message);
        assert.equal(error.code, code);
        assert.equal(error.constructor.name, name);
        assert.equal(`${error[kStatusCode]}`, closeCode);
      });
    }
  });

  describe('of handshakes that fail', () => {
    const failure = async (ws) => {
      const closed = closing(ws);
      const [error] = await once(ws, 'error');
      assert.deepEqual(await closed, [1006, '']);
      return error.message;
    };

    const cases = {
      'Opening handshake has timed out': async () => {
        const server = await answering(() => '');
        const options = { handshakeTimeout: 10 };
        return track(new WebSocket(url(server), options));
      },
      'Unexpected server response: 404': async () => {
        const server = await answering(() => 'HTTP/1.1 404 Not Found\r\n\r\n');
        return track(new WebSocket(url(server)));
      },
      'Maximum redirects exceeded': async () => {
        const server = await answering(
          () => 'HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n',
        );
        const options = { followRedirects: true, maxRedirects: 0 };
        return track(new WebSocket(url(server), options));
      },
      'WebSocket was closed before the connection was established': () => {
        const ws = unconnected();
        setImmediate(() => ws.close());
        return ws;
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
      it(message, async () =>
        assert.equal(await failure(await fail()), message),
      );
    }
  });

  describe('of errors that are thrown', () => {
    const connectTo = (address) => () => new WebSocket(address);
    const opened = async () => (await pair()).client;
    const cases = {
      'Invalid URL: example': connectTo('example'),
      'The URL\'s protocol must be one of "ws:", "wss:", "http:", "https:", or "ws+unix:"':
        connectTo('ftp://example'),
      "The URL's pathname is empty": connectTo('ws+unix:'),
      'The URL contains a fragment identifier': connectTo('ws://example#a'),
      'An invalid or duplicated subprotocol was specified': () =>
        new WebSocket('ws://localhost', ['a', 'a']),
      'Unsupported protocol version: 7 (supported versions: 8, 13)': () =>
        new WebSocket('ws://localhost', { protocolVersion: 7 }),
      'The "highWaterMark" option must be an integer of at least 0': () =>
        new WebSocketServer({ noServer: true, highWaterMark: -1 }),
      'perMessageDeflate.level must be an integer from 0 to 9: 99': () =>
        unconnected({
          perMessageDeflate: { zlibDeflateOptions: { level: 99 } },
        }),
      'One and only one of the "port", "server", or "noServer" options must be specified':
        () => new WebSocketServer({}),
      'The server is operating in "noServer" mode': () =>
        new WebSocketServer({ noServer: true }).address(),
      'server.handleUpgrade() was called more than once with the same socket, possibly due to a misconfiguration':
        async () => {
          const { server, req, wss } = await pair();
          const { _socket: socket } = server;
          wss.handleUpgrade(req, socket, Buffer.alloc(0), ignore);
        },
      'WebSocket is not open: readyState 0 (CONNECTING)': () =>
        unconnected().send('text'),
      'The data size must not be greater than 125 bytes': async () =>
        (await opened()).ping('x'.repeat(126)),
      'First argument must be a valid error code number': async () =>
        (await opened()).close(1005),
      'Second argument must be a string or a Uint8Array': async () =>
        (await opened()).close(1000, [1]),
      'The message must not be greater than 123 bytes': async () =>
        (await opened()).close(1000, 'x'.repeat(124)),
    };
    const [rows] = reference.tables('Errors that are thrown');

    it('each of which it names', () => {
      const messages = rows.map(({ message }) => Reference.code(message)[0]);
      assert.deepEqual(messages.sort(), Object.keys(cases).sort());
    });

    for (const row of rows) {
      const [message] = Reference.code(row.message);
      const [name] = Reference.code(row.class);
      it(message, () =>
        assert.rejects(async () => cases[message](), { name, message }),
      );
    }
  });

  describe('of errors of callbacks', () => {
    const sent = (ws, data) => new Promise((resolve) => ws.send(data, resolve));
    /** A connection over a stream that takes nothing. */
    const stuck = (options) => {
      const ws = new WebSocket(null, undefined, {
        closeTimeout: 1,
        ...options,
      });
      const socket = new Duplex({
        read: ignore,
        write: ignore,
        destroy(error, callback) {
          setImmediate(callback, error);
        },
      });
      if (options) ws._extensions = { [DEFLATE]: accepted() };
      ws.setSocket(socket, Buffer.alloc(0), {});
      return ws;
    };
    const cases = {
      'WebSocket is not open: readyState 2 (CLOSING)'() {
        const ws = stuck();
        ws.terminate();
        return sent(ws, 'text');
      },
      'Cannot call write after a stream was destroyed'() {
        const ws = stuck();
        const error = sent(ws, 'text');
        ws.terminate();
        return error;
      },
      'The socket was closed while data was being compressed'() {
        const ws = stuck({ autoPong: true });
        const error = sent(ws, Buffer.alloc(1 << 17));
        ws.terminate();
        return error;
      },
      'The socket was closed while the blob was being read'() {
        const ws = stuck();
        const error = sent(ws, new Blob(['text']));
        ws.terminate();
        return error;
      },
    };
    const [rows] = reference.tables('Errors of callbacks');

    it('each of which it names', () => {
      const messages = rows.map(({ message }) => Reference.code(message)[0]);
      assert.deepEqual(messages.sort(), Object.keys(cases).sort());
    });

    for (const [message, fail] of Object.entries(cases)) {
      it(message, async () => assert.equal((await fail()).message, message));
    }
  });

  it('of the codes that close() takes', () => {
    const [rows] = reference.tables('Close codes');
    let next = 1000;
    for (const row of rows) {
      const [first, last = first] = Reference.code(row.code).map(Number);
      assert.equal(first, next);
      next = last + 1;
      for (let code = first; code <= last; code++) {
        const isTaken = native.isValidCloseCode(code);
        assert.equal(isTaken, row['`close()`'] === 'yes', `${code}`);
      }
    }
    assert.equal(next, 5000);
  });

  describe('of answers to requests', () => {
    const fails = () => {
      throw new Error('on purpose');
    };
    const wrong = '=';
    /** Options of the server, and the request, in the order of the table. */
    const cases = [
      [{}, request()],
      [{}, request({ 'Sec-WebSocket-Key': wrong })],
      [{}, request({ 'Sec-WebSocket-Protocol': wrong })],
      [{ path: '/other' }, request()],
      [{ verifyClient: () => false }, request()],
      [{}, request({}, { method: 'POST' })],
      [{}, request({ Upgrade: undefined, Connection: 'close' })],
      [{ verifyClient: fails }, request()],
      [
        {},
        request(),
        (wss) => {
          wss.options.verifyClient = (info, callback) => {
            wss.close();
            callback(true);
          };
        },
      ],
    ];
    const [rows] = reference.tables('Answers to requests');

    /** The status of the answer of a server that has this listener. */
    async function answerTo([options, bytes, prepare = ignore], listener) {
      const wss = await serve(options);
      prepare(wss);
      wss.on('connection', (ws) => ws.terminate());
      if (listener) wss.on('wsClientError', listener);
      let answer;
      await uncaught(async () => {
        answer = await exchange(wss, bytes);
      });
      return answer.line.split(' ')[1];
    }

    rows.forEach((row, i) => {
      const [status] = Reference.code(row.status);
      it(`${status}: ${row.why}`, async () => {
        assert.equal(await answerTo(cases[i]), status);
        let isHeard = false;
        await answerTo(cases[i], (error, socket) => {
          isHeard = true;
          socket.destroy();
        });
        assert.equal(isHeard, row["`'wsClientError'`"] === 'yes');
      });
    });

    it('each of which it names', () => {
      assert.equal(rows.length, cases.length);
    });
  });
});
