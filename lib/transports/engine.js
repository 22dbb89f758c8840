'use strict';

// The engine of this environment, seen from JavaScript: the memory that events and
// messages are exchanged in, and the table of its connections. There is no call per
// message in either direction: events come in one call for all that is there, and
// messages go in one call at the end of the tick, or of that call.

const { nobodys } = require('../context');
const { atExit, nextTick, once } = require('../environment');
const { SKIP } = require('../flags');
const native = require('../native');
const { CLOSE, ERROR, KIND, PONG, SENT } = require('./kinds');

// The inbox's rows, as the engine has them.
const IN_ROW = 6;
const IN_ROWS = 8192;
const IN_BYTES = 1 << 20;

// The outbox's rows: connection, flags, start and end of the payload.
const OUT_ROW = 4;
const OUT_ROWS = 8192;
const OUT_BYTES = 1 << 20;

/** A connection's number has its place in the table in these low bits. */
const PLACE_BITS = 20;
const PLACE_MASK = (1 << PLACE_BITS) - 1;
const TURNS = 1 << (32 - PLACE_BITS);

/** A string takes at most this many bytes for each of its units, as UTF-8. */
const MAX_BYTES_PER_UNIT = 3;

/** Calls `transport.receive(row)` for each event. */
class Engine {
  constructor(host, threads) {
    this.rows = new Uint32Array(IN_ROW * IN_ROWS);
    this.bytes = Buffer.from(new ArrayBuffer(IN_BYTES));
    this._outRows = new Uint32Array(OUT_ROW * OUT_ROWS);
    this._outBytes = Buffer.from(new ArrayBuffer(OUT_BYTES));
    this._outCount = 0;
    this._outUsed = 0;
    /** The last text in the outbox, and where it stands. */
    this._lastText = null;
    this._lastStart = 0;
    this._lastEnd = 0;
    /** Counts the flushes: what was posted before the last is the engine's to count. */
    this.flushes = 0;
    /** The batch that is in the inbox, and its next row. */
    this._batch = -1;
    this._cursor = 0;
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
          (count, batch) => this._dispatch(count, batch),
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
    if (text === this._lastText && this._outCount < OUT_ROWS) {
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

  _makeRoom(length) {
    if (this._outUsed + length > OUT_BYTES || this._outCount === OUT_ROWS) {
      this.flush();
    }
  }

  _post(id, flags, start, end) {
    const rows = this._outRows;
    const at = this._outCount * OUT_ROW;
    rows[at] = id;
    rows[at + 1] = flags;
    rows[at + 2] = start;
    rows[at + 3] = end;
    this._outCount++;
    if (!this._dispatching && !this._scheduled) {
      this._scheduled = true;
      nextTick(flush, this);
    }
  }

  /**
   * Takes back the messages of a connection that are still here, from the first for
   * which `matches(flags, length)` holds.
   */
  takeBack(id, matches) {
    const rows = this._outRows;
    let found = false;
    for (let at = 0; at < this._outCount * OUT_ROW; at += OUT_ROW) {
      if (rows[at] !== id) continue;
      found = found || matches(rows[at + 1], rows[at + 3] - rows[at + 2]);
      if (found) rows[at + 1] |= SKIP;
    }
  }

  /** Hands over what is in the outbox. */
  flush() {
    const count = this._outCount;
    if (count === 0) return;
    this._outCount = 0;
    this._outUsed = 0;
    this._lastText = null;
    this.flushes++;
    this.native.flush(count);
  }

  /**
   * Called by the engine with the number of rows in the inbox, and that of the batch.
   * If a listener throws, or what it leaves for the end of the tick, the engine calls
   * again for the rest; also if this returns true.
   */
  _dispatch(count, batch) {
    if (this._batch !== batch) {
      this._batch = batch;
      this._cursor = 0;
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
      const at = this._cursor * IN_ROW;
      const kind = rows[at + 1] & KIND;
      // Kinds up to PONG are what the other end sends for the program, and those up to
      // ERROR end the connection. Ticks and promises that listeners leave come before
      // what ends a connection, and those of callbacks before what the other end of
      // theirs may have been sent.
      if (kind === SENT) hasCalled = true;
      else if (hasCalled) return true;
      else if (kind <= PONG && kind !== CLOSE) hasTold = true;
      else if (kind <= ERROR && hasTold) return true;
      this._cursor++;
      const id = rows[at];
      const transport = transports[id & PLACE_MASK];
      if (transport !== undefined && transport.id === id) transport.receive(at);
    }
    return false;
  }

  /** Has the row that is being delivered delivered again. */
  repeat() {
    this._cursor--;
  }
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
