'use strict';

// Functions that the tests of the API of ws 8 use. Every server listens on a free port
// of 127.0.0.1 and is closed at the end of the test that started it.

const { createHash } = require('crypto');
const { once } = require('events');
const fs = require('fs');
const http = require('http');
const net = require('net');
const path = require('path');
const { Duplex } = require('stream');
const { inspect } = require('util');
const zlib = require('zlib');

// The tests can also run with another implementation of the same API: ws itself.
const implementation = process.env.OXWS_TEST_WS8 || '../../ws8';

const WebSocket = require(implementation);

/** A group of tests of what oxws promises and ws does not. Skipped with ws. */
function beyondWs(title, body) {
  const group = process.env.OXWS_TEST_WS8 ? describe.skip : describe;
  return group(`beyond ws: ${title}`, body);
}

const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

/** The two ends of a connection. */
const SIDES = ['server', 'client'];

/** The value of `Sec-WebSocket-Extensions` that the peer of `bare` sends. */
const DEFLATE = 'permessage-deflate';

const KEY = Buffer.from([0x1f, 0x2e, 0x3d, 0x4c]);

const ignore = () => {};

/** Resolves after one turn of the event loop. */
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Returns the content of a file in `fixtures`. */
function fixture(name) {
  return fs.readFileSync(path.join(__dirname, '..', 'fixtures', name));
}

/** Returns the port that a server of any kind listens on. */
const portOf = (server) => (server._server || server).address().port;

/** Returns the address of a listening server as a `ws:` URL. */
function url(server, suffix = '/') {
  return `ws://127.0.0.1:${portOf(server)}${suffix}`;
}

/** Starts an HTTP server, or any `net.Server`. Resolves when it listens. */
async function listenHttp(server = http.createServer()) {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

/** Closes a server. Resolves when its port and its connections are closed. */
function close(server) {
  return new Promise((resolve) => server.close(() => resolve()));
}

/**
 * Calls `check` for each row of a table. An error message starts with its first value.
 */
async function each(rows, check) {
  for (const row of rows) {
    try {
      await check(...row);
    } catch (error) {
      error.message = `${inspect(row[0])}: ${error.message}`;
      throw error;
    }
  }
}

/** Resolves to the code and the reason of the 'close' event. Errors are ignored. */
function closing(ws) {
  ws.on('error', ignore);
  return new Promise((resolve) => {
    ws.once('close', (code, reason) => resolve([code, reason.toString()]));
  });
}

/** Resolves to the arguments of the next `count` events with this name. */
function collect(emitter, event, count) {
  return new Promise((resolve) => {
    const seen = [];
    emitter.on(event, function listener(...args) {
      seen.push(args);
      if (seen.length < count) return;
      emitter.removeListener(event, listener);
      resolve(seen);
    });
  });
}

/** Returns an array to which the name of each of these events is added when emitted. */
function recorded(emitter, ...events) {
  const seen = [];
  for (const event of events) emitter.on(event, () => seen.push(event));
  return seen;
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

/** Runs `body`. Resolves to the message of the next uncaught exception. */
async function nextUncaught(body) {
  let thrown;
  const errors = await uncaught(async () => {
    thrown = once(process, 'uncaughtException');
    await body();
    await thrown;
  });
  return errors[0];
}

/** The header fields of a client's handshake. */
const HANDSHAKE = {
  Host: '127.0.0.1',
  Upgrade: 'websocket',
  Connection: 'Upgrade',
  'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Version': '13',
};

/** Returns the head of an HTTP message. Fields that are undefined are left out. */
function headOf(line, fields) {
  const lines = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}: ${value}\r\n`);
  return `${line}\r\n${lines.join('')}\r\n`;
}

/** Returns the request of an opening handshake with additional fields. */
function request(fields, { method = 'GET', target = '/' } = {}) {
  const line = `${method} ${target} HTTP/1.1`;
  return headOf(line, { ...HANDSHAKE, ...fields });
}

/** Returns the `Sec-WebSocket-Accept` for a request. */
function acceptOf(head) {
  const [, key] = /^sec-websocket-key: *(.*)$/im.exec(head);
  return createHash('sha1')
    .update(`${key.trim()}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest('base64');
}

/** Returns the response that accepts a request, with additional fields. */
function accepting(head, fields) {
  return headOf('HTTP/1.1 101 Switching Protocols', {
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Accept': acceptOf(head),
    ...fields,
  });
}

/**
 * Returns a stream that accepts all data and never responds, for `createConnection`.
 */
function silent() {
  return new Duplex({ read: ignore, write: (chunk, encoding, cb) => cb() });
}

/** Parses an HTTP message. */
function parseHttp(bytes) {
  const [head, ...rest] = bytes.toString('latin1').split('\r\n\r\n');
  const [line, ...fields] = head.split('\r\n');
  const headers = {};
  for (const field of fields) {
    const colon = field.indexOf(': ');
    headers[field.slice(0, colon).toLowerCase()] = field.slice(colon + 2);
  }
  return { line, headers, body: rest.join('\r\n\r\n') };
}

/** Writes `data` to a server. Resolves to the response when the server ends. */
function exchange(server, data) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(portOf(server), '127.0.0.1');
    const chunks = [];
    socket.write(data);
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('error', reject);
    socket.on('end', () => {
      socket.destroy();
      resolve(parseHttp(Buffer.concat(chunks)));
    });
  });
}

/** Returns the bytes of a frame. It is masked unless `key` is null. */
function frame(opcode, data = '', options = {}) {
  const { fin = true, rsv = 0, key = KEY, length } = options;
  const payload = Buffer.from(data);
  const size = length === undefined ? payload.length : length;
  const masked = key ? 0x80 : 0;
  const head = [(fin ? 0x80 : 0) | (rsv << 4) | opcode];

  if (size < 126) {
    head.push(masked | Number(size));
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

/** Returns the payload of a close frame. */
function closePayload(code, reason = '') {
  const payload = Buffer.alloc(2);
  payload.writeUInt16BE(code);
  return Buffer.concat([payload, Buffer.from(reason)]);
}

/** Returns the payload of a compressed message (RFC 7692, 7.2.1). */
function deflated(data) {
  const { Z_SYNC_FLUSH: finishFlush } = zlib.constants;
  return zlib.deflateRawSync(data, { finishFlush }).subarray(0, -4);
}

/** Decompresses the payload of a compressed message. */
function inflated(payload) {
  const { Z_SYNC_FLUSH: finishFlush } = zlib.constants;
  const tail = Buffer.from([0, 0, 0xff, 0xff]);
  return zlib.inflateRawSync(Buffer.concat([payload, tail]), { finishFlush });
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
  const raw = Buffer.from(buffer.subarray(start, start + size));
  const payload = Buffer.from(raw);
  if (key) for (let i = 0; i < size; i++) payload[i] ^= key[i & 3];

  return {
    fin: buffer[0] > 0x7f,
    rsv: (buffer[0] >> 4) & 7,
    opcode: buffer[0] & 15,
    masked,
    key,
    raw,
    payload,
    text: payload.toString(),
    end: start + size,
  };
}

/** Reads from a raw socket: first the head of the handshake, then frames. */
function reader(socket) {
  let bytes = Buffer.alloc(0);
  let ended = false;
  let wake = ignore;

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

    /** Resolves to all frames until the socket ends. */
    async rest() {
      const seen = [];
      for (;;) {
        const next = await take(parseFrame);
        if (!next) return seen;
        seen.push(next);
      }
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

/** Ends a server, client or socket that a test has started, in any state. */
function end(thing) {
  if (thing.terminate) {
    thing.on('error', ignore);
    if (thing._req || thing._socket) thing.terminate();
    if (thing._socket) thing._socket.destroy();
    return undefined;
  }
  if (thing.handleUpgrade) {
    const server = thing._server;
    for (const client of thing.clients || []) end(client);
    const closed = close(thing);
    if (server && !thing.options.server) server.closeAllConnections();
    return closed;
  }
  if (thing.closeAllConnections) {
    const closed = close(thing);
    thing.closeAllConnections();
    return closed;
  }
  return thing.destroy ? thing.destroy() : close(thing);
}

/**
 * Starts what the tests of a group need, and ends all of it after each test. `Class` is
 * the WebSocket of the tested API.
 */
function ledger(Class = WebSocket) {
  const started = [];

  afterEach(async () => {
    for (const thing of started.splice(0).reverse()) await end(thing);
  });

  function track(thing) {
    started.push(thing);
    return thing;
  }

  /** Starts a `WebSocketServer` on a free port. Resolves when it listens. */
  async function serve(options) {
    const own = { host: '127.0.0.1', port: 0 };
    const wss = track(new Class.Server({ ...own, ...options }));
    await once(wss._server, 'listening');
    return wss;
  }

  /** Connects a client to `wss`. Resolves to both ends when they are open. */
  async function join(wss, options, protocols = []) {
    const connected = once(wss, 'connection');
    const client = track(new Class(url(wss), protocols, options));
    const opened = once(client, 'open');
    const [server, req] = await connected;
    await opened;
    return { client, server, req, wss };
  }

  /** Starts a new server and connects a client. */
  async function pair(serverOptions, clientOptions) {
    return join(await serve(serverOptions), clientOptions);
  }

  /** Starts a `net.Server` that passes its connections to `accept`. */
  async function listenBare(accept) {
    const server = track(net.createServer());
    server.on('connection', (socket) => {
      track(socket).on('error', ignore);
      accept(socket);
    });
    return listenHttp(server);
  }

  /** Starts a `net.Server` that answers each request with the result of `respond`. */
  function answering(respond) {
    return listenBare(async (socket) => {
      const head = await reader(socket).head();
      if (head !== undefined) socket.write(respond(head, socket));
    });
  }

  const ends = {
    /** Connects a raw client to a server with these options. */
    async server(options, prepare, fields) {
      const wss = await serve(options);
      const connected = once(wss, 'connection');
      wss.on('connection', prepare);
      const socket = track(net.connect(portOf(wss), '127.0.0.1'));
      socket.on('error', ignore);
      const wire = reader(socket);
      socket.write(request(fields));
      const [ws] = await connected;
      await wire.head();
      return { ws, socket, wire, wss, key: KEY };
    },

    /** Connects a client with these options to a raw server. */
    async client(options, prepare, fields) {
      const accepted = {};
      const listener = await listenBare((socket) => {
        accepted.socket = socket;
        accepted.wire = reader(socket);
        accepted.wire.head().then((head) => {
          if (head !== undefined) socket.write(accepting(head, fields));
        });
      });
      const ws = track(new Class(url(listener), options));
      const opened = once(ws, 'open');
      ws.on('open', () => prepare(ws));
      await opened;
      return { ws, ...accepted, key: null };
    },
  };

  /**
   * Creates a WebSocket at this side, whose peer is a raw socket. `prepare` is called
   * with the WebSocket during its 'connection' or 'open' event. `extensions` is the
   * value of the peer's `Sec-WebSocket-Extensions` header.
   */
  async function bare(side, options, { prepare = ignore, extensions } = {}) {
    const fields = { 'Sec-WebSocket-Extensions': extensions };
    const peer = await ends[side](options, prepare, fields);
    const { key, socket } = peer;
    const make = (opcode, data, more) => frame(opcode, data, { key, ...more });
    return {
      ...peer,
      /** Returns the bytes of a frame, masked as the peer has to mask it. */
      frame: make,
      send: (...args) => socket.write(make(...args)),
      /** Writes several frames at once. */
      sendAll: (...frames) =>
        socket.write(Buffer.concat(frames.map((each) => make(...each)))),
    };
  }

  /** Resolves when data that is in flight to this process has arrived. */
  async function settle() {
    const { client } = await pair();
    for (let i = 0; i < 3; i++) {
      const answered = once(client, 'pong');
      client.ping();
      await answered;
    }
  }

  return { answering, bare, join, listenBare, pair, serve, settle, track };
}

module.exports = {
  BINARY,
  CLOSE,
  DEFLATE,
  HANDSHAKE,
  PING,
  PONG,
  SIDES,
  TEXT,
  WebSocket,
  accepting,
  beyondWs,
  close,
  closePayload,
  closing,
  collect,
  deflated,
  each,
  exchange,
  fixture,
  frame,
  ignore,
  inflated,
  ledger,
  listenHttp,
  nextUncaught,
  portOf,
  reader,
  recorded,
  request,
  silent,
  turn,
  uncaught,
  url,
};
