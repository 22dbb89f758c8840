'use strict';

const { once } = require('../environment');
const native = require('../native');
const Direction = require('./direction');
const Limiter = require('./limiter');
const negotiation = require('./negotiation');
const pairs = require('./pairs');
const { errorOf } = require('./violations');

const DEFAULT_CONCURRENCY = 10;
const DEFAULT_THRESHOLD = 1024;

/** The permessage-deflate extension (RFC 7692) of one connection. */
class PerMessageDeflate {
  /**
   * Of `zlibDeflateOptions`, only `level` and `memLevel` are used. `zlibInflateOptions`
   * is ignored. The output is always one Buffer (`chunkSize`), each frame is flushed
   * (`flush`, `finishFlush`), the strategy is fixed (`strategy`), the other end does
   * not know a dictionary (`dictionary`), and the window is negotiated (`windowBits`).
   *
   * @param {Object} [options]
   * @param {Boolean|Number} [options.clientMaxWindowBits] the window of the client, the
   *   base-2 logarithm of the number of bytes, 8 to 15; or whether the parameter is
   *   accepted
   * @param {Boolean} [options.clientNoContextTakeover] whether the client resets its
   *   compression context after each message
   * @param {Number} [options.concurrencyLimit=10] the maximum number of directions of all
   *   instances that compress or decompress at a time; the first instance sets it for all
   * @param {Boolean} [options.isServer=false]
   * @param {Number} [options.maxPayload=0] the maximum length, in bytes, of a
   *   decompressed frame; 0 for no limit
   * @param {Number} [options.memoryBudget=33554432] the maximum memory, in bytes, of the
   *   compression contexts that the connections of this thread with the same value keep
   *   between messages, an integer from 0 to 2^53 - 1
   * @param {Boolean|Number} [options.serverMaxWindowBits] the window of the server, 8 to
   *   15; or whether the parameter is accepted
   * @param {Boolean} [options.serverNoContextTakeover] whether the server resets its
   *   compression context after each message
   * @param {Number} [options.threshold=1024] the minimum length, in bytes, of messages
   *   that are compressed; without effect if the sender keeps its context between
   *   messages
   * @param {Object} [options.zlibDeflateOptions] `level`, 0 to 9, or -1 for the default
   *   7; and `memLevel`, 1 to 9, 8 by default
   * @throws {Error} if a window, `level`, `memLevel` or `memoryBudget` is out of range
   */
  constructor(options) {
    this._options = options || {};
    const {
      concurrencyLimit = DEFAULT_CONCURRENCY,
      isServer,
      maxPayload,
      memoryBudget,
      threshold = DEFAULT_THRESHOLD,
      zlibDeflateOptions,
    } = this._options;
    const { level, memLevel } = zlibDeflateOptions || {};
    this._isServer = !!isServer;
    this._maxPayload = maxPayload | 0;
    this._threshold = Number(threshold) || 0;
    this._limiter = once('limiter', () => new Limiter(concurrencyLimit));
    /** The Directions that compress and decompress, created at the first use. */
    this._deflate = null;
    this._inflate = null;
    /** The negotiated parameters, or null. */
    this.params = null;
    /** The native object, for transports. It is ready after `accept`. */
    this.native = new native.PerMessageDeflate(
      {
        level,
        memLevel,
        memoryBudget,
        // Negotiated here, and checked there.
        clientMaxWindowBits: numberIn(this._options.clientMaxWindowBits),
        serverMaxWindowBits: numberIn(this._options.serverMaxWindowBits),
      },
      this._isServer,
    );
  }

  static get extensionName() {
    return 'permessage-deflate';
  }

  /** Returns the parameters that a client offers. */
  offer() {
    return negotiation.offer(this._options);
  }

  /**
   * A server accepts one of a client's offers, a client accepts the server's response.
   *
   * @param {Object[]} offers as returned by `extension.parse`; they are modified
   * @returns {Object} the negotiated parameters, one of the objects in `offers`
   * @throws {Error} if an offer is invalid, or none is acceptable
   */
  accept(offers) {
    const params = this._isServer
      ? negotiation.acceptOffer(offers, this._options)
      : negotiation.acceptAnswer(offers, this._options);
    this.native.agree(pairs(params));
    this.params = params;
    return params;
  }

  /**
   * Compresses the payload of a frame.
   *
   * @param {Uint8Array|String} data must not be modified until the callback is called
   * @param {Boolean} fin whether the frame ends its message
   * @param {Function} callback called with an error, or with null and a Buffer
   */
  compress(data, fin, callback) {
    this._deflate ??= new Direction(
      (data, fin) => this.native.compressAsync(toBytes(data), !!fin),
      this._limiter,
    );
    this._deflate.add(data, fin, callback);
  }

  /** Decompresses the payload of a frame. The arguments are those of `compress`. */
  decompress(data, fin, callback) {
    this._inflate ??= new Direction(
      (data, fin) =>
        this.native
          .decompressAsync(data, !!fin, this._maxPayload)
          .catch(throwAsZlib),
      this._limiter,
    );
    this._inflate.add(data, fin, callback);
  }

  /** Frees the compression contexts, and fails the calls that are not finished. */
  cleanup() {
    const { _inflate: inflate, _deflate: deflate } = this;
    this._inflate = null;
    this._deflate = null;
    this.native.cleanup();
    if (inflate) inflate.close(closed('inflate'));
    if (deflate) deflate.close(closed('deflate'));
  }
}

/** Returns an option that may be a number or a boolean, if it is a number. */
function numberIn(option) {
  return typeof option === 'number' ? option : undefined;
}

function toBytes(data) {
  return typeof data === 'string' ? Buffer.from(data) : data;
}

function closed(stream) {
  return new Error(
    `The ${stream} stream was closed while data was being processed`,
  );
}

/** The close codes of the violations that the native side may report, by name. */
const CLOSE_CODES = {
  Z_DATA_ERROR: 1007,
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: 1009,
};

/** Replaces an error of the native side, whose message is the name of a violation. */
function throwAsZlib(error) {
  const { message: name } = error;
  const { [name]: closeCode } = CLOSE_CODES;
  if (closeCode === undefined) throw error;
  throw errorOf({ name, detail: 0, cause: null }, closeCode);
}

module.exports = PerMessageDeflate;
