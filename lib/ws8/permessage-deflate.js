'use strict';

const { once } = require('../environment');
const native = require('../native');
const Direction = require('./direction');
const Limiter = require('./limiter');
const negotiation = require('./negotiation');
const { pairs } = require('./extension');
const { errorOf } = require('./violations');

const DEFAULT_CONCURRENCY = 10;
const DEFAULT_THRESHOLD = 1024;

/** The permessage-deflate extension (RFC 7692) of one connection. */
class PerMessageDeflate {
  /**
   * Of `zlibDeflateOptions`, `level` and `memLevel` act. The others of these, and all of
   * `zlibInflateOptions`, have no meaning here: output comes in one piece whatever
   * `chunkSize` is, each frame is flushed whatever `flush` and `finishFlush` say, there is
   * one `strategy`, a `dictionary` is not known to the other end, and `windowBits` is what
   * both ends agree on.
   *
   * @param {Object} [options]
   * @param {Boolean|Number} [options.clientMaxWindowBits] the client's window, 8 to 15, or
   *   whether to agree to the parameter
   * @param {Boolean} [options.clientNoContextTakeover] whether the client compresses each
   *   message on its own
   * @param {Number} [options.concurrencyLimit=10] how many instances may work at a time; the
   *   first instance decides it for all
   * @param {Boolean} [options.isServer=false]
   * @param {Number} [options.maxPayload=0] the most bytes that a frame may decompress to; 0
   *   for no limit
   * @param {Boolean|Number} [options.serverMaxWindowBits] the server's window, 8 to 15, or
   *   whether to agree to the parameter
   * @param {Boolean} [options.serverNoContextTakeover] whether the server compresses each
   *   message on its own
   * @param {Number} [options.threshold=1024] the least length, in bytes, of messages that
   *   are compressed where each is on its own
   * @param {Object} [options.zlibDeflateOptions] `level`, -1 to 9, and `memLevel`, 1 to 9
   * @throws {Error} on a level that is out of its range
   */
  constructor(options) {
    this._options = options || {};
    const {
      concurrencyLimit = DEFAULT_CONCURRENCY,
      isServer,
      maxPayload,
      threshold = DEFAULT_THRESHOLD,
      zlibDeflateOptions,
    } = this._options;
    const { level, memLevel } = zlibDeflateOptions || {};
    this._isServer = !!isServer;
    this._maxPayload = maxPayload | 0;
    this._threshold = threshold;
    this._limiter = once('limiter', () => new Limiter(concurrencyLimit));
    /** What compresses, and what decompresses, from the first use on. */
    this._deflate = null;
    this._inflate = null;
    /** The parameters agreed on. */
    this.params = null;
    /** The native object, which transports take once `accept` has agreed. */
    this.native = new native.PerMessageDeflate(
      { level, memLevel },
      this._isServer,
    );
  }

  static get extensionName() {
    return 'permessage-deflate';
  }

  /** The parameters that a client offers. */
  offer() {
    return negotiation.offer(this._options);
  }

  /**
   * Agrees on one of the offers (server), or on the answer (client).
   *
   * @param {Object[]} offers as `extension.parse` gives them; they are changed
   * @returns {Object} the parameters agreed on: one of the offers
   * @throws {Error} if none of them will do
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
   * @param {Uint8Array|String} data it must not be changed until the callback is called
   * @param {Boolean} fin whether it ends its message
   * @param {Function} callback called with an error, or with null and a Buffer
   */
  compress(data, fin, callback) {
    this._deflate ??= new Direction(
      (data, fin) => this.native.compressAsync(toBytes(data), !!fin),
      this._limiter,
    );
    this._deflate.add(data, fin, callback);
  }

  /** Decompresses the payload of a frame; as `compress`. */
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

  /** Frees the memory that is held, and fails what is under way. */
  cleanup() {
    const { _inflate: inflate, _deflate: deflate } = this;
    this._inflate = null;
    this._deflate = null;
    this.native.cleanup();
    if (inflate) inflate.close(closed('inflate'));
    if (deflate) deflate.close(closed('deflate'));
  }
}

function toBytes(data) {
  return typeof data === 'string' ? Buffer.from(data) : data;
}

function closed(stream) {
  return new Error(
    `The ${stream} stream was closed while data was being processed`,
  );
}

/** The close codes of what the native side may find wrong, by the violation's name. */
const CLOSE_CODES = {
  Z_DATA_ERROR: 1007,
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: 1009,
};

/** The native side rejects with the name of a violation as the message. */
function throwAsZlib(error) {
  const { message: name } = error;
  const { [name]: closeCode } = CLOSE_CODES;
  if (closeCode === undefined) throw error;
  throw errorOf({ name, detail: 0, cause: null }, closeCode);
}

module.exports = PerMessageDeflate;
