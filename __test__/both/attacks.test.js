'use strict';

// Attacks that were possible with ws and similar packages, on both APIs. SECURITY.md
// lists them. What does not depend on the API is tested with the API of 2016, in
// frame-attacks.test.js and handshake-attacks.test.js.

const assert = require('node:assert/strict');
const { once } = require('events');
const http = require('http');
const net = require('net');

const apis = require('./apis');
const { BINARY, CLOSE, DEFLATE, PING, SIDES, TEXT } = require('../ws8/support');
const { accepting, closing, each, exchange } = require('../ws8/support');
const { ledger, listenHttp, portOf, reader } = require('../ws8/support');
const { ignore, request, url } = require('../ws8/support');

/** Names of properties that all objects inherit. */
const NAMES = ['__proto__', 'constructor', 'hasOwnProperty', 'toString'];

/** So many blanks that a regular expression with backtracking would take minutes. */
const BLANKS = ' '.repeat(1 << 20);

/** Options of an HTTP server that accepts these headers. The default is 16 KiB. */
const ROOMY = { maxHeaderSize: 4 << 20 };

const CONNECTIONS = 20;

/** Since Node.js 22, Node itself refuses more headers than `maxHeadersCount`. */
const NODE = Number.parseInt(process.versions.node);

for (const api of apis) {
  const { WebSocket, onMessage } = api;

  describe(`${api.name}: attacks`, () => {
    const { answering, bare, join, serve, track } = ledger(WebSocket);

    /** Starts a WebSocket server on an HTTP server with these options. */
    async function serveOn(httpOptions, options) {
      const server = track(await listenHttp(http.createServer(httpOptions)));
      return track(new WebSocket.Server({ server, ...options }));
    }

    /** Resolves to the status of the response to an opening handshake. */
    async function statusOf(wss, fields) {
      const socket = track(net.connect(portOf(wss), '127.0.0.1'));
      socket.on('error', ignore);
      socket.write(request(fields));
      const head = await reader(socket).head();
      socket.destroy();
      return Number(/^HTTP\/1\.1 (\d+) /.exec(head)[1]);
    }

    /** Checks that the server still serves another client. */
    async function serves(wss) {
      const { client, server } = await join(wss);
      const received = new Promise((resolve) => onMessage(server, resolve));
      client.send('served');
      assert.equal(String(await received), 'served');
    }

    for (const side of SIDES) {
      it(`the data of a ping of the ${side} is not used as a length`, async () => {
        const { ws, wire } = await bare(side);
        for (const number of [1, 100, 125]) {
          ws.ping(number);
          const { opcode, payload } = await wire.frame();
          assert.equal(opcode, PING);
          assert.equal(payload.toString(), `${number}`);
        }
      });

      it(`the reason that the ${side} closes with leaks nothing`, () =>
        each(
          [100, new Float64Array(8), new Uint16Array(8)].map((reason) => [
            reason,
          ]),
          async (reason) => {
            const { ws, wire } = await bare(side);
            const refused = new Promise((resolve) => {
              ws.on('error', resolve);
              try {
                ws.close(1000, reason);
              } catch (error) {
                resolve(error);
              }
            });
            const found = await Promise.race([refused, wire.frame()]);
            if (found instanceof Error) return;
            const { opcode, payload } = found;
            assert.equal(opcode, CLOSE);
            assert.equal(payload.readUInt16BE(), 1000);
            const sent = payload.subarray(2);
            const own =
              typeof reason === 'number'
                ? [Buffer.alloc(0), Buffer.from(`${reason}`)]
                : [Buffer.from(reason.buffer)];
            assert.ok(own.some((bytes) => bytes.equals(sent)));
          },
        ));

      it(`tiny fragments to the ${side} are limited`, async () => {
        const { ws, send, sendAll, wire } = await bare(side, {
          maxFragments: 100,
          perMessageDeflate: false,
        });
        const failed = once(ws, 'error');
        send(TEXT, '', { fin: false });
        sendAll(...Array(100).fill([0, '', { fin: false }]));
        const [{ code }] = await failed;
        assert.equal(code, 'WS_ERR_TOO_MANY_BUFFERED_PARTS');
        const { opcode, payload } = await wire.frame();
        assert.equal(opcode, CLOSE);
        assert.equal(payload.readUInt16BE(), 1008);
      });

      it(`a frame to the ${side} whose length is no safe integer is refused`, () =>
        each([[2n ** 53n], [2n ** 63n], [2n ** 64n - 1n]], async (length) => {
          const { ws, send, wire } = await bare(side);
          ws.on('error', ignore);
          send(BINARY, '', { length });
          const { payload } = await wire.frame();
          assert.equal(payload.readUInt16BE(), 1009);
        }));
    }

    it('extensions of a request may have the names of methods', async () => {
      const wss = await serve({ perMessageDeflate: true });
      await each(
        NAMES.map((name) => [name]),
        async (name) => {
          const value = `${name}; ${name}; ${name}=1`;
          const fields = { 'Sec-WebSocket-Extensions': value };
          assert.equal(await statusOf(wss, fields), 101);
          fields['Sec-WebSocket-Extensions'] = `${DEFLATE}; ${name}`;
          assert.equal(await statusOf(wss, fields), 400);
        },
      );
      await serves(wss);
    });

    it('extensions of a response fail only the client', () =>
      each(
        [
          ...NAMES,
          ...NAMES.map((name) => `${DEFLATE}; ${name}`),
          `${DEFLATE}; server_max_window_bits=16`,
          `${DEFLATE}; server_max_window_bits=7`,
          `${DEFLATE}; server_max_window_bits=1e400`,
          `${DEFLATE}; server_max_window_bits`,
        ].map((value) => [value]),
        async (value) => {
          const server = await answering((head) =>
            accepting(head, { 'Sec-WebSocket-Extensions': value }),
          );
          const ws = track(new WebSocket(url(server)));
          ws.on('open', () => assert.fail('it has opened'));
          await once(ws, 'error');
        },
      ));

    for (const [header, value] of [
      ['Sec-WebSocket-Protocol', `a${BLANKS}b, c${BLANKS},${BLANKS}d`],
      ['Sec-WebSocket-Extensions', `a${BLANKS}b, ${DEFLATE}${BLANKS};`],
    ]) {
      it(`${header} is parsed promptly with very many blanks`, async () => {
        const wss = await serveOn(ROOMY, { perMessageDeflate: true });
        const status = await statusOf(wss, { [header]: value });
        assert.ok([101, 400].includes(status), `${status}`);
        await serves(wss);
      });
    }

    it('headers beyond maxHeadersCount are refused', async () => {
      for (const count of [1, 3, 4]) {
        const wss = await serveOn();
        wss._server.maxHeadersCount = count;
        const { line } = await exchange(wss, request());
        assert.match(line, NODE < 22 ? /^HTTP\/1\.1 400 / : /^HTTP\/1\.1 431 /);
      }
    });

    it('close() after a message that is being compressed leaves nothing', async () => {
      const wss = await serve({ perMessageDeflate: true });
      const text = 'some text '.repeat(30000);
      const closed = [];
      for (let i = 0; i < CONNECTIONS; i++) {
        const { client, server } = await join(wss);
        const sockets = [client._socket, server._socket].map((socket) =>
          once(socket, 'close'),
        );
        closed.push(closing(client), closing(server), ...sockets);
        server.send(text);
        server.close(1000);
      }
      await Promise.all(closed);
      assert.equal(wss.clients.size, 0);
    });
  });
}
