'use strict';

const PerMessageDeflate = require('./PerMessageDeflate');
const { handedOver } = require('./externalMemory');
const native = require('./native');

// What `Decoder#next` finds; those of frames are their opcodes.
const NOTHING = 0;
const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;
const ERROR = 16;

// The row that `Decoder#next` fills, and its columns.
const rowBytes = Buffer.alloc(24);
const row = new Uint32Array(rowBytes.buffer, rowBytes.byteOffset, 6);
const NEXT = 0;
const START = 1;
const END = 2;
const OWNED = 3;
const MASKED = 4;
const CODE = 5;

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

  /** Whether chunks wait for `resume`. */
  get holds() {
    return this._chunks.length > 0;
  }

  /** Reads what waits. A handler may call this receiver's methods. */
  _read() {
    if (this._reading) return;
    this._reading = true;
    let thrown = true;
    try {
      while (this._chunks.length > 0 && !this._paused) this._readChunk();
      thrown = false;
    } finally {
      this._reading = false;
      // An error of a handler is the user's; what came behind it is not lost.
      if (thrown && !this.dead) process.nextTick(() => this._read());
    }
    if (!this.dead && !this.holds) this.ondrain();
  }

  _readChunk() {
    const chunk = this._chunks[0];
    let at = 0;
    try {
      while (at < chunk.length && !this._paused) {
        const kind = this._decoder.next(chunk, at, rowBytes);
        this.unread -= row[NEXT] - at;
        at = row[NEXT];
        if (kind === NOTHING) return;
        this._handle(kind, chunk);
        if (this.dead) return;
      }
    } finally {
      if (at >= chunk.length || this.dead) this._chunks.shift();
      else this._chunks[0] = chunk.subarray(at);
    }
  }

  _handle(kind, chunk) {
    const masked = row[MASKED] === 1;
    switch (kind) {
      case TEXT:
        this.ontext(
          row[OWNED]
            ? handedOver(this._decoder.takeText())
            : chunk.utf8Slice(row[START], row[END]),
          { masked, binary: false },
        );
        break;
      case BINARY:
        this.onbinary(this._bytes(chunk), { masked, binary: true });
        break;
      case PING:
        this.onping(this._bytes(chunk), { masked, binary: true });
        break;
      case PONG:
        this.onpong(this._bytes(chunk), { masked, binary: true });
        break;
      case CLOSE: {
        // A close frame without a code reads as a normal closure.
        const code = row[CODE] || 1000;
        this.onclose(code, this._bytes(chunk).toString(), { masked });
        this.cleanup();
        break;
      }
      case ERROR: {
        const {
          message,
          closeCode,
          class: name,
          name: code,
        } = this._decoder.violation();
        const Class = name === 'RangeError' ? RangeError : Error;
        this.error(Object.assign(new Class(message), { code }), closeCode);
      }
    }
  }

  /** The payload of the current row. A small one does not keep its chunk alive. */
  _bytes(chunk) {
    if (row[OWNED]) return handedOver(this._decoder.takeBuffer());
    const bytes = chunk.subarray(row[START], row[END]);
    return 2 * bytes.length < chunk.length ? Buffer.from(bytes) : bytes;
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
