'use strict';

const { Writable } = require('stream');

const inBinaryType = require('./binary-type');
const { BINARY_TYPES } = require('./constants');
const PerMessageDeflate = require('./permessage-deflate');
const { errorOf, tooManyChunks } = require('./violations');
const FrameReader = require('../codec/FrameReader');
const { orUnlimited } = require('../codec/limits');
const { contextOfNow, nobodys } = require('../context');
const { callLast, nextTick } = require('../environment');
const { kind } = require('../native');

const { BINARY, CLOSE, NUMBER, PING, PONG, TEXT, VIOLATION } = kind;

/** What stands for the code of a close frame that has none (RFC 6455, 7.1.5). */
const NO_CODE = 1005;

/**
 * Turns the bytes of one direction of a connection into events.
 *
 * It emits 'message' (data, isBinary), 'ping' (data), 'pong' (data) and 'conclude' (code,
 * reason), which is the close frame: with it the stream ends, and ignores the rest. A
 * violation of the protocol is the stream's 'error'. A chunk is taken once all of its
 * events are emitted; what a listener throws is thrown on the next tick, and stops none of
 * them.
 */
class Receiver extends Writable {
  /**
   * @param {Object} [options]
   * @param {Boolean} [options.allowSynchronousEvents=true] whether messages, pings and
   *   pongs may be emitted one right after the other; otherwise each has a turn of the
   *   event loop
   * @param {String} [options.binaryType='nodebuffer'] what binary messages are: see
   *   `BINARY_TYPES`
   * @param {Object} [options.extensions] the extensions agreed on, by name
   * @param {Boolean} [options.isServer=false] whether frames have to be masked; they must
   *   not be otherwise
   * @param {Number} [options.maxBufferedChunks=0] in how many chunks the payload of a
   *   frame may come; 0 for no limit
   * @param {Number} [options.maxFragments=0] the most fragments of a message; 0 for no
   *   limit
   * @param {Number} [options.maxPayload=0] the longest message in bytes, on the wire and
   *   decompressed; 0 for that of the permessage-deflate extension, or no limit
   * @param {Boolean} [options.skipUTF8Validation=false] whether texts and reasons may be
   *   any bytes
   */
  constructor(options = {}) {
    super();
    this._allowSynchronousEvents = options.allowSynchronousEvents ?? true;
    this._binaryType = options.binaryType || BINARY_TYPES[0];
    this._extensions = options.extensions || {};
    this._isServer = !!options.isServer;
    this._maxBufferedChunks = options.maxBufferedChunks | 0;
    this._maxFragments = options.maxFragments | 0;

    const deflate = this._extensions[PerMessageDeflate.extensionName];
    this._reader = new FrameReader(
      {
        limits: {
          maxPayload: options.maxPayload | 0 || deflate?._maxPayload,
          maxFragments: orUnlimited(this._maxFragments),
          masked: this._isServer,
          validates: !options.skipUTF8Validation,
          keepsEnds: true,
        },
        deflate,
        textsAreStrings: false,
        isStepwise: !this._allowSynchronousEvents,
        context: contextOfNow() || nobodys,
      },
      {
        tell: (what, data, wire, extra) => tell(this, what, data, extra),
        drained: () => taken(this),
        dropped() {},
        wantsEnds: () => this._binaryType === 'fragments',
      },
    );
    /** What to call when all that was written is taken, and how many bytes that is. */
    this._waiting = [];
    this._length = 0;
    /** In how many chunks came what is read of the payload of a frame. */
    this._chunks = 0;
  }

  /** The longest message in bytes; 0 for no limit. */
  get _maxPayload() {
    return this._reader.maxPayload;
  }

  set _maxPayload(bytes) {
    this._reader.maxPayload = bytes;
  }

  get _skipUTF8Validation() {
    return !this._reader.validates;
  }

  /** This holds from the next message on. */
  set _skipUTF8Validation(skip) {
    this._reader.validates = !skip;
  }

  /** The bytes of the message under way, as its frames have announced them. */
  get _totalPayloadLength() {
    return this._reader.announcedLength;
  }

  _write(chunk, encoding, callback) {
    const { _maxBufferedChunks: most, _reader: reader } = this;
    if (reader.isDead) {
      callback();
    } else if (most > 0 && this._chunks >= most) {
      reader.cleanup();
      callback(tooManyChunks());
    } else {
      this._waiting.push(callback);
      this._length += chunk.length;
      reader.add(chunk);
    }
  }

  _destroy(error, callback) {
    this._reader.cleanup();
    callback(error);
  }
}

/** Emits what is received. */
function tell(receiver, what, data, extra) {
  const emit = (name, ...args) => {
    callLast(() => receiver.emit(name, ...args));
  };
  switch (what & NUMBER) {
    case TEXT:
      emit('message', data, false);
      break;
    case BINARY:
      callLast(() => {
        const { _binaryType: type } = receiver;
        receiver.emit('message', inBinaryType(type, data, extra), true);
      });
      break;
    case PING:
      emit('ping', data);
      break;
    case PONG:
      emit('pong', data);
      break;
    case CLOSE:
      emit('conclude', extra || NO_CODE, data);
      // Until the tick ends more may be written: that is ignored, and no error.
      nextTick(() => receiver.end());
      break;
    case VIOLATION:
      callBack(receiver, errorOf(data, extra));
  }
}

/** All that was written is taken. */
function taken(receiver) {
  const { _chunks: chunks, _length: length, _waiting: waiting } = receiver;
  if (receiver._maxBufferedChunks > 0 && waiting.length > 0) {
    const { partialLength: partial } = receiver._reader;
    // The payload may have begun in what was written before.
    const before = partial < length ? 0 : chunks;
    receiver._chunks = partial === 0 ? 0 : before + waiting.length;
  }
  callBack(receiver);
}

function callBack(receiver, ...result) {
  const { _waiting: waiting } = receiver;
  receiver._waiting = [];
  receiver._length = 0;
  for (const callback of waiting) callLast(callback, ...result);
}

module.exports = Receiver;
