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
  'memoryBudget',
];

/** The permessage-deflate extension (RFC 7692) of one connection. */
class PerMessageDeflate {
  /**
   * @param {Object} [options] see PerMessageDeflateOptions in index.d.ts
   * @param {Boolean} [isServer=false]
   * @param {Number} [maxPayload=0] the maximum number of bytes to which one call of
   *   `decompress` may decompress its data; 0 for no limit
   * @throws {Error} if an option is out of range
   */
  constructor(options, isServer, maxPayload) {
    this._options = options || {};
    this._isServer = !!isServer;
    this._maxPayload = maxPayload || 0;
    const { threshold } = this._options;
    this.threshold = threshold === undefined ? DEFAULT_THRESHOLD : threshold;
    this.params = null;
    /** The native object. */
    this.native = new native.PerMessageDeflate(
      configuration(this._options),
      this._isServer,
    );
  }

  /** The option `deflate` of transports, see `transports/open`. */
  get forCodec() {
    return { native: this.native, threshold: Number(this.threshold) || 0 };
  }

  /** Returns the parameters that a client offers. */
  offer() {
    return toObject(this.native.offer());
  }

  /**
   * A server accepts one of a client's offers, a client accepts the server's response.
   *
   * @param {Object[]} offers as returned by `Extensions.parse`
   * @returns {Object} the negotiated parameters
   * @throws {Error} if an offer is invalid, or none is acceptable
   */
  accept(offers) {
    this.params = toObject(this.native.accept(offers.map(Extensions.flat)));
    return this.params;
  }

  /** Compresses the payload of a frame. `fin` is whether it ends its message. */
  compress(data, fin, callback) {
    this._run(callback, () =>
      this.native.compress(data || Buffer.alloc(0), !!fin),
    );
  }

  /** Decompresses the payload of a frame. `fin` is whether it ends its message. */
  decompress(data, fin, callback) {
    this._run(callback, () =>
      this.native.decompress(data, !!fin, this._maxPayload),
    );
  }

  /** Frees the compression contexts. */
  cleanup() {
    this.native.cleanup();
  }

  /** Does the work at once, so that calls keep their order, and calls back later. */
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

/** Returns the options for the native side. An option that is `null` is left out. */
function configuration(options) {
  const known = {};
  for (const name of OPTIONS) {
    if (options[name] !== undefined && options[name] !== null) {
      known[name] = name.endsWith('Takeover') ? !!options[name] : options[name];
    }
  }
  return known;
}

/** Converts pairs to an object. A missing value becomes `true`, others become numbers. */
function toObject(params) {
  const object = {};
  for (const [name, value] of params) {
    object[name] = value === null ? true : Number(value);
  }
  return object;
}

module.exports = PerMessageDeflate;
