'use strict';

// Servers and clients of oxws with other implementations. Each peer is a program that
// echoes messages, and obeys texts that begin with `peer: `:
//
//   peer: ping DATA            sends a ping; the text `pong DATA` tells of the pong
//   peer: fragments            sends a text and a binary message in fragments
//   peer: close CODE REASON    closes the connection
//
// It prints `closed: CODE REASON` when oxws has closed the connection. `OXWS_API` is the
// API that is tested: `oxws` (the default) or `oxws/ws8`. `OXWS_PEERS_RESULTS` names a
// file that gets the results.

const assert = require('node:assert/strict');
const { once } = require('events');
const fs = require('fs');
const http = require('http');
const path = require('path');

const apis = require('../both/apis');
const { closing } = require('../support');
const PEERS = require('./peers');

const [of2016, of8] = apis;
const api = process.env.OXWS_API === 'oxws/ws8' ? of8 : of2016;
const { WebSocket } = api;

const MIB = 1 << 20;
const SIZES = [0, 1, 125, 126, 65535, 65536, MIB, 16 * MIB];

/** Characters of two, three and four bytes in UTF-8. */
const CHARACTERS = Buffer.from('é€😀');

/** A text whose UTF-8 has this many bytes. */
function textOf(size) {
  const whole = Math.floor(size / CHARACTERS.length) * CHARACTERS.length;
  const bytes = Buffer.alloc(size, 'x');
  if (whole > 0) bytes.fill(CHARACTERS, 0, whole);
  return bytes;
}

/** Bytes of which about half can be compressed. */
function bytesOf(size) {
  const bytes = Buffer.alloc(size, 'some text, again and again; ');
  let state = 1;
  for (let i = 0; i < size; i++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    if (i & 64) bytes[i] = state >>> 16;
  }
  return bytes;
}

const MESSAGES = SIZES.flatMap((size) => [
  [textOf(size), false],
  [bytesOf(size), true],
]);

/** Results for the matrix of docs/conformance.md. */
const results = [];

const EXTENSIONS = 'sec-websocket-extensions';

/** A connection of oxws with a peer. */
class Connection {
  #messages = [];
  #wake = () => {};

  constructor(ws, program) {
    this.ws = ws;
    this.program = program;
    this.closed = closing(ws);
    api.onMessage(ws, (data, isBinary) => {
      this.#messages.push([data, isBinary]);
      this.#wake();
    });
    ws.on('error', (error) => this.#fail(error));
    this.closed.then(([code]) => this.#fail(new Error(`closed with ${code}`)));
  }

  #fail(error) {
    this.#messages.push(error);
    this.#wake();
  }

  /** Resolves to the next message, and rejects if the connection ends before. */
  async message() {
    while (this.#messages.length === 0) {
      await new Promise((resolve) => (this.#wake = resolve));
    }
    const message = this.#messages.shift();
    if (message instanceof Error) throw message;
    return message;
  }

  /** Checks the next message. */
  async expect(expected, isBinary) {
    const [data, binary] = await this.message();
    assert.equal(binary, isBinary);
    assert.equal(data.length, expected.length);
    assert.ok(data.equals(expected), `${expected.length} B differ`);
  }

  command(text) {
    this.ws.send(`peer: ${text}`);
  }
}

/** An HTTP server with a WebSocket server, and the files of Chromium's page. */
class Server {
  program = null;

  static async listen(perMessageDeflate) {
    const server = new Server();
    server.http = http.createServer((request, response) =>
      server.#respond(request, response),
    );
    server.wss = new WebSocket.Server({
      server: server.http,
      perMessageDeflate,
    });
    server.wss.on('headers', (headers) => {
      const line = headers.find((each) => /^sec-websocket-ext/i.test(each));
      server.agreed = line ? line.slice(EXTENSIONS.length + 2) : '';
    });
    server.http.listen(0, '127.0.0.1');
    await once(server.http, 'listening');
    server.port = server.http.address().port;
    return server;
  }

  #respond(request, response) {
    if (request.method === 'POST') {
      request.setEncoding('utf8');
      request.on('data', (text) => this.program.print(`${text}\n`));
      request.on('end', () => response.end());
      return;
    }
    const name = path.basename(request.url);
    const isPage = name === 'chromium.html' || name === 'echo.mjs';
    if (!isPage) {
      response.writeHead(404).end();
      return;
    }
    const type = name.endsWith('.mjs') ? 'text/javascript' : 'text/html';
    response.setHeader('Content-Type', type);
    fs.createReadStream(path.join(__dirname, 'programs', name)).pipe(response);
  }

  async stop() {
    await new Promise((resolve) => this.wss.close(resolve));
    this.http.closeAllConnections();
    await new Promise((resolve) => this.http.close(resolve));
  }
}

/** The header with the extensions that a client has agreed to, without `name: `. */
function agreedOf(ws, response) {
  if (response) return response.headers[EXTENSIONS] || '';
  const extension = ws.extensions['permessage-deflate'];
  if (!extension) return '';
  const parameters = Object.entries(extension.params).flatMap(([name, list]) =>
    []
      .concat(list)
      .map((value) => (value === true ? name : `${name}=${value}`)),
  );
  return ['permessage-deflate', ...parameters].join('; ');
}

/** Connects a client of oxws. Resolves to it and what it has agreed to. */
async function connect(port, perMessageDeflate) {
  const ws = new WebSocket(`ws://127.0.0.1:${port}/`, { perMessageDeflate });
  let response;
  ws.on('upgrade', (each) => (response = each));
  await once(ws, 'open');
  return { ws, agreed: agreedOf(ws, response) };
}

/** The tests of one peer in one role with one negotiation. */
function tests(peer, role, name) {
  const { ours, theirs, agreed } = peer.negotiation(role, name);
  const started = [];
  let server;
  let connection;

  before(async () => {
    if (role === 'client') server = await Server.listen(ours);
    else server = await peer.startServer(theirs);
  });

  beforeEach(async function () {
    this.currentTest.peer = { peer: peer.name, role, negotiation: name };
    let ws;
    let program;
    let header;
    if (role === 'client') {
      const connected = once(server.wss, 'connection');
      program = await peer.startClient(server.port, theirs);
      server.program = program;
      started.push(program);
      const failed = program.ended.then(() => {
        throw new Error(`ended before it connected:\n${program.output}`);
      });
      [ws] = await Promise.race([connected, failed]);
      failed.catch(() => {});
      header = server.agreed;
    } else {
      ({ program } = server);
      ({ ws, agreed: header } = await connect(server.port, ours));
    }
    this.currentTest.peer.agreed = header;
    connection = new Connection(ws, program);
    assert.match(header, agreed);
  });

  afterEach(async () => {
    if (connection) {
      connection.ws.terminate();
      await connection.closed;
      connection = undefined;
    }
    for (const program of started.splice(0)) await program.stop();
  });

  after(async () => {
    if (server === undefined) return;
    if (role === 'client') await server.stop();
    else await server.program.stop();
  });

  it('echoes messages of 0 B to 16 MiB', async () => {
    const { ws } = connection;
    for (const [data, isBinary] of MESSAGES) {
      if (data.length > peer.maxSize) continue;
      ws.send(isBinary ? data : data.toString());
      await connection.expect(data, isBinary);
    }
  });

  it('echoes messages that follow each other at once', async () => {
    const { ws } = connection;
    const some = MESSAGES.filter(([data]) => data.length < 65535);
    for (let i = 0; i < 50; i++) {
      for (const [data, isBinary] of some) {
        ws.send(isBinary ? data : data.toString());
      }
    }
    for (let i = 0; i < 50; i++) {
      for (const [data, isBinary] of some) {
        await connection.expect(data, isBinary);
      }
    }
  });

  it('gets messages in fragments, with a ping in between', async () => {
    const { ws } = connection;
    const size = Math.min(peer.maxSize, 200000);
    for (const [data, binary] of [
      [textOf(size), false],
      [bytesOf(size), true],
    ]) {
      // Also in the middle of a character.
      const ends = [0, 1, 126, size / 2, size];
      const pong = once(ws, 'pong');
      for (let i = 1; i < ends.length; i++) {
        const fragment = data.subarray(ends[i - 1], ends[i]);
        ws.send(fragment, { binary, fin: i === ends.length - 1 });
        if (i === 1) ws.ping('in between');
      }
      assert.equal(String((await pong)[0]), 'in between');
      await connection.expect(data, binary);
    }
  });

  it('answers pings', async () => {
    const { ws } = connection;
    for (const data of ['', 'text', 'x'.repeat(125)]) {
      const pong = once(ws, 'pong');
      ws.ping(data);
      assert.equal(String((await pong)[0]), data);
    }
  });

  it('is closed with a code and a reason', async () => {
    const { ws, program } = connection;
    const begin = program.output.length;
    ws.close(4001, 'enough for today');
    const [code] = await connection.closed;
    // The API of 2016 has the code that its own side has sent.
    assert.equal(code, api === of8 ? peer.answer : 4001);
    const told = /^closed: 4001( enough for today)?$/m;
    await program.printed(told);
    assert.match(program.output.slice(begin), told);
  });

  it('closes with a code and a reason', async () => {
    connection.command('close 4002 so long');
    const [code, reason] = await connection.closed;
    assert.deepEqual([code, String(reason)], [4002, 'so long']);
  });

  if (peer.can.fragments) {
    it('sends messages in fragments', async () => {
      connection.command('fragments');
      await connection.expect(Buffer.from('one two three'), false);
      await connection.expect(Buffer.from('one two three'), true);
    });
  }

  if (peer.can.ping) {
    it('gets an answer to its pings', async () => {
      const ping = once(connection.ws, 'ping');
      connection.command('ping hello');
      assert.equal(String((await ping)[0]), 'hello');
      await connection.expect(Buffer.from('pong hello'), false);
    });
  }
}

describe(`Peers of ${process.env.OXWS_API || 'oxws'}`, function () {
  this.timeout(60000);

  for (const peer of PEERS) {
    const missing = peer.install();
    const version = missing === null ? peer.version() : '';
    results.push({ peer: peer.name, version, missing });
    if (missing !== null) {
      it(`${peer.name}: skipped (${missing})`);
      continue;
    }
    describe(`${peer.name} ${version}`.trim(), () => {
      for (const role of peer.roles) {
        for (const negotiation of peer.negotiations) {
          describe(`as a ${role}, ${negotiation}`, () => {
            tests(peer, role, negotiation);
          });
        }
      }
    });
  }

  afterEach(function () {
    const { title, state, peer } = this.currentTest;
    if (peer !== undefined) results.push({ ...peer, title, state });
  });

  after(() => {
    const { OXWS_PEERS_RESULTS: file } = process.env;
    if (file) fs.writeFileSync(file, JSON.stringify(results));
  });
});
