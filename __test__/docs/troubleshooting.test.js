'use strict';

const assert = require('node:assert/strict');
const dns = require('dns');
const { once } = require('events');
const fs = require('fs');
const net = require('net');
const path = require('path');
const util = require('util');

const App = require('./App');
const Document = require('./Document');
const { frame, listenHttp } = require('../support');
const WebSocket2016 = require('../..');
const native = require('../../lib/native');
const PerMessageDeflate2016 = require('../../lib/ws2016/PerMessageDeflate');
const { kStatusCode } = require('../../lib/ws8/constants');
const { PerMessageDeflate, Receiver, WebSocket } = require('../../ws8');

const NAME = 'docs/troubleshooting.md';
const root = path.join(__dirname, '..', '..');

/** The text of all files of a folder that end so. */
function sources(folder, ending) {
  return fs
    .readdirSync(path.join(root, folder), { withFileTypes: true })
    .map((entry) => {
      const inner = path.join(folder, entry.name);
      if (entry.isDirectory()) return sources(inner, ending);
      if (!entry.name.endsWith(ending)) return '';
      return fs.readFileSync(path.join(root, inner), 'utf8');
    })
    .join('\n');
}

/** What stands between backticks in a cell, or null. */
const code = (cell) => /^`(.*)`$/.exec(cell)?.[1] ?? null;

const codes = (rows) => rows.map(([cell]) => code(cell));

const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
const PING = 9;

/** For each violation frames that are one, and the limits that they go beyond. */
const VIOLATIONS = {
  WS_ERR_EXPECTED_FIN: [frame(PING, 'x', { fin: false })],
  WS_ERR_EXPECTED_MASK: [frame(TEXT, 'x', { key: null })],
  WS_ERR_INVALID_CLOSE_CODE: [frame(CLOSE, [3, 237])],
  WS_ERR_INVALID_CONTROL_PAYLOAD_LENGTH: [frame(PING, 'x'.repeat(126))],
  WS_ERR_INVALID_OPCODE: [frame(3)],
  WS_ERR_INVALID_UTF8: [frame(TEXT, [0xff])],
  WS_ERR_TOO_MANY_BUFFERED_PARTS: [
    Buffer.concat([frame(TEXT, 'x', { fin: false }), frame(0, 'x')]),
    { maxFragments: 1 },
  ],
  WS_ERR_UNEXPECTED_MASK: [frame(TEXT, 'x'), { isServer: false }],
  WS_ERR_UNEXPECTED_RSV_1: [frame(TEXT, 'x', { rsv: 4 })],
  WS_ERR_UNEXPECTED_RSV_2_3: [frame(TEXT, 'x', { rsv: 2 })],
  WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH: [
    frame(TEXT, '', { length: 2 ** 53 }),
  ],
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: [frame(TEXT, 'xx'), { maxPayload: 1 }],
  Z_DATA_ERROR: [
    frame(BINARY, Buffer.alloc(40, 0xff), { rsv: 4 }),
    { isCompressed: true },
  ],
};

/** The error of a violation in the API of ws 8, and its close code. */
async function violationOf8([bytes, options]) {
  const { isCompressed, ...limits } = { isServer: true, ...options };
  const extensions = {};
  if (isCompressed) {
    const deflate = new PerMessageDeflate({ isServer: true });
    deflate.accept([{}]);
    extensions['permessage-deflate'] = deflate;
  }
  const receiver = new Receiver({ extensions, ...limits });
  const failed = once(receiver, 'error');
  receiver.write(bytes);
  const [error] = await failed;
  return { error, closeCode: error[kStatusCode] };
}

/** The same in that of 2016. */
function violationOf2016([bytes, options]) {
  const { isCompressed, isServer, maxPayload, maxFragments } = {
    isServer: true,
    ...options,
  };
  const extensions = {};
  if (isCompressed) {
    const deflate = new PerMessageDeflate2016({}, true);
    deflate.accept([{}]);
    extensions['permessage-deflate'] = deflate;
  }
  const receiver = new WebSocket2016.Receiver(extensions, maxPayload, {
    masked: isServer,
    maxFragments,
  });
  return new Promise((resolve) => {
    receiver.onerror = (error, closeCode) => resolve({ error, closeCode });
    receiver.add(Buffer.from(bytes));
  });
}

/** Whether a text is what a cell says, where N stands for a number. */
function assertText(text, cell) {
  const said = code(cell).replace('…', 'Invalid WebSocket frame: ');
  assert.equal(said.endsWith(' N') ? text.replace(/\d+$/, 'N') : text, said);
}

describe(NAME, function () {
  this.timeout(20000);

  const document = new Document(NAME);

  describe('How connections are carried', () => {
    const rows = document.table('How connections are carried');

    it('has all fields of diagnostics()', () => {
      for (const { diagnostics } of [WebSocket, WebSocket2016]) {
        assert.deepEqual(codes(rows), Object.keys(diagnostics()));
      }
    });
  });

  describe('Finding the part that is at fault', () => {
    it('has all variables that are read', () => {
      const rows = document.table('Finding the part that is at fault');
      const named = codes(rows).map((variable) => variable.split('=')[0]);
      const read = sources('lib', '.js').matchAll(/\b(OXWS_\w+)/g);
      assert.deepEqual(
        new Set(named),
        new Set([...read].map(([, variable]) => variable)),
      );
    });
  });

  describe('Errors with a code', () => {
    const violations = document.table('Violations of the protocol');
    const others = document.table('Other codes');
    const all = [...codes(violations), ...codes(others)];

    it('has all violations', () => {
      assert.deepEqual(codes(violations), native.violations().sort());
    });

    it('has each code once', () => {
      assert.equal(new Set(all).size, all.length);
    });

    it('has all codes that lib gives to errors', () => {
      const found = sources('lib', '.js')
        // Those of errors that others have made.
        .replace(/=== '\w+'/g, '')
        .match(/\b(?:WS_ERR|ERR|Z)_[A-Z\d_]+\b/g);
      for (const each of found) assert.ok(all.includes(each), each);
    });

    for (const [name, closeCode, text8, text2016] of violations) {
      it(`says what ${name} is`, async () => {
        const found8 = await violationOf8(VIOLATIONS[code(name)]);
        assert.equal(found8.error.code, code(name));
        assert.equal(found8.closeCode, Number(closeCode));
        assertText(found8.error.message, text8);

        const found2016 = await violationOf2016(VIOLATIONS[code(name)]);
        assert.equal(found2016.closeCode, Number(closeCode));
        if (code(text2016) === null) {
          assert.notEqual(found2016.error.code, code(name));
        } else {
          assert.equal(found2016.error.code, code(name));
          assertText(found2016.error.message, text2016);
        }
      });
    }

    /** What has a code that is none of ours. */
    const PROVOKED = {
      InvalidArg() {
        const perMessageDeflate = { level: 10 };
        try {
          new WebSocket2016.Server({ noServer: true, perMessageDeflate });
          return null;
        } catch (error) {
          return error;
        }
      },

      async HPE_INVALID_CONSTANT() {
        const server = await listenHttp(net.createServer());
        server.on('connection', (socket) => socket.end('220 hello\r\n'));
        const { port } = server.address();
        const ws = new WebSocket(`ws://127.0.0.1:${port}`);
        const [error] = await once(ws, 'error');
        server.close();
        return error;
      },
    };

    const system = [...util.getSystemErrorMap().values()]
      .map(([name]) => name)
      .concat(dns.NOTFOUND);

    for (const [cell, , text] of others) {
      const name = code(cell);
      it(`knows ${name}`, async () => {
        if (name in PROVOKED) {
          const error = await PROVOKED[name]();
          assert.equal(error.code, name);
          const [start] = (code(text) || '').split('…');
          assert.ok(error.message.startsWith(start));
        } else if (!system.includes(name)) {
          const lib = sources('lib', '.js');
          const [, said] = /`(.*?)`/.exec(text);
          for (const piece of said.split('…')) {
            assert.ok(lib.includes(piece.trim()), piece);
          }
          assert.ok(lib.includes(`'${name}'`), name);
        }
      });
    }
  });

  describe('Errors without a code', () => {
    const told = [
      sources('lib', '.js'),
      sources('crates/protocol/src/handshake', '.rs'),
    ]
      .join('\n')
      // Texts of more than one line, and what stands within them.
      .replace(/' \+\s+'/g, '')
      .replace(/\$\{[^}]*\}/g, '…')
      .replace(/\{status\}/g, '…');

    for (const [api, cell] of document.table('Errors without a code')) {
      it(`${api}: ${code(cell)}`, () => {
        assert.ok(told.includes(code(cell)));
      });
    }
  });

  describe('download.js', () => {
    const content = Buffer.alloc(24 << 20, 'the content of a file ');
    let app;
    let server;

    before(async () => {
      app = await App.create(NAME);
      const file = path.join(app.folder, 'file');
      fs.writeFileSync(file, content);
      server = app.start('download.js', { env: { FILE: file } });
      await app.printed(server, /listening/);
    });

    after(() => app.close());

    /** A client that reads nothing before it is resumed. */
    async function connect(target) {
      const ws = new WebSocket(`ws://127.0.0.1:${app.port()}${target}`);
      await once(ws, 'open');
      ws.pause();
      return ws;
    }

    for (const target of ['/await', '/']) {
      it(`sends the file to a slow client: ${target}`, async () => {
        const ws = await connect(target);
        const pieces = [];
        ws.on('message', (piece) => {
          pieces.push(piece);
          ws.pause();
          setImmediate(() => ws.resume());
        });
        ws.resume();
        const [code] = await once(ws, 'close');
        assert.equal(code, 1000);
        assert.ok(Buffer.concat(pieces).equals(content));
      });
    }

    it('knows if the client leaves', async () => {
      const ws = await connect('/await');
      ws.terminate();
      await app.printed(server, /^not all was sent: /m);
    });
  });

  describe('ticker.js', () => {
    let app;

    before(async () => {
      app = await App.create(NAME);
      // What the system takes is full sooner.
      app.edit('ticker.js', { 8192: '262144' });
    });

    after(() => app.close());

    it('ends a connection that reads nothing, and no other', async () => {
      const server = app.start('ticker.js');
      await app.printed(server, /listening/);
      const url = `ws://127.0.0.1:${app.port()}`;
      const healthy = new WebSocket(url);
      const slow = new WebSocket(url);
      slow.on('open', () => slow.pause());
      await app.printed(server, /^closed: 1006$/m);
      await once(healthy, 'message');
      healthy.terminate();
      slow.terminate();
    });
  });
});
