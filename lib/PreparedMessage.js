'use strict';

const { bytesOf, isBinary } = require('./codec/payload');
const native = require('./native');

const { RSV1 } = native.flag;
const { BINARY, TEXT } = native.kind;

/**
 * A message that is sent to many connections: it is framed once, and compressed once for
 * each size of window that connections have agreed on. All connections share its memory
 * until they have written it.
 *
 * A compressed message refers to no earlier message of a connection. After it, a
 * connection with context takeover begins to compress anew.
 */
class PreparedMessage {
  /**
   * @param {String|ArrayBuffer|SharedArrayBuffer|ArrayBufferView} data is copied
   * @param {Object} [options]
   * @param {Boolean} [options.binary] by default, true unless `data` is a string
   * @param {Boolean} [options.compress=true] whether the message is compressed for
   *   connections that have negotiated permessage-deflate, if it is not shorter than
   *   their `threshold`
   * @throws {TypeError} if `data` is of another type
   */
  constructor(data, options) {
    const isText = typeof data === 'string';
    if (!isText && (data === null || !isBinary(data))) {
      throw new TypeError(
        'The data of a PreparedMessage must be a string, an ArrayBuffer, a ' +
          `SharedArrayBuffer or a view, and not ${data === null ? 'null' : typeof data}`,
      );
    }
    const { binary = !isText, compress = true } = options || {};
    const bytes = isText ? Buffer.from(data) : bytesOf(data);
    this._length = bytes.length;
    this._isBinary = !!binary;
    this._compresses = !!compress;
    this._native = new native.PreparedMessage(
      bytes,
      this._isBinary,
      this._compresses,
    );
    /** The frames for streams, by window. */
    this._frames = [];
  }

  /** The length of the message in bytes, not compressed. */
  get length() {
    return this._length;
  }

  /** Whether the message is binary. */
  get isBinary() {
    return this._isBinary;
  }

  /** Whether the message is compressed for connections with permessage-deflate. */
  get compress() {
    return this._compresses;
  }

  /** A copy of the data of the message. */
  get data() {
    return this._native.data();
  }

  /**
   * Returns the flags (`native.flag`) of the message on a connection whose messages
   * without options have the flags `flags`.
   */
  flagsFor(flags) {
    return (
      (this._compresses ? flags : flags & ~RSV1) |
      (this._isBinary ? BINARY : TEXT)
    );
  }

  /**
   * Returns the frame of the message, which must not be changed.
   *
   * @param {Number} window the window for which it is compressed, as the base-2 logarithm
   *   of bytes; 0 for the message that is not compressed
   */
  frame(window) {
    if (this._frames[window] === undefined) {
      this._frames[window] = this._native.frame(window);
    }
    return this._frames[window];
  }
}

module.exports = PreparedMessage;
