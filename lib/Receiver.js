'use strict';

const PerMessageDeflate = require('./PerMessageDeflate');
const { handedOver } = require('./externalMemory');
const native = require('./native');

// What `Decoder#decode` finds; those of frames are their opcodes. NOTHING stands for
// bytes that are no event yet.
const NOTHING = 0;
const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;
const ERROR = 16;

// The columns of an event in the table that `Decoder#decode` fills.
const KIND = 0;
const NEXT = 1;
const START = 2;
const END = 3;
const OWNED = 4;
const MASKED = 5;
const CODE = 6;
const COLUMNS = 7;

/** The events that a table has room for; they stand behind the position, in row 0. */
const EVENTS = 256;

/** A table for each receiver that reads: the handler of one may feed another. */
const tables = [];
let depth = 0;

const noop = () => {};

/** Turns what a connection receives into calls of its `on…` properties. */
class Receiver {
  /**
   * @param {Object} [extensions] the extensions agreed on, by name
   * @param {Number} [maxPayload] the longest message in bytes; 0 for no limit
   * @param {Object} [limits] further limits
   * @param {Number} [limits.maxFragments] the most fragments of a message
   * @param {Boolean} [limits.masked] whether frames have to be masked (`true`) or
   *   must not be (`false`); either is taken by default
   */
  constructor(extensions, maxPayload, limits) {
    this.extensions = extensions || {};
    this._limit = toLimit(maxPayload);
    const { maxFragments, masked } = limits || {};
    this._decoder = new native.Decoder(
      { maxPayload: this._limit, maxFragments: toLimit(maxFragments), masked },
      deflateOf(this.extensions),
    );

    /** Whether nothing more is read: after a close frame, an error or `cleanup`. */
    this.dead = false;

    this.onbinary = noop;
    this.onclose = noop;
    this.onerror = noop;
    this.ontext = noop;
    this.onping = noop;
    this.onpong = noop;
    /** Called when no chunk waits any more. */
    this.ondrain = noop;

    this._chunks = [];
    /** The arguments of `_handle` for events that are decoded and wait. */
    this._held = [];
    this._paused = false;
    this._reading = false;
    /** The bytes of the current chunk, and of those that wait, not yet read. */
    this.unread = 0;
  }

  /** The longest message in bytes; 0 for no limit. */
  get maxPayload() {
    return this._limit;
  }

  set maxPayload(bytes) {
    this._limit = toLimit(bytes);
    this._decoder.setMaxPayload(this._limit);
  }

  get _maxPayload() {
    return this.maxPayload;
  }

  set _maxPayload(bytes) {
    this.maxPayload = bytes;
  }

  /** The bytes of the message under way, as its frames have announced them. */
  get totalPayloadLength() {
    return this._decoder.announcedLength;
  }

  /** Takes the next chunk of bytes; payloads are unmasked within it. */
  add(chunk) {
    if (this.dead) return;
    if (!Buffer.isBuffer(chunk)) chunk = Buffer.from(chunk);
    this.unread += chunk.length;
    this._chunks.push(chunk);
    this._read();
  }

  /** Whether chunks that are added wait for `resume`. */
  get paused() {
    return this._paused;
  }

  /** Makes no more calls until `resume`; chunks added meanwhile wait. */
  pause() {
    this._paused = true;
  }

  /** Goes on where `pause` stopped, on the next tick. */
  resume() {
    if (!this._paused) return;
    this._paused = false;
    process.nextTick(() => this._read());
  }

  /** Whether something waits for `resume`. */
  get holds() {
    return this._chunks.length > 0 || this._held.length > 0;
  }

  /** Reads what waits. A handler may call this receiver's methods. */
  _read() {
    if (this._reading) return;
    this._reading = true;
    let thrown = true;
    try {
      while (this.holds && !this._paused) {
        if (this._held.length > 0) this._handle(...this._held.shift());
        else this._readChunk(this._chunks.shift());
      }
      thrown = false;
    } finally {
      this._reading = false;
      // An error of a handler is the user's; what came behind it is not lost.
      if (thrown && !this.dead) process.nextTick(() => this._read());
    }
    if (!this.dead && !this.holds) this.ondrain();
  }

  _readChunk(chunk) {
    const table = (tables[depth] = tables[depth] || makeTable());
    depth++;
    const { rows } = table;
    let from = 0;
    let count = 0;
    let next = 0;
    try {
      do {
        count = this._decoder.decode(chunk, from, table.bytes);
        for (next = 0; next < count && !this._paused;) {
          const at = ++next * COLUMNS;
          const wire = rows[at + NEXT] - from;
          from = rows[at + NEXT];
          this._take(chunk, rows, at, wire, false);
          if (this.dead) return;
        }
        if (this._paused) return;
        this.unread -= rows[0] - from;
        from = rows[0];
      } while (from < chunk.length);
    } finally {
      depth--;
      if (!this.dead) this._hold(chunk, rows, from, next, count);
    }
  }

  /**
   * Keeps what is left of a chunk: the events behind the first `next` of `count`, which
   * end at `from`, and what is not decoded yet.
   */
  _hold(chunk, rows, from, next, count) {
    while (next < count) {
      const at = ++next * COLUMNS;
      const wire = rows[at + NEXT] - from;
      from = rows[at + NEXT];
      this._take(chunk, rows, at, wire, true);
    }
    if (count > 0 && rows[0] > from) {
      this._held.push([NOTHING, rows[0] - from]);
      from = rows[0];
    }
    if (from < chunk.length) this._chunks.unshift(chunk.subarray(from));
  }

  /** Handles the event at this position of the table, or keeps it. */
  _take(chunk, rows, at, wire, mustWait) {
    const kind = rows[at + KIND];
    const masked = rows[at + MASKED] === 1;
    const code = rows[at + CODE];
    const data = this._data(chunk, rows, at);
    if (mustWait) this._held.push([kind, wire, data, masked, code]);
    else this._handle(kind, wire, data, masked, code);
  }

  /** The payload of the event at this position of the table. */
  _data(chunk, rows, at) {
    const start = rows[at + START];
    const end = rows[at + END];
    const isOwned = rows[at + OWNED] === 1;
    switch (rows[at + KIND]) {
      case TEXT:
        return isOwned
          ? handedOver(this._decoder.takeText(start))
          : chunk.utf8Slice(start, end);
      case ERROR:
        return this._decoder.violation();
      default: {
        if (isOwned) return handedOver(this._decoder.takeBuffer(start));
        // A small payload does not keep its chunk alive.
        const bytes = chunk.subarray(start, end);
        return 2 * bytes.length < chunk.length ? Buffer.from(bytes) : bytes;
      }
    }
  }

  /** Tells an event, behind which another `wire` bytes are read. */
  _handle(kind, wire, data, masked, code) {
    this.unread -= wire;
    switch (kind) {
      case TEXT:
        this.ontext(data, { masked, binary: false });
        break;
      case BINARY:
        this.onbinary(data, { masked, binary: true });
        break;
      case PING:
        this.onping(data, { masked, binary: true });
        break;
      case PONG:
        this.onpong(data, { masked, binary: true });
        break;
      case CLOSE:
        // A close frame without a code reads as a normal closure.
        this.onclose(code || 1000, data.toString(), { masked });
        this.cleanup();
        break;
      case ERROR: {
        const { message, closeCode, class: name, name: code } = data;
        const Class = name === 'RangeError' ? RangeError : Error;
        this.error(Object.assign(new Class(message), { code }), closeCode);
      }
    }
  }

  /** Reports a violation of the protocol, with the code to close with. */
  error(error, closeCode) {
    this.onerror(error, closeCode);
    this.cleanup();
  }

  /** Frees what is held, and discards what is still to come. */
  cleanup() {
    if (this.dead) return;
    this.dead = true;
    this._decoder.close();
    this._chunks = [];
    this._held = [];
    this.unread = 0;

    this.onbinary = null;
    this.onclose = null;
    this.onerror = null;
    this.ontext = null;
    this.onping = null;
    this.onpong = null;
    this.ondrain = null;
  }
}

/** Memory for events, as both sides see it. */
function makeTable() {
  const rows = new Uint32Array((1 + EVENTS) * COLUMNS);
  return { rows, bytes: Buffer.from(rows.buffer) };
}

/** A limit; 0, for none, of anything that is no number. */
function toLimit(value) {
  return value > 0 ? Math.floor(value) : 0;
}

/** The native side of permessage-deflate, where it is agreed on. */
function deflateOf(extensions) {
  const extension = extensions[PerMessageDeflate.extensionName];
  return extension ? extension.native : null;
}

Receiver.toLimit = toLimit;

module.exports = Receiver;
