'use strict';

// Functions that several test files use. Every server listens on a free port of
// 127.0.0.1 and is closed by the test that started it.

const assert = require('node:assert/strict');
const { spawn } = require('child_process');
const { createHash } = require('crypto');
const { once } = require('events');
const http = require('http');
const net = require('net');
const path = require('path');
const zlib = require('zlib');

const WebSocket = require('..');

/** Returns the address of a listening server as a `ws:` URL. */
function url(server, path = '') {
  const { port } = (server._server || server).address();
  return `ws://127.0.0.1:${port}${path}`;
}

/** Starts a `WebSocket.Server` on a free port. Resolves when it listens. */
async function listen(options) {
  const wss = new WebSocket.Server(
    Object.assign({ host: '127.0.0.1', port: 0 }, options),
  );
  await once(wss._server, 'listening');
  return wss;
}

/** Closes a `WebSocket.Server`. Resolves when its port and its clients are closed. */
function close(wss) {
  return new Promise((resolve, reject) => {
    wss.close((error) => (error ? reject(error) : resolve()));
  });
}

/** Starts an HTTP server, or any `net.Server`. Resolves when it listens. */
async function listenHttp(server = http.createServer()) {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

/** Closes an HTTP server and all its connections. */
function closeHttp(server) {
  return new Promise((resolve) => {
    server.close(() => resolve());
    if (server.closeAllConnections) server.closeAllConnections();
  });
}

/** Connects a client to `wss`. Resolves to both ends when they are open. */
async function pair(wss, clientOptions) {
  const connected = once(wss, 'connection');
  const client = new WebSocket(url(wss), clientOptions);
  const opened = once(client, 'open');
  const [server] = await connected;
  await opened;
  return { client, server };
}

/** Resolves to the code and the reason of the 'close' event. */
function closing(ws) {
  return new Promise((resolve) => {
    ws.once('close', (...args) => resolve(args));
  });
}

/** Resolves to the arguments of the next `count` events with this name. */
function collect(emitter, event, count) {
  return new Promise((resolve) => {
    const seen = [];
    emitter.on(event, function listener(...args) {
      seen.push(args);
      if (seen.length === count) {
        emitter.removeListener(event, listener);
        resolve(seen);
      }
    });
  });
}

/**
 * Returns the header fields of a client's handshake. Fields that are undefined are left
 * out.
 */
function fields(headers = {}) {
  const all = Object.assign(
    {
      Host: '127.0.0.1',
      Upgrade: 'websocket',
      Connection: 'Upgrade',
      'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
      'Sec-WebSocket-Version': '13',
    },
    headers,
  );
  return Object.fromEntries(
    Object.entries(all).filter(([, value]) => value !== undefined),
  );
}

/** Returns the request of an opening handshake, to be written to a socket. */
function request(headers = {}) {
  const lines = Object.entries(fields(headers)).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  );
  return `GET / HTTP/1.1\r\n${lines.join('')}\r\n`;
}

/**
 * Sends the request of an opening handshake to a server. Resolves to the response. If
 * the server accepts the request, the connection is destroyed.
 */
function answer(server, headers, options) {
  return new Promise((resolve, reject) => {
    const req = http.request(
      Object.assign(
        {
          agent: false,
          headers: fields(headers),
          host: '127.0.0.1',
          port: (server._server || server).address().port,
        },
        options,
      ),
    );
    const settle = (res, body) => {
      const { statusCode: status, statusMessage: reason } = res;
      resolve({ status, reason, headers: res.headers, body });
    };
    req.on('error', reject);
    req.on('upgrade', (res, socket) => {
      socket.destroy();
      settle(res, '');
    });
    req.on('response', (res) => {
      const chunks = [];
      res.on('data', (chunk) => chunks.push(chunk));
      res.on('error', reject);
      res.on('end', () => settle(res, Buffer.concat(chunks).toString()));
    });
    req.end();
  });
}

/** Writes `data` to a server. Resolves to all bytes that it sends until it ends. */
function exchange(server, data) {
  return new Promise((resolve, reject) => {
    const { port } = (server._server || server).address();
    const socket = net.connect(port, '127.0.0.1', () => socket.write(data));
    const chunks = [];
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('error', reject);
    socket.on('end', () => {
      socket.destroy();
      resolve(Buffer.concat(chunks));
    });
  });
}

/** Ends a server, client or socket that a test has started, in any state. */
function end(thing) {
  if (thing instanceof WebSocket.Server) {
    for (const client of thing.clients || []) {
      client.on('error', () => {});
      if (client._socket) client._socket.destroy();
    }
    return close(thing);
  }
  if (thing instanceof WebSocket) {
    thing.on('error', () => {});
    thing.terminate();
    if (thing._socket) thing._socket.destroy();
  } else if (thing instanceof net.Socket) {
    thing.destroy();
  } else {
    return closeHttp(thing);
  }
}

/** Tracks what the tests of a group start, and ends all of it after each test. */
function ledger() {
  const started = [];
  const track = (thing) => {
    started.push(thing);
    return thing;
  };

  afterEach(async () => {
    for (const thing of started.splice(0).reverse()) await end(thing);
  });

  return {
    track,

    /** Starts a new server and connects a client. All are tracked. */
    async pair(serverOptions, clientOptions) {
      const wss = track(await listen(serverOptions));
      const both = await pair(wss, clientOptions);
      track(both.client);
      return Object.assign(both, { wss });
    },

    /** Connects another client to `wss`. It is tracked. */
    async join(wss, clientOptions) {
      const both = await pair(wss, clientOptions);
      track(both.client);
      return both;
    },

    /** Connects a raw socket to `wss`, and does the opening handshake. */
    async bareClient(wss, headers) {
      const connected = once(wss, 'connection');
      const { port } = wss._server.address();
      const socket = track(net.connect(port, '127.0.0.1'));
      const wire = reader(socket);
      socket.write(request(headers));
      const [server] = await connected;
      await wire.head();
      return { server, socket, wire };
    },

    /** Connects a client to a raw socket. `headers` are added to the response. */
    async bareServer(clientOptions, headers = '') {
      const listener = track(await listenHttp(net.createServer()));
      const accepted = once(listener, 'connection');
      const client = track(new WebSocket(url(listener), clientOptions));
      const opened = once(client, 'open');
      const [socket] = await accepted;
      track(socket);
      const wire = reader(socket);
      const [, key] = /^sec-websocket-key: (.*)$/im.exec(await wire.head());
      const accept = createHash('sha1')
        .update(`${key.trim()}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
        .digest('base64');
      socket.write(
        'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n' +
          `Connection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n` +
          `${headers}\r\n`,
      );
      await opened;
      return { client, socket, wire };
    },
  };
}

/** Runs programs in `fixtures-engine`. All are ended after each test. */
function programs() {
  const children = new Set();

  afterEach(() => {
    for (const child of children) child.kill('SIGKILL');
    children.clear();
  });

  /**
   * Starts a program. `limit` is the maximum number of its descriptors, `node` are
   * options for Node.js, and `uid` is the user that runs it.
   */
  function start(name, args = [], { node = [], ipc = false, limit, uid } = {}) {
    const file = path.join(__dirname, 'fixtures-engine', `${name}.js`);
    const command = [process.execPath, ...node, file, ...args.map(String)];
    const [program, ...rest] = limit
      ? ['sh', '-c', `ulimit -n ${limit}; exec "$@"`, 'sh', ...command]
      : command;
    const child = spawn(program, rest, {
      // With one arena, glibc keeps less freed memory, which would look like a leak.
      env: Object.assign({ MALLOC_ARENA_MAX: '1' }, process.env),
      stdio: ['ignore', 'pipe', 'pipe', ...(ipc ? ['ipc'] : [])],
      uid,
    });
    children.add(child);
    child.output = '';
    child.errors = '';
    child.stdout.on('data', (chunk) => (child.output += chunk));
    child.stderr.on('data', (chunk) => (child.errors += chunk));
    child.ended = once(child, 'close').then(([code, signal]) => {
      children.delete(child);
      return { code, signal, output: child.output, errors: child.errors };
    });
    return child;
  }

  return {
    start,

    /** Runs a program. Resolves to its output, parsed as JSON; rejects if it fails. */
    async run(name, args, options) {
      const ended = await start(name, args, options).ended;
      assert.deepEqual(
        { code: ended.code, signal: ended.signal },
        { code: 0, signal: null },
        `${ended.output}\n${ended.errors}`,
      );
      return JSON.parse(ended.output);
    },
  };
}

/** Resolves to the messages of the uncaught exceptions while `body` runs. */
async function uncaught(body) {
  const errors = [];
  const listeners = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', (error) => errors.push(error.message));
  try {
    await body();
  } finally {
    process.removeAllListeners('uncaughtException');
    for (const each of listeners) process.on('uncaughtException', each);
  }
  return errors;
}

/** Returns the bytes of a frame. It is masked unless `key` is null. */
function frame(opcode, data = '', options) {
  const { fin, rsv, key, length } = Object.assign(
    { fin: true, rsv: 0, key: Buffer.from([0x1f, 0x2e, 0x3d, 0x4c]) },
    options,
  );
  const payload = Buffer.from(data);
  const size = length === undefined ? payload.length : length;
  const head = [(fin ? 0x80 : 0) | (rsv << 4) | opcode];
  const masked = key ? 0x80 : 0;

  if (size < 126) {
    head.push(masked | size);
  } else if (size < 65536) {
    head.push(masked | 126, size >> 8, size & 0xff);
  } else {
    const long = Buffer.alloc(8);
    long.writeBigUInt64BE(BigInt(size));
    head.push(masked | 127, ...long);
  }

  if (key) {
    head.push(...key);
    for (let i = 0; i < payload.length; i++) payload[i] ^= key[i & 3];
  }

  return Buffer.concat([Buffer.from(head), payload]);
}

/** Compresses data, including the tail that RFC 7692 removes from a message. */
function deflated(data) {
  const { Z_SYNC_FLUSH: finishFlush } = zlib.constants;
  return zlib.deflateRawSync(data, { finishFlush });
}

/** Returns the payload of a compressed message (RFC 7692, 7.2.1). */
function deflate(data) {
  return deflated(data).subarray(0, -4);
}

/** Returns the payload of a compressed message of `size` MiB of zeros. */
function bombOf(size) {
  const unit = deflated(Buffer.alloc(1 << 20));
  return Buffer.concat(Array(size).fill(unit)).subarray(0, -4);
}

/** Parses and unmasks the first frame. Returns undefined if it is not complete. */
function parseFrame(buffer) {
  if (buffer.length < 2) return undefined;
  let size = buffer[1] & 0x7f;
  let offset = 2;

  if (size === 126) {
    if (buffer.length < 4) return undefined;
    size = buffer.readUInt16BE(2);
    offset = 4;
  } else if (size === 127) {
    if (buffer.length < 10) return undefined;
    size = Number(buffer.readBigUInt64BE(2));
    offset = 10;
  }

  const masked = buffer[1] > 0x7f;
  const start = offset + (masked ? 4 : 0);
  if (buffer.length < start + size) return undefined;
  const key = masked ? Buffer.from(buffer.subarray(offset, start)) : null;
  const payload = Buffer.from(buffer.subarray(start, start + size));
  if (key) for (let i = 0; i < size; i++) payload[i] ^= key[i & 3];

  return {
    fin: buffer[0] > 0x7f,
    rsv: (buffer[0] >> 4) & 7,
    opcode: buffer[0] & 15,
    masked,
    key,
    payload,
    end: start + size,
  };
}

/** Reads from a raw socket: first the head of the handshake, then frames. */
function reader(socket) {
  let bytes = Buffer.alloc(0);
  let ended = false;
  let wake = () => {};

  socket.on('data', (chunk) => {
    bytes = Buffer.concat([bytes, chunk]);
    wake();
  });
  for (const event of ['end', 'error', 'close']) {
    socket.on(event, () => {
      ended = true;
      wake();
    });
  }

  /**
   * Resolves to the next result of `parse`, or to undefined if the socket ends first.
   */
  async function take(parse) {
    for (;;) {
      const found = parse(bytes);
      if (found) {
        bytes = bytes.subarray(found.end);
        return found;
      }
      if (ended) return undefined;
      await new Promise((resolve) => {
        wake = resolve;
      });
    }
  }

  return {
    frame: () => take(parseFrame),

    async frames(count) {
      const seen = [];
      while (seen.length < count) seen.push(await take(parseFrame));
      return seen;
    },

    async head() {
      const found = await take((buffer) => {
        const at = buffer.indexOf('\r\n\r\n');
        return at === -1
          ? undefined
          : { end: at + 4, text: buffer.toString('latin1', 0, at) };
      });
      return found && found.text;
    },
  };
}

/** Resolves after one turn of the event loop. */
const turn = () => new Promise((resolve) => setImmediate(resolve));

module.exports = {
  answer,
  bombOf,
  close,
  closeHttp,
  closing,
  collect,
  deflate,
  exchange,
  frame,
  ledger,
  listen,
  listenHttp,
  pair,
  programs,
  reader,
  request,
  uncaught,
  url,
  turn,
};
