'use strict';

const Extensions = require('./Extensions');
const { nextTick } = require('../environment');
const native = require('../native');

const DEFAULT_THRESHOLD = 1024;

const OPTIONS = [
  'serverNoContextTakeover',
  'clientNoContextTakeover',
  'serverMaxWindowBits',
  'clientMaxWindowBits',
  'memLevel',
  'level',
];

/** The permessage-deflate extension (RFC 7692) of one connection. */
class PerMessageDeflate {
  /**
   * @param {Object} [options] see api.md, options.perMessageDeflate; and `level`,
   *   0 to 9
   * @param {Boolean} [isServer]
   * @param {Number} [maxPayload] the most bytes that a message may decompress to; 0
   *   for no limit
   * @throws {Error} on an option that is out of its range
   */
  constructor(options, isServer, maxPayload) {
    this._options = options || {};
    this._isServer = !!isServer;
    this._maxPayload = maxPayload || 0;
    const { threshold } = this._options;
    this.threshold = threshold === undefined ? DEFAULT_THRESHOLD : threshold;
    this.params = null;
    /** The native object, which Receiver and Sender take. */
    this.native = new native.PerMessageDeflate(
      configuration(this._options),
      this._isServer,
    );
  }

  /** What transports take: see `transports/open`. */
  get forCodec() {
    return { native: this.native, threshold: Number(this.threshold) || 0 };
  }

  /** The parameters that a client offers. */
  offer() {
    return toObject(this.native.offer());
  }

  /**
   * Agrees on one of the offers (server), or on the answer (client).
   *
   * @param {Object[]} offers as `Extensions.parse` gives them
   * @returns {Object} the parameters agreed on
   * @throws {Error} if none of them will do
   */
  accept(offers) {
    this.params = toObject(this.native.accept(offers.map(Extensions.flat)));
    return this.params;
  }

  /** Compresses the payload of a frame, which ends its message if `fin`. */
  compress(data, fin, callback) {
    this._run(callback, () =>
      this.native.compress(data || Buffer.alloc(0), !!fin),
    );
  }

  /** Decompresses the payload of a frame, which ends its message if `fin`. */
  decompress(data, fin, callback) {
    this._run(callback, () =>
      this.native.decompress(data, !!fin, this._maxPayload),
    );
  }

  /** Frees the memory that `compress` and `decompress` hold. */
  cleanup() {
    this.native.cleanup();
  }

  /** In the order of the calls, and to the callback on a later tick. */
  _run(callback, work) {
    let result = null;
    let failure = null;
    try {
      result = work();
    } catch (error) {
      failure = error;
      if (error.message === 'max payload size exceeded') error.closeCode = 1009;
    }
    nextTick(callback, failure, result);
  }
}

PerMessageDeflate.extensionName = 'permessage-deflate';

/** The options that the native side knows; `null` is as good as none. */
function configuration(options) {
  const known = {};
  for (const name of OPTIONS) {
    if (options[name] !== undefined && options[name] !== null) {
      known[name] = name.endsWith('Takeover') ? !!options[name] : options[name];
    }
  }
  return known;
}

/** Pairs of a name and a value as an object; numbers become numbers. */
function toObject(params) {
  const object = {};
  for (const [name, value] of params) {
    object[name] = value === null ? true : Number(value);
  }
  return object;
}

module.exports = PerMessageDeflate;
