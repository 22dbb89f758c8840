'use strict';

// The engine of this environment, seen from JavaScript: the memory that events and
// messages are exchanged in, and the table of its connections. There is no call per
// message in either direction: events come in one call for all that is there, and
// messages go in one call at the end of the tick, or of that call.

const { markAsUntransferable } = require('worker_threads');

const Queue = require('../Queue');
const { nobodys } = require('../context');
const { atExit, callLast, nextTick, once } = require('../environment');
const native = require('../native');

const { PLACE_BITS, event, flag, kind, message } = native;
const { CLOSE, ERROR, NUMBER, PONG, SENT } = kind;

// The numbers of a row, as constants: these are read for each event and each message.
const { ID: EVENT_ID, KIND: EVENT_KIND, WIDTH: EVENT_WIDTH } = event;
const {
  ID: MESSAGE_ID,
  FLAGS: MESSAGE_FLAGS,
  START: MESSAGE_START,
  END: MESSAGE_END,
  WIDTH: MESSAGE_WIDTH,
} = message;

/** The most bytes of the inbox that are copied together. */
const COPY = 16 * 1024;

/** The events and the messages that there is room for, and the bytes of each. */
const ROWS = 8192;
const BYTES = 1 << 20;

/** A connection's number has its place in the table in its low bits. */
const PLACE_MASK = (1 << PLACE_BITS) - 1;
const TURNS = 1 << (32 - PLACE_BITS);

/** A string takes at most this many bytes for each of its units, as UTF-8. */
const MAX_BYTES_PER_UNIT = 3;

/** Calls `transport.receive(row)` for each event. */
class Engine {
  constructor(host, threads) {
    this.rows = new Uint32Array(EVENT_WIDTH * ROWS);
    this.bytes = Buffer.from(new ArrayBuffer(BYTES));
    this._outRows = new Uint32Array(MESSAGE_WIDTH * ROWS);
    this._outBytes = Buffer.from(new ArrayBuffer(BYTES));
    this._outCount = 0;
    this._outUsed = 0;
    /** The last text in the outbox, and where it stands. */
    this._lastText = null;
    this._lastStart = 0;
    this._lastEnd = 0;
    /** The last frame that came as a list, and of which pieces. */
    this._lastList = null;
    this._lastPieces = [];
    this._lastListStart = 0;
    this._lastListEnd = 0;
    /** The transports whose sockets are to be adopted. */
    this._opening = new Queue();
    /** Counts the flushes: what was posted before the last is the engine's to count. */
    this.flushes = 0;
    /** The batch that is in the inbox, and its next row. */
    this._batch = -1;
    this._cursor = 0;
    this._filled = 0;
    /** A copy of a part of its bytes: from and to where, and what it is. */
    this._copyStart = 0;
    this._copyEnd = 0;
    this._copy = null;
    this._dispatching = false;
    this._scheduled = false;

    /** The transports, by place. */
    this._transports = [];
    this._turns = [];
    this._free = [];
    /** The number of connections that keep the process alive. */
    this._alive = 0;

    this.native = nobodys.runInAsyncScope(
      () =>
        new native.Engine(
          host,
          threads,
          (count, batch, filled) => this._dispatch(count, batch, filled),
          nobodys,
          this.rows,
          this.bytes,
          this._outRows,
          this._outBytes,
        ),
    );
    atExit(() => {
      this.flush();
      this.native.settle();
    });
  }

  /** `inline` or `thread`. */
  get host() {
    return this.native.host;
  }

  /** The transports. */
  transports() {
    return this._transports.filter((transport) => transport !== undefined);
  }

  /** A number for a new connection. */
  open(transport) {
    let place = this._free.pop();
    if (place === undefined) {
      place = this._transports.length;
      if (place > PLACE_MASK) throw new Error('too many connections');
      this._turns.push(0);
    }
    this._transports[place] = transport;
    return ((this._turns[place] << PLACE_BITS) | place) >>> 0;
  }

  /** Forgets a connection; its number is not used again soon. */
  close(id) {
    const place = id & PLACE_MASK;
    this._transports[place] = undefined;
    this._turns[place] = (this._turns[place] + 1) % TURNS;
    this._free.push(place);
  }

  /** Counts the connections that keep the process alive. */
  keepAlive(change) {
    const was = this._alive > 0;
    this._alive += change;
    if (was !== this._alive > 0) this.native.keepAlive(!was);
  }

  /** Puts a text, which is not too long, into the outbox; its length in bytes. */
  postText(id, flags, text) {
    // What is sent to many connections is encoded once.
    if (text === this._lastText && this._outCount < ROWS) {
      this._post(id, flags, this._lastStart, this._lastEnd);
      return this._lastEnd - this._lastStart;
    }
    const most = text.length * MAX_BYTES_PER_UNIT;
    this._makeRoom(most);
    const start = this._outUsed;
    const length = this._outBytes.utf8Write(text, start, most);
    this._outUsed += length;
    this._lastText = text;
    this._lastStart = start;
    this._lastEnd = this._outUsed;
    this._post(id, flags, start, this._outUsed);
    return length;
  }

  /** Puts bytes, which are not too long, into the outbox; their number. */
  postBytes(id, flags, bytes) {
    this._makeRoom(bytes.length);
    const start = this._outUsed;
    this._outBytes.set(bytes, start);
    this._outUsed += bytes.length;
    this._post(id, flags, start, this._outUsed);
    return bytes.length;
  }

  /**
   * Puts a frame into the outbox that comes as a list of strings and Buffers; its length
   * in bytes. A list that is sent to many connections stands there once.
   */
  postList(id, flags, list) {
    if (!this._isLastList(list)) {
      const most = list.reduce((sum, { length }) => sum + length, 0);
      this._makeRoom(most * MAX_BYTES_PER_UNIT);
      const start = this._outUsed;
      for (const piece of list) {
        this._outUsed +=
          typeof piece === 'string'
            ? this._outBytes.utf8Write(piece, this._outUsed)
            : put(piece, this._outBytes, this._outUsed);
      }
      this._lastList = list;
      this._lastPieces = list.slice();
      this._lastListStart = start;
      this._lastListEnd = this._outUsed;
    }
    this._post(id, flags, this._lastListStart, this._lastListEnd);
    return this._lastListEnd - this._lastListStart;
  }

  /** Whether a list stands in the outbox already, as it is now. */
  _isLastList(list) {
    if (list !== this._lastList || this._outCount === ROWS) return false;
    let at = this._lastListStart;
    return this._lastPieces.every((piece, i) => {
      if (list[i] !== piece) return false;
      if (typeof piece === 'string') {
        at += Buffer.byteLength(piece);
        return true;
      }
      const start = at;
      at += piece.length;
      return this._outBytes.compare(piece, 0, piece.length, start, at) === 0;
    });
  }

  _makeRoom(length) {
    if (this._outUsed + length > BYTES || this._outCount === ROWS) {
      this.flush();
    }
  }

  _post(id, flags, start, end) {
    const rows = this._outRows;
    const at = this._outCount * MESSAGE_WIDTH;
    rows[at + MESSAGE_ID] = id;
    rows[at + MESSAGE_FLAGS] = flags;
    rows[at + MESSAGE_START] = start;
    rows[at + MESSAGE_END] = end;
    this._outCount++;
    this._flushSoon();
  }

  /** Flushes at the end of the tick, or of the call that tells of events. */
  _flushSoon() {
    if (this._dispatching || this._scheduled) return;
    this._scheduled = true;
    nextTick(flush, this);
  }

  /** Calls `transport.adopt()` when the engine is next called. */
  adoptSoon(transport) {
    this._opening.push(transport);
    this._flushSoon();
  }

  /**
   * Takes back the messages of a connection that are still here, from the first for
   * which `matches(flags, length)` holds.
   */
  takeBack(id, matches) {
    let found = false;
    this._forEachOf(id, (flags, start, end) => {
      found = found || matches(flags, end - start);
      return found;
    });
  }

  /** Takes out the messages of a connection that are still here. */
  takeOut(id) {
    const found = [];
    this._forEachOf(id, (flags, start, end) => {
      const bytes = Buffer.from(this._outBytes.subarray(start, end));
      found.push({ flags, bytes });
      return true;
    });
    return found;
  }

  /** Takes back each message of a connection for which `isTaken` returns true. */
  _forEachOf(id, isTaken) {
    const rows = this._outRows;
    const end = this._outCount * MESSAGE_WIDTH;
    for (let at = 0; at < end; at += MESSAGE_WIDTH) {
      const flags = rows[at + MESSAGE_FLAGS];
      if (rows[at + MESSAGE_ID] !== id || flags & flag.SKIP) continue;
      if (isTaken(flags, rows[at + MESSAGE_START], rows[at + MESSAGE_END])) {
        rows[at + MESSAGE_FLAGS] |= flag.SKIP;
      }
    }
  }

  /** Hands over what is in the outbox. */
  flush() {
    while (this._opening.length > 0) {
      const transport = this._opening.shift();
      // Listeners of the socket may throw; the others go on.
      callLast(() => transport.adopt());
    }
    const count = this._outCount;
    if (count === 0) return;
    this._outCount = 0;
    this._outUsed = 0;
    this._lastText = null;
    this._lastList = null;
    this.flushes++;
    this.native.flush(count);
  }

  /**
   * Called by the engine with the number of rows in the inbox, that of the batch, and that
   * of the inbox's bytes.
   * If a listener throws, or what it leaves for the end of the tick, the engine calls
   * again for the rest; also if this returns true.
   */
  _dispatch(count, batch, filled) {
    if (this._batch !== batch) {
      this._batch = batch;
      this._cursor = 0;
      this._filled = filled;
      this._copyEnd = 0;
    }
    this._dispatching = true;
    try {
      return this._deliver(count);
    } finally {
      this._dispatching = false;
      // Before the ticks and promises of the listeners run, which may send as well.
      this.flush();
    }
  }

  /** Delivers events; whether some are left. */
  _deliver(count) {
    const { rows, _transports: transports } = this;
    let hasTold = false;
    let hasCalled = false;
    while (this._cursor < count) {
      const at = this._cursor * EVENT_WIDTH;
      const number = rows[at + EVENT_KIND] & NUMBER;
      // Kinds up to PONG are what the other end sends for the program, and those up to
      // ERROR end the connection. Ticks and promises that listeners leave come before
      // what ends a connection, and those of callbacks before what the other end of
      // theirs may have been sent.
      if (number === SENT) hasCalled = true;
      else if (hasCalled) return true;
      else if (number <= PONG && number !== CLOSE) hasTold = true;
      else if (number <= ERROR && hasTold) return true;
      this._cursor++;
      const id = rows[at + EVENT_ID];
      const transport = transports[id & PLACE_MASK];
      if (transport !== undefined && transport.id === id) transport.receive(at);
    }
    return false;
  }

  /**
   * A Buffer of bytes that stand in the inbox.
   *
   * What comes behind them is copied with them: one memory for many small messages takes
   * less time than one for each. None of them keeps more than COPY bytes alive beside its
   * own, of which some may be those of other connections.
   */
  bytesAt(start, end) {
    if (end - start >= COPY)
      return Buffer.from(this.bytes.subarray(start, end));
    if (start < this._copyStart || end > this._copyEnd) {
      const most = Math.max(end, Math.min(start + COPY, this._filled));
      this._copy = this.bytes.buffer.slice(start, most);
      this._copyStart = start;
      this._copyEnd = most;
      // Who transfers the memory of one message must not take that of others.
      if (most > end) markAsUntransferable(this._copy);
    }
    return Buffer.from(this._copy, start - this._copyStart, end - start);
  }

  /** Has the row that is being delivered delivered again. */
  repeat() {
    this._cursor--;
  }
}

/** Copies bytes; their number. */
function put(bytes, target, at) {
  target.set(bytes, at);
  return bytes.length;
}

function flush(engine) {
  engine._scheduled = false;
  engine.flush();
}

/** How long to wait before another engine is tried, in milliseconds. */
const RETRY_AFTER = 1000;

const { hrtime } = process;

const state = once('engine', () => ({
  engine: null,
  isMissing: native.Engine === undefined,
  /** When the last attempt failed, as hrtime tells; null without one. */
  failedAt: null,
}));

/** The engine, or null where there can be none, or none now. */
function theEngine() {
  if (state.engine === null && !state.isMissing && !hasJustFailed()) start();
  return state.engine;
}

function start() {
  const threads = Number(process.env.OXWS_THREADS) || 1;
  const preferred = process.platform === 'linux' ? 'inline' : 'thread';
  try {
    state.engine = new Engine(process.env.OXWS_HOST || preferred, threads);
  } catch (error) {
    // Without descriptors, threads or memory now: later there may be some.
    if (error.code === 'Cancelled') state.failedAt = hrtime();
    else state.isMissing = true;
  }
}

function hasJustFailed() {
  if (state.failedAt === null) return false;
  const [seconds, nanoseconds] = hrtime(state.failedAt);
  return seconds * 1e3 + nanoseconds / 1e6 < RETRY_AFTER;
}

/** The engine, if it was needed already. */
function startedEngine() {
  return state.engine;
}

module.exports = { startedEngine, theEngine };
