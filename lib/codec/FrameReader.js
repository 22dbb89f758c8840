'use strict';

const Gate = require('./Gate');
const Queue = require('../Queue');
const { nextTick, setImmediate } = require('../environment');
const { handedOver } = require('../externalMemory');
const { TOO_BIG, TOO_LONG, limitsFor, toLimit } = require('./limits');
const native = require('../native');
const { EMPTY, endsIn } = require('./payload');
const { MAX_SHORT, decodeShort } = require('./short');
const { INTERNAL, failure, violation } = require('./violations');

const { event, flag, kind, state } = native;
const { ASCII, BINARY, CLOSE, LARGE, MASKED } = kind;
const { NUMBER, TEXT, VIOLATION } = kind;

// The offsets of the fields in an event's row. They are local constants because they
// are read for every event.
const {
  KIND: AT_KIND,
  START: AT_START,
  END: AT_END,
  WIRE: AT_WIRE,
  EXTRA: AT_EXTRA,
  WIDTH,
} = event;

/**
 * The maximum length, in bytes, of a chunk whose short frames are decoded in JavaScript. One
 * native call decodes all messages of a longer chunk.
 */
const SHORT_CHUNK = 512;

/** The number of events that a table holds. They follow its first row, the state. */
const EVENTS = 256;

/**
 * The tables of the readers that are reading now, by depth of nesting: the handler of
 * one reader may call `add` of another.
 */
const tables = [];
let depth = 0;

/** The close code for failures that the other end did not cause (RFC 6455, 7.4.1). */
const INTERNAL_ERROR = 1011;

/** Decodes the bytes that a connection receives into events. */
class FrameReader {
  /**
   * @param {Object} options
   * @param {Object} options.limits see `limitsFor`
   * @param {Object} [options.deflate] present if permessage-deflate was negotiated: its
   *   `native` is passed to the decoder
   * @param {Boolean} options.textsAreStrings whether text messages are delivered as
   *   strings; as Buffers otherwise
   * @param {Boolean} [options.isStepwise] see Gate
   * @param {Boolean} [options.endsEndPauses] see Gate
   * @param {AsyncResource} options.context the context in which queued events are
   *   delivered
   * @param {Object} handler receives these calls
   * @param {Function} handler.tell `(what, data, wire, extra)`, called for each event
   *   with its kind and flags (`native.kind`); its payload, or the violation; the
   *   number of its bytes on the wire; and, depending on the kind, the code of a close
   *   frame (0 for none), the code to close with after a violation, or the ends of a
   *   message's fragments
   * @param {Function} handler.dropped `(wire)`, called for each event that is dropped
   * @param {Function} handler.wantsEnds returns whether `tell` needs the ends of
   *   fragments
   * @param {Function} handler.drained called when all added bytes have been read
   */
  constructor({ limits, deflate, ...options }, handler) {
    this._handler = handler;
    this._textsAreStrings = options.textsAreStrings;
    this._endsEndPauses = options.endsEndPauses;
    this._limit = toLimit(limits.maxPayload);
    this._validates = limits.validates !== false;
    this._masked = limits.masked;
    this._decoder = new native.Decoder(
      limitsFor(limits),
      deflate ? deflate.native : null,
    );
    this._announced = 0;

    /** Set after a close frame, a violation or `cleanup`: nothing more is read. */
    this.isDead = false;

    /**
     * The chunk that is being read, the offset reached in it, and the following chunks.
     */
    this._chunk = null;
    this._from = 0;
    this._chunks = new Queue();
    /** Set if the decoder is known to be between two messages. */
    this._isBetween = true;
    /** Set while a heavy message is decoded on another thread, which owns the decoder. */
    this._isElsewhere = false;
    this._isReading = false;
    /**
     * The kinds of the events to deliver after all chunks, once the promises of earlier
     * handlers are settled.
     */
    this._lasts = new Queue();
    this._isSettling = false;
    this._gate = new Gate(new Events(this), options.context, options);
    /** The number of added bytes that are not decoded yet. */
    this.unread = 0;
    /** The number of events decoded since the handler set it to 0. */
    this.events = 0;
  }

  /** The maximum length of a message in bytes; 0 for no limit. */
  get maxPayload() {
    return this._limit;
  }

  set maxPayload(bytes) {
    this._limit = toLimit(bytes);
    this._configure();
  }

  /** Whether text has to be valid UTF-8. A change applies from the next message on. */
  get validates() {
    return this._validates;
  }

  set validates(validates) {
    this._validates = validates;
    this._configure();
  }

  /**
   * Passes the limits to the decoder. While another thread owns it, this is left to
   * `_comeBack`.
   */
  _configure() {
    if (this._isElsewhere) return;
    this._decoder.setMaxPayload(this._limit);
    this._decoder.setValidates(this._validates);
  }

  /** The bytes on the wire of the current message, from the heads received so far. */
  get announcedLength() {
    if (!this._isElsewhere) this._announced = this._decoder.announcedLength;
    return this._announced;
  }

  /** The bytes read so far of the current frame's payload; 0 between frames. */
  get partialLength() {
    return this._decoder.partialLength;
  }

  /** Decodes the next chunk. Payloads are unmasked in place. */
  add(chunk) {
    if (this.isDead) return;
    this.unread += chunk.length;
    // When the decoder comes back, the rest of an earlier chunk may come first.
    const isFirst = this._chunk === null && this._chunks.length === 0;
    if (isFirst && !this._isElsewhere) {
      this._chunk = chunk;
      this._from = 0;
    } else {
      this._chunks.push(chunk);
    }
    this._read();
  }

  /** Whether the reader is paused. */
  get isPaused() {
    return this._gate.isPaused;
  }

  /** Delivers no events until `resume`. Chunks that are added meanwhile are queued. */
  pause() {
    this._gate.pause();
  }

  /** Continues after `pause`, on the next tick. */
  resume() {
    this._gate.resume();
  }

  /** If paused, ends the pause and drops all events but those that end the connection. */
  drop() {
    this._gate.drop();
  }

  /** Delivers an event of this kind after all added chunks. Nothing is added after it. */
  end(what) {
    if (this.isDead) {
      this._handler.tell(what, null, 0, 0);
      return;
    }
    this._lasts.push(what);
    if (this._endsEndPauses) this._gate.resume();
    this._read();
  }

  /** As `end`; but if paused, drops what is queued and delivers the event at once. */
  fail(what) {
    if (this.isPaused && !this._endsEndPauses) this.cleanup();
    this.end(what);
  }

  /** Reads the queued chunks. A handler may call any method of this reader meanwhile. */
  _read() {
    if (this._isReading) return;
    this._isReading = true;
    let isDone = false;
    try {
      while (this._mayRead()) this._readChunk();
      isDone = true;
    } finally {
      this._isReading = false;
      // A handler has thrown: deliver what follows on the next tick.
      if (!isDone) nextTick(() => this._read());
    }
    if (!this._isRead) return;
    if (this._gate.isClear) this._handler.drained();
    this._tellLast();
  }

  /**
   * Continues reading after queued events. Promises are settled before the last events.
   */
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
      // A queued event may call `cleanup`, which would discard an event pushed to the
      // gate.
      if (this._isSettling || this._gate.holds) return;
      this._gate.end(this._lasts.shift(), null, 0, 0);
    }
  }

  /** Whether all added bytes have been read. */
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

  /** Whether the rest of the current chunk may be decoded in JavaScript. */
  get _isShort() {
    const { _chunk: chunk, _limit: limit } = this;
    return (
      this._isBetween &&
      chunk.length - this._from <= SHORT_CHUNK &&
      (limit === 0 || limit >= MAX_SHORT)
    );
  }

  /** Delivers messages in short frames until there is another frame, or a pause. */
  _readShort() {
    const { _chunk: chunk, _gate: gate } = this;
    while (this._chunk === chunk && !gate.isShut) {
      const from = this._from;
      const end = decodeShort(chunk, from, this._masked);
      if (end === 0) return;
      const isMasked = chunk[from + 1] >= 0x80;
      const number = chunk[from] & flag.OPCODE;
      this.events++;
      this.unread -= end - from;
      this._from = end;
      if (end === chunk.length) this._chunk = null;
      const start = from + (isMasked ? 6 : 2);
      const data =
        number === TEXT && this._textsAreStrings
          ? chunk.latin1Slice(start, end)
          : bytesAt(chunk, start, end);
      const what = isMasked ? number | MASKED : number;
      this._handler.tell(what, data, end - from, 0);
    }
  }

  /** Decodes as much of the current chunk as fits into the table. */
  _readChunk() {
    const chunk = this._chunk;
    if (this._isShort) {
      this._readShort();
      if (this._chunk !== chunk) return;
    }
    const table = (tables[depth] = tables[depth] || makeTable());
    const { rows } = table;
    let count;
    try {
      count = this._decoder.decode(chunk, this._from, table.bytes);
    } catch (error) {
      // An internal error, after which the position in the chunk is unknown.
      this._lose(error);
      return;
    }
    const reached = rows[state.POSITION];
    const isHeavy = rows[state.HEAVY] === 1;
    this._isBetween = rows[state.BETWEEN] === 1;
    let at = 0;
    this.events += count;
    // Update the position before any handler is called, since a handler may throw.
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

  /** Delivers the event at offset `at` of the table, or queues it. */
  _take(chunk, rows, at) {
    let what = rows[at + AT_KIND];
    const wire = rows[at + AT_WIRE];
    let extra = rows[at + AT_EXTRA];
    let data;
    try {
      data = this._data(chunk, rows, at);
      if (extra > 0 && (what & NUMBER) <= BINARY) extra = this._ends(extra);
    } catch (error) {
      // For example, there is no memory for the payload: close only this connection.
      what = VIOLATION;
      data = failure(TOO_LONG, error);
      extra = TOO_BIG;
    }
    if (this._gate.isShut) this._gate.hold(what, data, wire, extra);
    else this._tell(what, data, wire, extra);
  }

  /**
   * Returns the ends of a message's fragments, or 0 if the handler does not need them.
   */
  _ends(extra) {
    if (!this._handler.wantsEnds()) return 0;
    return endsIn(this._decoder.takeBuffer(extra - 1));
  }

  /** Has a heavy message decoded on another thread, beginning with this piece of it. */
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

  /** Takes back the decoder and the result from the other thread. */
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

  /** Returns the payload, or the violation, of the event at offset `at` of the table. */
  _data(chunk, rows, at) {
    const what = rows[at + AT_KIND];
    const start = rows[at + AT_START];
    const end = rows[at + AT_END];
    const number = what & NUMBER;
    const isOwned = (what & LARGE) !== 0;
    if (number === VIOLATION) return violation(start, end);
    if (number === TEXT && this._textsAreStrings) {
      if (isOwned) return handedOver(this._decoder.takeText(start));
      return (what & ASCII) !== 0
        ? chunk.latin1Slice(start, end)
        : chunk.utf8Slice(start, end);
    }
    if (isOwned) {
      const bytes = this._decoder.takeBuffer(start);
      return bytes.length === 0 ? EMPTY : handedOver(bytes);
    }
    return bytesAt(chunk, start, end);
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

  /** Reports that the decoder has failed. Nothing can be decoded any more. */
  _lose(error) {
    if (this.isDead) return;
    this._isElsewhere = false;
    this._tell(VIOLATION, failure(INTERNAL, error), 0, INTERNAL_ERROR);
  }

  /** Frees the decoder and discards everything that is queued or added later. */
  cleanup() {
    if (this.isDead) return;
    this.isDead = true;
    this._handler.drained();
    // Otherwise the other thread owns the decoder, and `_comeBack` closes it.
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

/** Returns a payload of a chunk. */
function bytesAt(chunk, start, end) {
  if (start === end) return EMPTY;
  const bytes = chunk.subarray(start, end);
  // A small payload would keep the whole chunk alive. And a listener may transfer the
  // memory of its message, but not that of the events behind it.
  const isShared = end < chunk.length || 2 * bytes.length < chunk.length;
  return isShared ? Buffer.from(bytes) : bytes;
}

/** The source of a reader's gate. */
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

  endsPause(what) {
    return this.isLast(what);
  }

  goOn() {
    this._reader._goOn();
  }
}

/** Creates a table for events: `rows` is for JavaScript, `bytes` for the native side. */
function makeTable() {
  const rows = new Uint32Array((1 + EVENTS) * WIDTH);
  return { rows, bytes: Buffer.from(rows.buffer) };
}

module.exports = FrameReader;
