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

/** The code that is reported for a close frame without a code (RFC 6455, 7.1.5). */
const NO_CODE = 1005;

/**
 * A writable stream that decodes the bytes of one direction of a connection into events.
 *
 * It emits 'message' (data, isBinary), 'ping' (data), 'pong' (data) and, for a close
 * frame, 'conclude' (code, reason). After 'conclude' the stream ends and ignores
 * further data. A protocol violation emits 'error'. The callback of `write` is called
 * when all events of the chunk are emitted. An error that a listener throws is thrown
 * again on the next tick, and the remaining events are emitted.
 */
class Receiver extends Writable {
  /**
   * @param {Object} [options]
   * @param {Boolean} [options.allowSynchronousEvents=true] whether several 'message',
   *   'ping' and 'pong' events may be emitted in one turn of the event loop
   * @param {String} [options.binaryType='nodebuffer'] the type of binary messages, one of
   *   `BINARY_TYPES`
   * @param {Object} [options.extensions] the negotiated extensions, by name
   * @param {Boolean} [options.isServer=false] `true` if frames have to be masked,
   *   `false` if they must not be masked
   * @param {Number} [options.maxBufferedChunks=0] the maximum number of chunks in which
   *   the payload of a frame may arrive; 0 for no limit
   * @param {Number} [options.maxFragments=0] the maximum number of fragments of a
   *   message; 0 for no limit
   * @param {Number} [options.maxPayload=0] the maximum length of a message in bytes,
   *   both on the wire and decompressed; 0 for the `maxPayload` of the
   *   permessage-deflate extension, or for no limit without the extension
   * @param {Boolean} [options.skipUTF8Validation=false] whether text and close reasons
   *   need not be valid UTF-8
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
    /** The callbacks of `_write` not called yet. */
    this._waiting = [];
    /** The number of bytes written since the callbacks were last called. */
    this._length = 0;
    /** The number of chunks that contain the current frame's payload read so far. */
    this._chunks = 0;
  }

  /** The maximum length of a message in bytes; 0 for no limit. */
  get _maxPayload() {
    return this._reader.maxPayload;
  }

  set _maxPayload(bytes) {
    this._reader.maxPayload = bytes;
  }

  get _skipUTF8Validation() {
    return !this._reader.validates;
  }

  /** A change applies from the next message on. */
  set _skipUTF8Validation(skip) {
    this._reader.validates = !skip;
  }

  /** The bytes on the wire of the current message, from the heads received so far. */
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

/** Emits the event for a received message, frame or violation. */
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
      // More may be written in this tick: it is ignored, and must not be an error.
      nextTick(() => receiver.end());
      break;
    case VIOLATION:
      callBack(receiver, errorOf(data, extra));
  }
}

/** Called when all written bytes have been read. */
function taken(receiver) {
  const { _chunks: chunks, _length: length, _waiting: waiting } = receiver;
  if (receiver._maxBufferedChunks > 0 && waiting.length > 0) {
    const { partialLength: partial } = receiver._reader;
    // The payload may have started in an earlier chunk.
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
