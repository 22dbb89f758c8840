'use strict';

const Gate = require('./Gate');
const Queue = require('../Queue');
const { nextTick, setImmediate } = require('../environment');
const { handedOver } = require('../externalMemory');
const { TOO_BIG, TOO_LONG, limitsFor, toLimit } = require('./limits');
const native = require('../native');
const { EMPTY, endsIn } = require('./payload');
const { INTERNAL, failure, violation } = require('./violations');

const { event, kind, state } = native;
const { BINARY, CLOSE, LARGE, NUMBER, TEXT, VIOLATION } = kind;

// Where in the row of an event each number is, as constants: they are read for each.
const {
  KIND: AT_KIND,
  START: AT_START,
  END: AT_END,
  WIRE: AT_WIRE,
  EXTRA: AT_EXTRA,
  WIDTH,
} = event;

/** The events that a table has room for; they stand behind its first row. */
const EVENTS = 256;

/** A table for each reader that reads: the handler of one may feed another. */
const tables = [];
let depth = 0;

/** The close code where decoding fails through no fault of the other end. */
const INTERNAL_ERROR = 1011;

/** Turns what a connection receives into events. */
class FrameReader {
  /**
   * @param {Object} options
   * @param {Object} options.limits see `limitsFor`
   * @param {Object} [options.deflate] where permessage-deflate is agreed on: `native`
   * @param {Boolean} options.textsAreStrings what a text arrives as: a string, or its
   *   bytes
   * @param {Boolean} [options.isStepwise] see Gate
   * @param {Boolean} [options.endsEndPauses] see Gate
   * @param {AsyncResource} options.context what handlers are called in that had to wait
   * @param {Object} handler what is called: `tell(what, data, wire, extra)` for each
   *   event, with its kind and flags (`native.kind`), its payload, the bytes on the wire
   *   that it took, and the code of a close frame, or that to close with; `dropped(wire)`
   *   for one that is not told; `wantsEnds()`, whether it is told where fragments end; and `drained()` when nothing waits to be read any more
   */
  constructor({ limits, deflate, ...options }, handler) {
    this._handler = handler;
    this._textsAreStrings = options.textsAreStrings;
    this._endsEndPauses = options.endsEndPauses;
    this._limit = toLimit(limits.maxPayload);
    this._validates = limits.validates !== false;
    this._decoder = new native.Decoder(
      limitsFor(limits),
      deflate ? deflate.native : null,
    );
    this._announced = 0;

    /** Whether nothing more is read: after a close frame, an error or `cleanup`. */
    this.isDead = false;

    /** The chunk that is being read, and how far it is; and those behind it. */
    this._chunk = null;
    this._from = 0;
    this._chunks = new Queue();
    /** Whether a heavy message is being decoded on another thread. */
    this._isElsewhere = false;
    this._isReading = false;
    /** What to tell behind all chunks, once promises of their handlers are settled. */
    this._lasts = new Queue();
    this._isSettling = false;
    this._gate = new Gate(new Events(this), options.context, options);
    /** The bytes that wait to be decoded. */
    this.unread = 0;
  }

  /** The longest message in bytes; 0 for no limit. */
  get maxPayload() {
    return this._limit;
  }

  set maxPayload(bytes) {
    this._limit = toLimit(bytes);
    this._configure();
  }

  /** Whether texts have to be UTF-8, from the next message on. */
  get validates() {
    return this._validates;
  }

  set validates(validates) {
    this._validates = validates;
    this._configure();
  }

  /** Tells the decoder what it has to keep to; one that is elsewhere is told later. */
  _configure() {
    if (this._isElsewhere) return;
    this._decoder.setMaxPayload(this._limit);
    this._decoder.setValidates(this._validates);
  }

  /** The bytes of the message under way, as its frames have announced them. */
  get announcedLength() {
    if (!this._isElsewhere) this._announced = this._decoder.announcedLength;
    return this._announced;
  }

  /** How much of the payload of the frame under way is read, in bytes. */
  get partialLength() {
    return this._decoder.partialLength;
  }

  /** Takes the next chunk of bytes; payloads are unmasked within it. */
  add(chunk) {
    if (this.isDead) return;
    this.unread += chunk.length;
    this._chunks.push(chunk);
    this._read();
  }

  /** Whether chunks that are added wait for `resume`. */
  get isPaused() {
    return this._gate.isPaused;
  }

  /** Tells nothing more until `resume`; chunks added meanwhile wait. */
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

  /** Tells this kind of event behind all that was added: no more will be. */
  end(what) {
    if (this.isDead) {
      this._handler.tell(what, null, 0, 0);
      return;
    }
    this._lasts.push(what);
    if (this._endsEndPauses) this._gate.resume();
    this._read();
  }

  /** Tells it in the same way, or at once if it is paused, and drops what waits. */
  fail(what) {
    if (this.isPaused && !this._endsEndPauses) this.cleanup();
    this.end(what);
  }

  /** Reads what waits. A handler may call this reader's methods. */
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
    if (this._gate.isClear) this._handler.drained();
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
    while (this._lasts.length > 0) {
      // What waits may end all, and would take this with it.
      if (this._isSettling || this._gate.holds) return;
      this._gate.end(this._lasts.shift(), null, 0, 0);
    }
  }

  /** Whether all that was added is read. */
  get _isRead() {
    const waits = this._chunk !== null || this._chunks.length > 0;
    return !this.isDead && !this._isElsewhere && !waits;
  }

  /** Whether there is a chunk that may be read now. */
  _mayRead() {
    if (this.isDead || this._isElsewhere || !this._gate.isClear) return false;
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
      this._lose(error);
      return;
    }
    const reached = rows[state.POSITION];
    const isHeavy = rows[state.HEAVY] === 1;
    let at = 0;
    // Where this goes on, whatever a handler does.
    this.unread -= reached - this._from;
    this._from = reached;
    if (reached === chunk.length) this._chunk = null;
    depth++;
    try {
      while (at < count * WIDTH && !this.isDead) {
        at += WIDTH;
        this._take(chunk, rows, at);
      }
    } finally {
      depth--;
      while (at < count * WIDTH && !this.isDead) {
        at += WIDTH;
        this._gate.shut();
        this._take(chunk, rows, at);
      }
      if (isHeavy && !this.isDead) {
        this._decodeElsewhere(chunk.subarray(reached));
      }
    }
  }

  /** Tells the event at this position of the table, or holds it back. */
  _take(chunk, rows, at) {
    let what = rows[at + AT_KIND];
    const wire = rows[at + AT_WIRE];
    let extra = rows[at + AT_EXTRA];
    let data;
    try {
      data = this._data(chunk, rows, at);
      if (extra > 0 && (what & NUMBER) <= BINARY) extra = this._ends(extra);
    } catch (error) {
      // There is no memory for it, say: no reason to end the process.
      what = VIOLATION;
      data = failure(TOO_LONG, error);
      extra = TOO_BIG;
    }
    if (this._gate.isShut) this._gate.hold(what, data, wire, extra);
    else this._tell(what, data, wire, extra);
  }

  /** Where the fragments of a message end, if that is wanted; or 0. */
  _ends(extra) {
    if (!this._handler.wantsEnds()) return 0;
    return endsIn(this._decoder.takeBuffer(extra - 1));
  }

  /** Has a heavy message, of which this is the next piece, decoded on another thread. */
  _decodeElsewhere(piece) {
    this._announced = this._decoder.announcedLength;
    this._isElsewhere = true;
    this._chunk = null;
    this.unread -= piece.length;
    const come = (callback) => (value) => nextTick(() => callback(value));
    this._decoder.decodeHeavy(piece).then(
      come((decoded) => this._comeBack(decoded)),
      come((error) => this._lose(error)),
    );
  }

  /** Takes what was decoded on another thread. */
  _comeBack(decoded) {
    this._isElsewhere = false;
    if (this.isDead) {
      decoded.close();
      return;
    }
    const rest = decoded.takeRest();
    const table = makeTable();
    let count = EVENTS;
    while (count === EVENTS) {
      count = this._decoder.restore(decoded, table.bytes);
      for (let i = 1; i <= count; i++) {
        this._gate.shut();
        this._take(null, table.rows, i * WIDTH);
      }
    }
    this._configure();
    if (rest.length > 0) {
      this._chunk = rest;
      this._from = 0;
      this.unread += rest.length;
    }
    this._read();
  }

  /** The payload of the event at this position of the table. */
  _data(chunk, rows, at) {
    const what = rows[at + AT_KIND];
    const start = rows[at + AT_START];
    const end = rows[at + AT_END];
    const number = what & NUMBER;
    const isOwned = (what & LARGE) !== 0;
    if (number === VIOLATION) return violation(start, end);
    if (number === TEXT && this._textsAreStrings) {
      return isOwned
        ? handedOver(this._decoder.takeText(start))
        : chunk.utf8Slice(start, end);
    }
    if (isOwned) {
      const bytes = this._decoder.takeBuffer(start);
      return bytes.length === 0 ? EMPTY : handedOver(bytes);
    }
    if (start === end) return EMPTY;
    // A small payload does not keep its chunk alive.
    const bytes = chunk.subarray(start, end);
    return 2 * bytes.length < chunk.length ? Buffer.from(bytes) : bytes;
  }

  _tell(what, data, wire, extra) {
    const number = what & NUMBER;
    if (number !== CLOSE && number !== VIOLATION) {
      this._handler.tell(what, data, wire, extra);
      return;
    }
    try {
      this._handler.tell(what, data, wire, extra);
    } finally {
      this.cleanup();
    }
  }

  /** The decoder is lost, and with it all that follows. */
  _lose(error) {
    if (this.isDead) return;
    this._isElsewhere = false;
    this._tell(VIOLATION, failure(INTERNAL, error), 0, INTERNAL_ERROR);
  }

  /** Frees what is held, and discards what is still to come. */
  cleanup() {
    if (this.isDead) return;
    this.isDead = true;
    this._handler.drained();
    // The thread that decodes has it otherwise.
    if (!this._isElsewhere) this._decoder.close();
    this._chunk = null;
    this._chunks.clear();
    this._gate.clear();
    this.unread = 0;
    for (const last of this._lasts.clear()) {
      setImmediate(() => this._handler.tell(last, null, 0, 0));
    }
  }
}

/** What a reader's gate has to know. */
class Events {
  constructor(reader) {
    this._reader = reader;
  }

  tell(...event) {
    this._reader._tell(...event);
  }

  dropped(what, data, wire) {
    this._reader._handler.dropped(wire);
  }

  isLast(what) {
    const number = what & NUMBER;
    return number === CLOSE || number >= VIOLATION;
  }

  goOn() {
    this._reader._goOn();
  }
}

/** Memory for events, as both sides see it. */
function makeTable() {
  const rows = new Uint32Array((1 + EVENTS) * WIDTH);
  return { rows, bytes: Buffer.from(rows.buffer) };
}

module.exports = FrameReader;
