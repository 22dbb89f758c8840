'use strict';

const Gate = require('./Gate');
const PerMessageDeflate = require('./PerMessageDeflate');
const Queue = require('./Queue');
const { contextOfNow, nobodys } = require('./context');
const { nextTick, setImmediate } = require('./environment');
const { handedOver } = require('./externalMemory');
const { TOO_BIG, TOO_LONG, limitsFor, toLimit } = require('./limits');
const native = require('./native');

// What `Decoder#decode` finds; those of frames are their opcodes. NOTHING stands for
// bytes that are no event yet, LAST for what comes behind all bytes.
const NOTHING = 0;
const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;
const ERROR = 16;
const LAST = 17;

// The columns of an event in the table that `Decoder#decode` fills.
const KIND = 0;
const NEXT = 1;
const START = 2;
const END = 3;
const OWNED = 4;
const MASKED = 5;
const CODE = 6;
const COLUMNS = 7;

// The columns of the table's first row.
const POSITION = 0;
const HEAVY = 1;

/** The events that a table has room for; they stand behind its first row. */
const EVENTS = 256;

/** A table for each receiver that reads: the handler of one may feed another. */
const tables = [];
let depth = 0;

/** The close code where decoding fails through no fault of the other end. */
const INTERNAL_ERROR = 1011;

const noop = () => {};

/** What a receiver's gate has to know. */
class Events {
  constructor(receiver) {
    this._receiver = receiver;
  }

  tell(...event) {
    this._receiver._handle(...event);
  }

  dropped(kind, wire) {
    this._receiver.unread -= wire;
  }

  isLast(kind) {
    return kind === CLOSE || kind >= ERROR;
  }

  goOn() {
    this._receiver._goOn();
  }
}

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
    this._decoder = new native.Decoder(
      limitsFor(this._limit, limits || {}),
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

    /** The chunk that is being read, and how far it is; and those behind it. */
    this._chunk = null;
    this._from = 0;
    this._chunks = new Queue();
    /** Whether a heavy message is being decoded on another thread. */
    this._isElsewhere = false;
    this._isReading = false;
    /** What to call behind all chunks, once promises of their handlers are settled. */
    this._last = null;
    this._isSettling = false;
    this._gate = new Gate(new Events(this), contextOfNow() || nobodys);
    /** The bytes of the current chunk, and of those that wait, not yet read. */
    this.unread = 0;
  }

  /** The longest message in bytes; 0 for no limit. */
  get maxPayload() {
    return this._limit;
  }

  set maxPayload(bytes) {
    this._limit = toLimit(bytes);
    if (!this._isElsewhere) this._decoder.setMaxPayload(this._limit);
  }

  get _maxPayload() {
    return this.maxPayload;
  }

  set _maxPayload(bytes) {
    this.maxPayload = bytes;
  }

  /** The bytes of the message under way, as its frames have announced them. */
  get totalPayloadLength() {
    return this._isElsewhere ? 0 : this._decoder.announcedLength;
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
    return this._gate.isPaused;
  }

  /** Makes no more calls until `resume`; chunks added meanwhile wait. */
  pause() {
    this._gate.pause();
  }

  /** Goes on where `pause` stopped, on the next tick. */
  resume() {
    this._gate.resume();
  }

  /** Drops, if it is paused, all but what ends the connection. */
  drop() {
    this._gate.drop();
  }

  /** Calls back behind all that was added: no more will be. */
  end(callback) {
    if (this.dead) {
      callback();
      return;
    }
    this._last = callback;
    this._read();
  }

  /** Calls back in the same way, or at once if it is paused, and drops what waits. */
  fail(callback) {
    if (this.paused) {
      this.cleanup();
      callback();
      return;
    }
    this.end(callback);
  }

  /** Reads what waits. A handler may call this receiver's methods. */
  _read() {
    if (this._isReading) return;
    this._isReading = true;
    let isDone = false;
    try {
      while (this._mayRead()) this._readChunk();
      isDone = true;
    } finally {
      this._isReading = false;
      // An error of a handler is the user's; what came behind it is not lost.
      if (!isDone) nextTick(() => this._read());
    }
    if (!this._isRead) return;
    if (this._gate.isClear) this.ondrain();
    this._tellLast();
  }

  /** Reads on behind what was held back; promises are settled before the last. */
  _goOn() {
    this._isSettling = true;
    setImmediate(() => {
      this._isSettling = false;
      if (this._isRead) this._tellLast();
    });
    this._read();
  }

  _tellLast() {
    // What waits may end all, and would take this with it.
    if (this._last === null || this._isSettling || this._gate.holds) return;
    const last = this._last;
    this._last = null;
    this._gate.end(LAST, 0, last);
  }

  /** Whether all that was added is read. */
  get _isRead() {
    const waits = this._chunk !== null || this._chunks.length > 0;
    return !this.dead && !this._isElsewhere && !waits;
  }

  /** Whether there is a chunk that may be read now. */
  _mayRead() {
    if (this.dead || this._isElsewhere || !this._gate.isClear) return false;
    if (this._chunk === null && this._chunks.length > 0) {
      this._chunk = this._chunks.shift();
      this._from = 0;
    }
    return this._chunk !== null;
  }

  /** Reads of the chunk what the table has room for. */
  _readChunk() {
    const table = (tables[depth] = tables[depth] || makeTable());
    const { rows } = table;
    const chunk = this._chunk;
    let count;
    try {
      count = this._decoder.decode(chunk, this._from, table.bytes);
    } catch (error) {
      // As nothing should; where it stands in the chunk is not known.
      this.error(error, INTERNAL_ERROR);
      return;
    }
    const reached = rows[POSITION];
    const isHeavy = rows[HEAVY] === 1;
    let from = this._from;
    let at = 0;
    // Where this goes on, whatever a handler does.
    this._from = reached;
    if (reached === chunk.length) this._chunk = null;
    depth++;
    try {
      while (at < count * COLUMNS && !this.dead) {
        at += COLUMNS;
        const wire = rows[at + NEXT] - from;
        from = rows[at + NEXT];
        this._take(chunk, rows, at, wire);
      }
    } finally {
      depth--;
      while (at < count * COLUMNS && !this.dead) {
        at += COLUMNS;
        const wire = rows[at + NEXT] - from;
        from = rows[at + NEXT];
        this._gate.shut();
        this._take(chunk, rows, at, wire);
      }
      if (!this.dead) {
        this._count(reached - from);
        if (isHeavy) this._decodeElsewhere(chunk.subarray(reached));
      }
    }
  }

  /** Tells the event at this position of the table, or holds it back. */
  _take(chunk, rows, at, wire) {
    const masked = rows[at + MASKED] === 1;
    let kind = rows[at + KIND];
    const code = rows[at + CODE];
    let data;
    try {
      data = this._data(chunk, rows, at);
    } catch ({ message }) {
      // There is no memory for it, say: no reason to end the process.
      kind = ERROR;
      data = { message, closeCode: TOO_BIG, class: 'Error', name: TOO_LONG };
    }
    if (this._gate.isShut) this._gate.hold(kind, wire, data, masked, code);
    else this._handle(kind, wire, data, masked, code);
  }

  /** Counts bytes that are read and no event, behind those that wait. */
  _count(wire) {
    if (this._gate.isShut) this._gate.hold(NOTHING, wire);
    else this.unread -= wire;
  }

  /** Has a heavy message, of which this is the next piece, decoded on another thread. */
  _decodeElsewhere(piece) {
    this._isElsewhere = true;
    this._chunk = null;
    const come = (callback) => (value) => nextTick(() => callback(value));
    this._decoder.decodeHeavy(piece).then(
      come((decoded) => this._comeBack(decoded, piece.length)),
      come((error) => this.error(error, INTERNAL_ERROR)),
    );
  }

  /** Takes what was decoded on another thread. */
  _comeBack(decoded, length) {
    this._isElsewhere = false;
    if (this.dead) {
      decoded.close();
      return;
    }
    const rest = decoded.takeRest();
    const table = makeTable();
    let left = length - rest.length;
    let count = EVENTS;
    while (count === EVENTS) {
      count = this._decoder.restore(decoded, table.bytes);
      for (let at = COLUMNS; at <= count * COLUMNS; at += COLUMNS) {
        const wire = table.rows[at + NEXT];
        left -= wire;
        this._gate.shut();
        this._take(null, table.rows, at, wire);
      }
    }
    // It may have been set meanwhile.
    this._decoder.setMaxPayload(this._limit);
    this._count(left);
    if (rest.length > 0) {
      this._chunk = rest;
      this._from = 0;
    }
    this._read();
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
        try {
          this.onclose(code || 1000, data.toString(), { masked });
        } finally {
          this.cleanup();
        }
        break;
      case LAST:
        data();
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
    if (this.dead) return;
    try {
      this.onerror(error, closeCode);
    } finally {
      this.cleanup();
    }
  }

  /** Frees what is held, and discards what is still to come. */
  cleanup() {
    if (this.dead) return;
    this.dead = true;
    this.ondrain();
    // The thread that decodes has it otherwise.
    if (!this._isElsewhere) this._decoder.close();
    this._chunk = null;
    this._chunks.clear();
    this._gate.clear();
    this.unread = 0;
    if (this._last !== null) setImmediate(this._last);
    this._last = null;

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

/** The native side of permessage-deflate, where it is agreed on. */
function deflateOf(extensions) {
  const extension = extensions[PerMessageDeflate.extensionName];
  return extension ? extension.native : null;
}

module.exports = Receiver;
