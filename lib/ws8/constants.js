'use strict';

const { EMPTY } = require('../codec/payload');

/** Whether this environment has the class `Blob`. */
const hasBlob = typeof Blob !== 'undefined';

module.exports = {
  /** What a binary message may arrive as; the first is the default. */
  BINARY_TYPES: ['nodebuffer', 'arraybuffer', 'fragments'].concat(
    hasBlob ? 'blob' : [],
  ),

  /** How long a closing handshake may take by default, in milliseconds. */
  CLOSE_TIMEOUT: 30 * 1000,

  /** The payload of what has none: always this Buffer. */
  EMPTY_BUFFER: EMPTY,

  /** What a handshake is proven with (RFC 6455, 1.3): Rust does so, tests check it. */
  GUID: '258EAFA5-E914-47DA-95CA-C5AB0DC85B11',

  NOOP() {},

  hasBlob,

  /** Whether a listener of an emitter was set by an `on…` property. */
  kForOnEventAttribute: Symbol('kForOnEventAttribute'),

  /** What the program gave as a listener, on the one that the emitter has for it. */
  kListener: Symbol('kListener'),

  /** The close code that an error ends the connection with. */
  kStatusCode: Symbol('kStatusCode'),

  /** The WebSocket that something belongs to. */
  kWebSocket: Symbol('kWebSocket'),
};
