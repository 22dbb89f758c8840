'use strict';

// Connections over streams: any Duplex, and TLS.

const assert = require('node:assert/strict');
const { randomBytes } = require('crypto');
const { once } = require('events');
const fs = require('fs');
const https = require('https');
const path = require('path');
const { Duplex } = require('stream');

const apis = require('./apis');
const { BINARY, PING, TEXT, ledger } = require('../ws8/support');
const { bombOf, deflate, frame, listenHttp } = require('../support');
const { turn, uncaught } = require('../support');

const KIB = 1024;

/** A flag of a frame whose message is compressed. */
const COMPRESSED = { rsv: 4 };

/** A stream that keeps what is written to it. `push` delivers a chunk at once. */
class Recorder extends Duplex {
  constructor() {
    super();
    this.pieces = [];
  }

  get written() {
    return Buffer.concat(this.pieces);
  }

  _read() {}

  _write(chunk, encoding, callback) {
    this._writev([{ chunk }], callback);
  }

  _writev(chunks, callback) {
    this.pieces.push(Buffer.concat(chunks.map(({ chunk }) => chunk)));
    this.emit('piece');
    callback();
  }
}

/** Resolves when a stream has got `length` bytes. */
async function got(socket, length) {
  while (socket.written.length < length) await once(socket, 'piece');
}

const fixture = (name) =>
  fs.readFileSync(path.join(__dirname, '..', 'fixtures', name));

/** Resolves when all functions that are called at the end of this tick have been called. */
const tick = () => new Promise((resolve) => process.nextTick(resolve));

for (const api of apis) {
  const { onMessage } = api;

  describe(`${api.name}: a connection over a stream`, () => {
    const { track } = ledger(api.WebSocket);

    /** Opens a connection of a server. `seen` gets the length of each message. */
    async function open({ deflates }) {
      const perMessageDeflate = deflates ? { threshold: 0 } : false;
      const wss = new api.WebSocket.Server({
        noServer: true,
        perMessageDeflate,
        maxPayload: 0,
      });
      const socket = track(new Recorder());
      const headers = {
        connection: 'Upgrade',
        upgrade: 'websocket',
        'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
        'sec-websocket-version': '13',
      };
      if (deflates) headers['sec-websocket-extensions'] = 'permessage-deflate';
      const req = { method: 'GET', url: '/', headers, socket };
      const server = await new Promise((resolve) => {
        wss.handleUpgrade(req, socket, Buffer.alloc(0), resolve);
      });
      await got(socket, 1);
      await tick();
      socket.pieces.length = 0;
      const seen = [];
      onMessage(server, (data) => seen.push(data.length));
      server.on('ping', (data) => seen.push(`${data}`));
      // The stream flows from now on.
      await turn();
      return { server, socket, seen };
    }

    it('receives short messages in any chunks', async () => {
      const { server, socket } = await open({});
      const seen = [];
      onMessage(server, (data, isBinary) => {
        seen.push(isBinary ? data.toString('hex') : `${data}`);
      });
      server.on('ping', (data) => seen.push(`ping ${data}`));
      const wide = 'a\u00e4\u20ac\u{1f44b}';
      const bytes = Buffer.concat([
        frame(TEXT, 'first'),
        frame(TEXT, ''),
        frame(BINARY, Buffer.from([255, 0, 128, 7, 9])),
        frame(TEXT, wide),
        frame(TEXT, 'x'.repeat(125)),
        frame(TEXT, 'half', { fin: false }),
        frame(PING, 'between'),
        frame(0, ' and half'),
        frame(TEXT, 'x'.repeat(126)),
        frame(BINARY, ''),
        frame(TEXT, 'last'),
      ]);
      const expected = [
        'first',
        '',
        'ff00800709',
        wide,
        'x'.repeat(125),
        'ping between',
        'half and half',
        'x'.repeat(126),
        '',
        'last',
      ];
      for (let at = 0; at <= bytes.length; at++) {
        socket.push(Buffer.from(bytes.subarray(0, at)));
        socket.push(Buffer.from(bytes.subarray(at)));
        assert.deepEqual(seen, expected, `cut at ${at}`);
        seen.length = 0;
        await turn();
      }
      for (let at = 0; at < bytes.length; at++) {
        socket.push(Buffer.from(bytes.subarray(at, at + 1)));
      }
      assert.deepEqual(seen, expected);
    });

    it('queues short messages behind a pause, and goes on after a listener that throws', async () => {
      const { server, socket } = await open({});
      const seen = [];
      onMessage(server, (data) => {
        seen.push(`${data}`);
        if (`${data}` === 'pause') server.pause();
        if (`${data}` === 'throw') throw new Error('thrown');
      });
      const texts = ['one', 'pause', 'two', 'throw', 'three', 'four'];
      const frames = texts.map((text) => frame(TEXT, text));
      socket.push(Buffer.concat(frames));
      socket.push(frame(TEXT, 'five'));
      assert.deepEqual(seen, ['one', 'pause']);
      const errors = await uncaught(async () => {
        server.resume();
        while (seen.length < 7) await turn();
      });
      assert.deepEqual(errors, ['thrown']);
      assert.deepEqual(seen, [...texts, 'five']);
    });

    it('writes what is sent while a chunk is delivered at once, in one piece', async () => {
      const { server, socket } = await open({});
      const amounts = [];
      const called = [];
      onMessage(server, (data) => {
        server.send(data, { binary: false }, () => called.push(`${data}`));
        amounts.push(server.bufferedAmount);
      });
      socket.push(Buffer.concat([frame(TEXT, 'one'), frame(TEXT, 'two')]));
      const texts = socket.pieces.map((piece) => piece.latin1Slice());
      assert.deepEqual(texts, ['\x81\x03one\x81\x03two']);
      assert.deepEqual(amounts, [5, 10]);
      assert.equal(server.bufferedAmount, 0);
      await turn();
      assert.deepEqual(called, ['one', 'two']);
    });

    it('writes what is sent in a tick at its end, in one piece', async () => {
      const { server, socket } = await open({});
      server.send('one');
      server.ping('two');
      server.send('x'.repeat(126));
      assert.equal(socket.pieces.length, 0);
      assert.equal(server.bufferedAmount, 5 + 3 + 130);
      await tick();
      assert.equal(socket.pieces.length, 1);
      assert.equal(socket.written.length, 5 + 5 + 130);
      assert.equal(server.bufferedAmount, 0);
    });

    const heavy = {
      'in a long frame': () => [
        70 * KIB,
        frame(BINARY, deflate(randomBytes(70 * KIB)), COMPRESSED),
      ],
      'that is short until it is inflated': () => [
        3 * KIB * KIB,
        frame(BINARY, bombOf(3), COMPRESSED),
      ],
      'in fragments': () => {
        const payload = deflate(randomBytes(140 * KIB));
        const half = payload.length >> 1;
        const parts = [payload.subarray(0, half), payload.subarray(half)];
        return [
          140 * KIB,
          Buffer.concat([
            frame(BINARY, parts[0], { ...COMPRESSED, fin: false }),
            frame(PING, 'between'),
            frame(0, parts[1]),
          ]),
        ];
      },
    };
    for (const [name, make] of Object.entries(heavy)) {
      it(`decodes a compressed message ${name} on another thread`, async () => {
        const { server, socket, seen } = await open({ deflates: true });
        const [length, bytes] = make();
        const light = frame(TEXT, deflate('light'), COMPRESSED);
        socket.push(Buffer.from(light));
        assert.deepEqual(seen, [5]);
        socket.push(Buffer.concat([bytes, frame(PING, 'rest')]));
        socket.push(frame(PING, 'behind'));
        await tick();
        assert.deepEqual(seen, [5]);
        while (seen[seen.length - 1] !== 'behind') await once(server, 'ping');
        const pings = name === 'in fragments' ? ['between'] : [];
        assert.deepEqual(seen, [5, ...pings, length, 'rest', 'behind']);
      });
    }

    it('compresses a long message on another thread', async () => {
      const { server, socket } = await open({ deflates: true });
      server.send('light');
      await tick();
      assert.equal(socket.pieces.length, 1);
      const called = [];
      server.send(randomBytes(64 * KIB), () => called.push('long'));
      server.send('behind', () => called.push('behind'));
      await tick();
      await tick();
      assert.equal(socket.pieces.length, 1);
      assert.equal(server.bufferedAmount, 64 * KIB + 6);
      await got(socket, 64 * KIB);
      while (called.length < 2) await turn();
      assert.deepEqual(called, ['long', 'behind']);
    });

    it('sends long messages unchanged over TLS, also if their memory is used again', async () => {
      const web = track(
        await listenHttp(
          https.createServer({
            key: fixture('server-key.pem'),
            cert: fixture('server.pem'),
          }),
        ),
      );
      const options = { perMessageDeflate: false, maxPayload: 0 };
      const wss = track(
        new api.WebSocket.Server(Object.assign({ server: web }, options)),
      );
      const connected = once(wss, 'connection');
      const client = track(
        new api.WebSocket(
          `wss://localhost:${web.address().port}`,
          [],
          Object.assign({ ca: fixture('ca.pem') }, options),
        ),
      );
      const opened = once(client, 'open');
      const [server] = await connected;
      await opened;
      for (const [from, to] of [
        [client, server],
        [server, client],
      ]) {
        const data = Buffer.alloc(300 * KIB);
        const lengths = [15, 16, 17, 64, 300, 20, 65, 63, 17];
        let count = 0;
        const all = new Promise((resolve, reject) => {
          onMessage(to, (message) => {
            const length = lengths[count % lengths.length] * KIB;
            const expected = Buffer.alloc(length, `${count++}`);
            if (!message.equals(expected)) reject(new Error(`${count}`));
            if (count === 200) resolve();
          });
        });
        let number = 0;
        const send = () => {
          if (number === 200) return;
          const length = lengths[number % lengths.length] * KIB;
          const message = data.subarray(0, length).fill(`${number++}`);
          from.send(message, number % 3 === 0 ? send : undefined);
          message.fill(0);
          if (number % 3 !== 0) send();
        };
        send();
        await all;
      }
    });
  });
}
