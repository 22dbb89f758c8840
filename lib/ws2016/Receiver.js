'use strict';

const PerMessageDeflate = require('./PerMessageDeflate');
const errorOf = require('./violations');
const FrameReader = require('../codec/FrameReader');
const { contextOfNow, nobodys } = require('../context');
const { kind } = require('../native');

const { BINARY, CLOSE, MASKED, NUMBER, PING, PONG, TEXT, VIOLATION } = kind;

const noop = () => {};

/** The name of the handler property for each kind of event. */
const HANDLERS = {
  [TEXT]: 'ontext',
  [BINARY]: 'onbinary',
  [PING]: 'onping',
  [PONG]: 'onpong',
};

/** Decodes the bytes of a connection, and calls its `on…` properties. */
class Receiver {
  /**
   * @param {Object} [extensions] the negotiated extensions, by name
   * @param {Number} [maxPayload=0] the maximum length of a message in bytes; 0 for no
   *   limit
   * @param {Object} [limits] further limits
   * @param {Number} [limits.maxFragments=1048576] the maximum number of fragments of a
   *   message
   * @param {Boolean} [limits.masked] `true` if frames have to be masked, `false` if they
   *   must not be masked; by default both are accepted
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

    /** Set after a close frame, an error or `cleanup`: nothing more is read. */
    this.dead = false;

    this.onbinary = noop;
    this.onclose = noop;
    this.onerror = noop;
    this.ontext = noop;
    this.onping = noop;
    this.onpong = noop;
  }

  /** The maximum length of a message in bytes; 0 for no limit. */
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

  /** The bytes on the wire of the current message, from the heads received so far. */
  get totalPayloadLength() {
    return this._reader.announcedLength;
  }

  /** Decodes the next chunk. Payloads are unmasked in place. */
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
          // A close frame without a code is reported as 1000 (normal closure).
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

  /** Calls `onerror` with an error and the code to close with, and stops reading. */
  error(error, closeCode) {
    if (this.dead) return;
    try {
      this.onerror(error, closeCode);
    } finally {
      this.cleanup();
    }
  }

  /** Frees the decoder and discards everything that is added later. */
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
