'use strict';

const PerMessageDeflate = require('./PerMessageDeflate');
const errorOf = require('./violations');
const FrameReader = require('../codec/FrameReader');
const { contextOfNow, nobodys } = require('../context');
const { kind } = require('../native');

const { BINARY, CLOSE, MASKED, NUMBER, PING, PONG, TEXT, VIOLATION } = kind;

const noop = () => {};

/** The property that is called for an event. */
const HANDLERS = {
  [TEXT]: 'ontext',
  [BINARY]: 'onbinary',
  [PING]: 'onping',
  [PONG]: 'onpong',
};

/** Turns the bytes of a connection into calls of its `on…` properties. */
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
    const extension = this.extensions[PerMessageDeflate.extensionName];
    this._reader = new FrameReader(
      {
        limits: Object.assign({ maxPayload }, limits),
        deflate: extension && extension.forCodec,
        textsAreStrings: true,
        context: contextOfNow() || nobodys,
      },
      {
        tell: (...event) => this._tell(...event),
        dropped: noop,
        wantsEnds: () => false,
        drained: noop,
      },
    );

    /** Whether nothing more is read: after a close frame, an error or `cleanup`. */
    this.dead = false;

    this.onbinary = noop;
    this.onclose = noop;
    this.onerror = noop;
    this.ontext = noop;
    this.onping = noop;
    this.onpong = noop;
  }

  /** The longest message in bytes; 0 for no limit. */
  get maxPayload() {
    return this._reader.maxPayload;
  }

  set maxPayload(bytes) {
    this._reader.maxPayload = bytes;
  }

  get _maxPayload() {
    return this.maxPayload;
  }

  set _maxPayload(bytes) {
    this.maxPayload = bytes;
  }

  /** The bytes of the message under way, as its frames have announced them. */
  get totalPayloadLength() {
    return this._reader.announcedLength;
  }

  /** Takes the next chunk of bytes; payloads are unmasked within it. */
  add(chunk) {
    this._reader.add(Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk));
  }

  _tell(what, data, wire, extra) {
    if (this.dead) return;
    const masked = (what & MASKED) !== 0;
    const number = what & NUMBER;
    switch (number) {
      case CLOSE:
        try {
          // A close frame without a code reads as a normal closure.
          this.onclose(extra || 1000, data.toString(), { masked });
        } finally {
          this.cleanup();
        }
        break;
      case VIOLATION:
        this.error(errorOf(data), extra);
        break;
      default:
        this[HANDLERS[number]](data, { masked, binary: number !== TEXT });
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
    this._reader.cleanup();

    this.onbinary = null;
    this.onclose = null;
    this.onerror = null;
    this.ontext = null;
    this.onping = null;
    this.onpong = null;
  }
}

module.exports = Receiver;
