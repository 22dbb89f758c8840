'use strict';

// The JavaScript side of the engine of this environment: the shared memory through
// which events and messages are exchanged, and the table of the connections. There is
// no native call per message: all available events arrive in one call (a dispatch), and
// all messages are handed over in one call (a flush) at the end of the tick or of the
// dispatch.
//
// The inbox holds events, the outbox holds messages. Each consists of rows of numbers and
// of bytes, the payloads, to which the rows refer.

const { markAsUntransferable } = require('worker_threads');

const Queue = require('../Queue');
const { nobodys } = require('../context');
const { atExit, callLast, nextTick, once } = require('../environment');
const { handedOver } = require('../externalMemory');
const native = require('../native');

const { PLACE_BITS, event, flag, kind, message } = native;
const { CLOSE, ERROR, NUMBER, PONG, SENT, UPGRADE } = kind;
const { PREPARED, SKIP } = flag;

// The offsets of the fields in a row. They are local constants because they are used for
// every event and every message.
const { ID: EVENT_ID, KIND: EVENT_KIND, WIDTH: EVENT_WIDTH } = event;
const {
  ID: MESSAGE_ID,
  FLAGS: MESSAGE_FLAGS,
  START: MESSAGE_START,
  END: MESSAGE_END,
  WIDTH: MESSAGE_WIDTH,
} = message;

/** The maximum number of bytes of the inbox that are copied together. */
const COPY = 16 * 1024;

/** The number of rows of the inbox and of the outbox. */
const ROWS = 8192;

/** The number of payload bytes of the inbox and of the outbox. */
const BYTES = 1 << 20;

/**
 * A connection's number has its place in the table in the low bits, and in the high bits
 * how often that place was used before (its turn).
 */
const PLACE_MASK = (1 << PLACE_BITS) - 1;
const TURNS = 1 << (32 - PLACE_BITS);

/** The maximum number of UTF-8 bytes for one UTF-16 code unit of a string. */
const MAX_BYTES_PER_UNIT = 3;

/** Calls `transport.receive(at)` for each event. */
class Engine {
  constructor(host, threads) {
    this.rows = new Uint32Array(EVENT_WIDTH * ROWS);
    this.bytes = Buffer.from(new ArrayBuffer(BYTES));
    this._outRows = new Uint32Array(MESSAGE_WIDTH * ROWS);
    this._outBytes = Buffer.from(new ArrayBuffer(BYTES));
    this._outCount = 0;
    this._outUsed = 0;
    /** The last text in the outbox, and its position there. */
    this._lastText = null;
    this._lastStart = 0;
    this._lastEnd = 0;
    /** The last bytes in the outbox that were posted as such, and their position there. */
    this._lastBytes = null;
    this._lastBytesStart = 0;
    this._lastBytesEnd = 0;
    /** The last list in the outbox, its pieces at that time, and its position there. */
    this._lastList = null;
    this._lastPieces = [];
    this._lastListStart = 0;
    this._lastListEnd = 0;
    /** The prepared messages in the outbox. Rows have the index of theirs. */
    this._prepared = [];
    /**
     * The long text that was received last, during the dispatch. The engine has its bytes
     * then, and need not encode it to send it.
     */
    this.lastText = null;
    /** The transports whose sockets are adopted at the next flush. */
    this._opening = new Queue();
    /** The number of flushes. The engine itself counts the bytes of flushed messages. */
    this.flushes = 0;
    /**
     * The number of the batch in the inbox, its next row, and the length of its bytes.
     */
    this.batch = -1;
    this._cursor = 0;
    this._filled = 0;
    /** A copy of the inbox's bytes from `_copyStart` to `_copyEnd`. */
    this._copyStart = 0;
    this._copyEnd = 0;
    this._copy = null;
    this._dispatching = false;
    this._scheduled = false;

    /** The transports and the turns of all places, and the places that are free. */
    this._transports = [];
    this._turns = [];
    this._free = [];
    /** The number of connections and listeners that keep the process alive. */
    this._alive = 0;

    this.native = nobodys.runInAsyncScope(
      () =>
        new native.Engine(
          host,
          threads,
          (count, batch, filled) => this._dispatch(count, batch, filled),
          nobodys.resource,
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

  /** Where the engine runs: `'inline'` or `'thread'`. */
  get host() {
    return this.native.host;
  }

  /** Returns the transports of all connections, and the listeners. */
  entries() {
    return this._transports.filter((entry) => entry !== undefined);
  }

  /** Adds a connection or a listener. Returns its number. */
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

  /** Removes a connection or a listener. Its number is not used again soon. */
  close(id) {
    const place = id & PLACE_MASK;
    this._transports[place] = undefined;
    this._turns[place] = (this._turns[place] + 1) % TURNS;
    this._free.push(place);
  }

  /** Changes the number of those that keep the process alive by 1 or -1. */
  keepAlive(change) {
    const was = this._alive > 0;
    this._alive += change;
    if (was !== this._alive > 0) this.native.keepAlive(!was);
  }

  /**
   * Adds a text to the outbox. Returns its length in bytes. The caller sends a text that
   * may not fit into an empty outbox another way.
   */
  postText(id, flags, text) {
    // A text that is sent to many connections in a row is encoded only once.
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

  /** As `postText`, for bytes. */
  postBytes(id, flags, bytes) {
    if (!this._isLastBytes(bytes)) {
      this._makeRoom(bytes.length);
      this._lastBytes = bytes;
      this._lastBytesStart = this._outUsed;
      this._outBytes.set(bytes, this._outUsed);
      this._outUsed += bytes.length;
      this._lastBytesEnd = this._outUsed;
    }
    this._post(id, flags, this._lastBytesStart, this._lastBytesEnd);
    return bytes.length;
  }

  /** Whether these bytes, with their present content, are the last bytes in the outbox. */
  _isLastBytes(bytes) {
    if (bytes !== this._lastBytes || this._outCount === ROWS) return false;
    const { _lastBytesStart: start, _lastBytesEnd: end, _outBytes: out } = this;
    const { length } = bytes;
    return (
      length === end - start && out.compare(bytes, 0, length, start, end) === 0
    );
  }

  /**
   * Adds a frame to the outbox that is given as a list of strings and Buffers. Returns
   * its length in bytes. A list that is sent to many connections in a row is copied
   * only once.
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

  /** Whether this list, with its present content, is the last list in the outbox. */
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

  /** Adds a prepared message to the outbox. Returns its length in bytes. */
  postPrepared(id, flags, message) {
    this._makeRoom(0);
    const { _prepared: prepared } = this;
    let number = prepared.length - 1;
    if (prepared[number] !== message) {
      number = this.native.postPrepared(message._native);
      prepared.push(message);
    }
    const { length } = message;
    this._post(id, flags | PREPARED, number, number + length);
    return length;
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

  /** Flushes at the end of the tick, or at the end of the current dispatch. */
  _flushSoon() {
    if (this._dispatching || this._scheduled) return;
    this._scheduled = true;
    nextTick(flush, this);
  }

  /** Calls `transport.adopt()` at the next flush. */
  adoptSoon(transport) {
    this._opening.push(transport);
    this._flushSoon();
  }

  /**
   * Removes the messages of a connection from the outbox, from the first one for which
   * `matches(flags, length)` returns true.
   */
  takeBack(id, matches) {
    let found = false;
    this._forEachOf(id, (flags, start, end) => {
      found = found || matches(flags, end - start);
      return found;
    });
  }

  /** Removes all messages of a connection from the outbox, and returns them. */
  takeOut(id) {
    const found = [];
    this._forEachOf(id, (flags, start, end) => {
      const bytes =
        flags & PREPARED
          ? this._prepared[start].data
          : Buffer.from(this._outBytes.subarray(start, end));
      found.push({ flags: flags & ~PREPARED, bytes });
      return true;
    });
    return found;
  }

  /** Removes each message of a connection for which `isTaken` returns true. */
  _forEachOf(id, isTaken) {
    const rows = this._outRows;
    const end = this._outCount * MESSAGE_WIDTH;
    for (let at = 0; at < end; at += MESSAGE_WIDTH) {
      const flags = rows[at + MESSAGE_FLAGS];
      if (rows[at + MESSAGE_ID] !== id || flags & SKIP) continue;
      if (isTaken(flags, rows[at + MESSAGE_START], rows[at + MESSAGE_END])) {
        rows[at + MESSAGE_FLAGS] |= SKIP;
      }
    }
  }

  /** Adopts the sockets that wait for it, and hands the outbox to the engine. */
  flush() {
    while (this._opening.length > 0) {
      const transport = this._opening.shift();
      // A listener of the socket may throw: the others are still adopted.
      callLast(() => transport.adopt());
    }
    const count = this._outCount;
    if (count === 0) return;
    this._outCount = 0;
    this._outUsed = 0;
    this._lastText = null;
    this._lastBytes = null;
    this._lastList = null;
    if (this._prepared.length > 0) this._prepared = [];
    this.flushes++;
    this.native.flush(count);
  }

  /**
   * Called by the engine to deliver the events in the inbox. The engine calls it again
   * for the remaining rows of the batch if it returns true, or if a listener, or a
   * callback that runs at the end of the tick, throws.
   *
   * @param {Number} count the number of rows in the inbox
   * @param {Number} batch the number of the batch
   * @param {Number} filled the number of payload bytes in the inbox
   * @returns {Boolean} whether rows are left
   */
  _dispatch(count, batch, filled) {
    if (this.batch !== batch) {
      this.batch = batch;
      this._cursor = 0;
      this._filled = filled;
      this._copyEnd = 0;
    }
    this._dispatching = true;
    try {
      return this._deliver(count);
    } finally {
      this._dispatching = false;
      if (nobodys.isEntered) nobodys.leave();
      if (this.lastText !== null) {
        this.lastText = null;
        this.native.forgetLastText();
      }
      // Flush before the ticks and promises of the listeners run, which may send more.
      this.flush();
    }
  }

  /** Delivers events. Returns whether some are left. */
  _deliver(count) {
    const { rows, _transports: transports } = this;
    let hasTold = false;
    let hasCalled = false;
    while (this._cursor < count) {
      const at = this._cursor * EVENT_WIDTH;
      const number = rows[at + EVENT_KIND] & NUMBER;
      // Kinds up to PONG except CLOSE are data for the program. CLOSE and the kinds above
      // PONG up to ERROR end a connection. After data, return before an event that ends a
      // connection, and after SENT, return before any other event: the engine then runs
      // the ticks and promises of the listeners and callbacks, and calls again.
      if (number === SENT) hasCalled = true;
      else if (hasCalled) return true;
      else if (number <= PONG && number !== CLOSE) hasTold = true;
      else if (number <= ERROR && hasTold) return true;
      else if (number >= UPGRADE) {
        // Each new connection has a call of its own, as in Node.
        if (hasTold) return true;
        hasTold = true;
      }
      this._cursor++;
      const id = rows[at + EVENT_ID];
      const transport = transports[id & PLACE_MASK];
      if (transport === undefined || transport.id !== id) continue;
      transport.receive(at);
      // The store is the connection's from now on, and not that of the next one.
      if (nobodys.isEntered) transport.enter(nobodys.handOver());
    }
    return false;
  }

  /** Returns the long text of the inbox with this number. */
  takeText(number, isAscii) {
    this.lastText = handedOver(this.native.takeText(number, isAscii));
    return this.lastText;
  }

  /**
   * Returns a Buffer with a copy of the inbox's bytes from `start` to `end`.
   *
   * The bytes that follow are copied together with these, and later Buffers are views of
   * the same copy: one allocation for many small messages is faster than one for each. A
   * Buffer keeps at most COPY bytes alive beside its own. These may be data of other
   * connections.
   */
  bytesAt(start, end) {
    if (end - start >= COPY)
      return Buffer.from(this.bytes.subarray(start, end));
    if (start < this._copyStart || end > this._copyEnd) {
      const most = Math.max(end, Math.min(start + COPY, this._filled));
      this._copy = this.bytes.buffer.slice(start, most);
      this._copyStart = start;
      this._copyEnd = most;
      // Transferring the ArrayBuffer of one message would detach those of others.
      if (most > end) markAsUntransferable(this._copy);
    }
    return Buffer.from(this._copy, start - this._copyStart, end - start);
  }

  /** Has the current row delivered again by the next dispatch. */
  repeat() {
    this._cursor--;
  }
}

/** Copies bytes into `target`. Returns their number. */
function put(bytes, target, at) {
  target.set(bytes, at);
  return bytes.length;
}

function flush(engine) {
  engine._scheduled = false;
  engine.flush();
}

/** The values of `OXWS_HOST`. */
const HOSTS = ['inline', 'thread'];

/** The minimum time between two attempts to start the engine, in milliseconds. */
const RETRY_AFTER = 1000;

const { hrtime } = process;

const state = once('engine', () => ({
  engine: null,
  isMissing: native.Engine === undefined,
  /** The `process.hrtime()` of the last failed attempt, or null. */
  failedAt: null,
}));

/**
 * Returns the engine, starting it if needed; null if it cannot be started now or ever.
 */
function theEngine() {
  if (state.engine === null && !state.isMissing && !hasJustFailed()) start();
  return state.engine;
}

function start() {
  const threads = Number(process.env.OXWS_THREADS) || 1;
  try {
    state.engine = new Engine(wantedHost(), threads);
  } catch (error) {
    // No descriptors, threads or memory are left now. A later attempt may succeed.
    if (error.code === 'Cancelled') state.failedAt = hrtime();
    else state.isMissing = true;
  }
}

function wantedHost() {
  const preferred = process.platform === 'linux' ? 'inline' : 'thread';
  const host = process.env.OXWS_HOST || preferred;
  if (HOSTS.includes(host)) return host;
  process.emitWarning(
    `OXWS_HOST is '${host}', which is none of ${HOSTS.join(', ')}`,
  );
  return preferred;
}

function hasJustFailed() {
  if (state.failedAt === null) return false;
  const [seconds, nanoseconds] = hrtime(state.failedAt);
  return seconds * 1e3 + nanoseconds / 1e6 < RETRY_AFTER;
}

/** Returns the engine if it was started, otherwise null. */
function startedEngine() {
  return state.engine;
}

module.exports = { startedEngine, theEngine };
