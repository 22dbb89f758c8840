// A peer that frames as other implementations do: `server PARAMETERS` or
// `client URL PARAMETERS`, where `habit` of the parameters is one of HABITS.

import { createHash, randomBytes } from 'node:crypto';
import http from 'node:http';
import zlib from 'node:zlib';

const [mode, ...rest] = process.argv.slice(2);
const parameters = JSON.parse(rest.pop());

const [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG] = [0, 1, 2, 8, 9, 10];
const TAIL = Buffer.from([0x00, 0x00, 0xff, 0xff]);
const EMPTY = Buffer.alloc(0);

/** Splits data into pieces of a size. Empty data is one piece. */
function split(data, size) {
  const pieces = [];
  for (let i = 0; i === 0 || i < data.length; i += size) {
    pieces.push(data.subarray(i, i + size));
  }
  return pieces;
}

/** Gives a stream of zlib some data; resolves to what comes out of it. */
function through(stream, data) {
  const chunks = [];
  const listener = (chunk) => chunks.push(chunk);
  stream.on('data', listener);
  stream.write(data);
  return new Promise((resolve) => {
    stream.flush(zlib.constants.Z_SYNC_FLUSH, () => {
      stream.off('data', listener);
      resolve(Buffer.concat(chunks));
    });
  });
}

/** Removes the tail of a compressed message. An empty one is an empty block. */
const withoutTail = (data) =>
  data.length === 0 ? Buffer.from([0]) : data.subarray(0, -TAIL.length);

/**
 * How messages become fragments. `pieces` are what a program passes to one message;
 * `compress` is null if the message is not compressed.
 */
const HABITS = {
  /** As in Go: a writer has full buffers as fragments, and its end is an empty one. */
  async go(pieces, compress) {
    const whole = Buffer.concat(pieces);
    const data = compress ? withoutTail(await compress(whole)) : whole;
    return [...split(data, 4096), EMPTY];
  },

  /** As in .NET: each piece is compressed and flushed, and is a fragment. */
  async dotnet(pieces, compress) {
    const small = pieces.flatMap((piece) => split(piece, 16384));
    if (!compress) return small;
    const fragments = [];
    for (const piece of small) fragments.push(await compress(piece));
    fragments.push(withoutTail(fragments.pop()));
    return fragments;
  },

  /** One frame, of which each byte is written by itself. */
  async bytes(pieces, compress) {
    const whole = Buffer.concat(pieces);
    return [compress ? withoutTail(await compress(whole)) : whole];
  },
};

function mask(data, key) {
  const masked = Buffer.from(data);
  for (let i = 0; i < masked.length; i++) masked[i] ^= key[i & 3];
  return masked;
}

/** A frame, and where its bytes end; or undefined if it is not complete. */
function parse(bytes) {
  if (bytes.length < 2) return undefined;
  let length = bytes[1] & 127;
  let at = 2;
  if (length === 126) {
    if (bytes.length < 4) return undefined;
    length = bytes.readUInt16BE(2);
    at = 4;
  } else if (length === 127) {
    if (bytes.length < 10) return undefined;
    length = Number(bytes.readBigUInt64BE(2));
    at = 10;
  }
  const key = bytes[1] & 128 ? bytes.subarray(at, at + 4) : null;
  if (key) at += 4;
  const end = at + length;
  if (bytes.length < end) return { missing: end - bytes.length };
  const payload = bytes.subarray(at, end);
  return {
    fin: (bytes[0] & 128) !== 0,
    compressed: (bytes[0] & 64) !== 0,
    opcode: bytes[0] & 15,
    payload: key ? mask(payload, key) : payload,
    end,
  };
}

class Connection {
  #socket;
  #isClient;
  #deflate = null;
  #inflate = null;
  #agreed;
  #closing = false;

  constructor(socket, isClient, agreed) {
    this.#socket = socket;
    this.#isClient = isClient;
    this.#agreed = agreed;
    socket.setNoDelay();
    socket.on('error', (error) => console.log(`error: ${error.message}`));
  }

  /** Echoes messages and obeys commands, until the connection ends. */
  async run(head) {
    let bytes = head;
    let pieces = [];
    let first = null;
    for await (const frame of this.#frames(bytes)) {
      if (frame.opcode >= CLOSE) {
        this.#control(frame);
        continue;
      }
      if (frame.opcode !== CONTINUATION) first = frame;
      pieces.push(frame.payload);
      if (!frame.fin) continue;
      bytes = Buffer.concat(pieces);
      pieces = [];
      if (first.compressed) bytes = await this.#decompress(bytes);
      const text = first.opcode === TEXT ? bytes.toString() : '';
      if (text.startsWith('peer: ')) await this.#obey(text.slice(6));
      else await this.#send(first.opcode, [bytes]);
    }
  }

  async *#frames(head) {
    let chunks = [head];
    let missing = 0;
    const parsed = function* () {
      let bytes = Buffer.concat(chunks);
      let frame;
      while ((frame = parse(bytes)) && frame.end) {
        bytes = bytes.subarray(frame.end);
        yield frame;
      }
      chunks = [bytes];
      missing = frame ? frame.missing : 0;
    };
    yield* parsed();
    for await (const chunk of this.#socket) {
      chunks.push(chunk);
      missing -= chunk.length;
      if (missing <= 0) yield* parsed();
    }
  }

  #control({ opcode, payload }) {
    if (opcode === PING) this.#write(PONG, payload);
    if (opcode === PONG) this.#send(TEXT, [Buffer.from(`pong ${payload}`)]);
    if (opcode !== CLOSE) return;
    console.log(`closed: ${payload.readUInt16BE(0)} ${payload.subarray(2)}`);
    if (!this.#closing) this.#write(CLOSE, payload);
    this.#socket.end();
  }

  async #obey(command) {
    const [word, ...words] = command.split(' ');
    if (word === 'ping') this.#write(PING, Buffer.from(words.join(' ')));
    if (word === 'fragments') {
      const pieces = ['one ', 'two ', 'three'].map((text) => Buffer.from(text));
      await this.#send(TEXT, pieces);
      await this.#send(BINARY, pieces);
    }
    if (word === 'close') {
      this.#closing = true;
      const code = Buffer.alloc(2);
      code.writeUInt16BE(Number(words[0]));
      const reason = Buffer.from(words.slice(1).join(' '));
      this.#write(CLOSE, Buffer.concat([code, reason]));
    }
  }

  async #send(opcode, pieces) {
    const compress = this.#compressor();
    const fragments = await HABITS[parameters.habit](pieces, compress);
    fragments.forEach((fragment, i) => {
      const isFirst = i === 0;
      const isLast = i === fragments.length - 1;
      const rsv1 = isFirst && compress !== null;
      this.#write(isFirst ? opcode : CONTINUATION, fragment, isLast, rsv1);
    });
  }

  #write(opcode, payload, fin = true, rsv1 = false) {
    const { length } = payload;
    const head = [(fin ? 128 : 0) | (rsv1 ? 64 : 0) | opcode];
    const bit = this.#isClient ? 128 : 0;
    if (length < 126) head.push(bit | length);
    else if (length < 65536) head.push(bit | 126, length >> 8, length & 255);
    else {
      const long = Buffer.alloc(8);
      long.writeBigUInt64BE(BigInt(length));
      head.push(bit | 127, ...long);
    }
    const key = randomBytes(4);
    if (this.#isClient) head.push(...key);
    const body = this.#isClient ? mask(payload, key) : payload;
    const frame = Buffer.concat([Buffer.from(head), body]);
    const size = parameters.habit === 'bytes' ? 1 : frame.length;
    for (const piece of split(frame, size)) this.#socket.write(piece);
  }

  /** The agreed parameters of this side, or of the other one. */
  #side(own) {
    const side = this.#isClient === own ? 'client' : 'server';
    const bits = new RegExp(`${side}_max_window_bits=(\\d+)`).exec(
      this.#agreed,
    );
    return {
      noTakeover: this.#agreed.includes(`${side}_no_context_takeover`),
      windowBits: bits ? Number(bits[1]) : 15,
    };
  }

  /** A function that compresses a piece of a new message; null without the extension. */
  #compressor() {
    if (!this.#agreed) return null;
    const { noTakeover, windowBits } = this.#side(true);
    if (this.#deflate === null || noTakeover) {
      this.#deflate = zlib.createDeflateRaw({ windowBits });
    }
    return (data) => through(this.#deflate, data);
  }

  #decompress(data) {
    const { noTakeover, windowBits } = this.#side(false);
    if (this.#inflate === null || noTakeover) {
      this.#inflate = zlib.createInflateRaw({ windowBits });
    }
    return through(this.#inflate, Buffer.concat([data, TAIL]));
  }
}

const accept = (key) =>
  createHash('sha1')
    .update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest('base64');

/** The parameters of permessage-deflate that both offers and answers have. */
const shared = [
  'permessage-deflate',
  ...(parameters.noTakeover
    ? ['server_no_context_takeover', 'client_no_context_takeover']
    : []),
  ...(parameters.bits ? [`server_max_window_bits=${parameters.bits}`] : []),
];

if (mode === 'client') {
  const limit = parameters.bits ? `=${parameters.bits}` : '';
  const offer = [...shared, `client_max_window_bits${limit}`].join('; ');
  const request = http.get(rest[0].replace('ws:', 'http:'), {
    headers: {
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': randomBytes(16).toString('base64'),
      ...(parameters.deflate ? { 'Sec-WebSocket-Extensions': offer } : {}),
    },
  });
  request.on('upgrade', ({ headers }, socket, head) => {
    const agreed = headers['sec-websocket-extensions'] || '';
    new Connection(socket, true, agreed).run(head);
  });
} else {
  const server = http.createServer();
  server.on('upgrade', ({ headers }, socket, head) => {
    const offer = headers['sec-websocket-extensions'] || '';
    const mayLimit = parameters.bits && /client_max_window_bits/.test(offer);
    const limit = mayLimit ? [`client_max_window_bits=${parameters.bits}`] : [];
    const agreed =
      parameters.deflate && offer ? [...shared, ...limit].join('; ') : '';
    const lines = [
      'HTTP/1.1 101 Switching Protocols',
      'Connection: Upgrade',
      'Upgrade: websocket',
      `Sec-WebSocket-Accept: ${accept(headers['sec-websocket-key'])}`,
      ...(agreed ? [`Sec-WebSocket-Extensions: ${agreed}`] : []),
    ];
    socket.write(`${lines.join('\r\n')}\r\n\r\n`);
    new Connection(socket, false, agreed).run(head);
  });
  server.listen(0, '127.0.0.1', () => {
    console.log(`port: ${server.address().port}`);
  });
}
