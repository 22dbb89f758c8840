'use strict';

const { EMPTY } = require('../codec/payload');

/** Whether the global class `Blob` exists. */
const hasBlob = typeof Blob !== 'undefined';

module.exports = {
  /** The possible values of `binaryType`. The first one is the default. */
  BINARY_TYPES: ['nodebuffer', 'arraybuffer', 'fragments'].concat(
    hasBlob ? 'blob' : [],
  ),

  /** The default of `closeTimeout`, in milliseconds. */
  CLOSE_TIMEOUT: 30 * 1000,

  /** The one Buffer used for all empty payloads. */
  EMPTY_BUFFER: EMPTY,

  /** The GUID of the opening handshake (RFC 6455, 1.3). The tests of ws use it. */
  GUID: '258EAFA5-E914-47DA-95CA-C5AB0DC85B11',

  NOOP() {},

  hasBlob,

  /** On an emitter's listener: whether it was set by an `on…` property. */
  kForOnEventAttribute: Symbol('kForOnEventAttribute'),

  /** On an emitter's listener: the listener of the program that it calls. */
  kListener: Symbol('kListener'),

  /** The method of a WebSocket that opens it after the handshake. */
  kOpen: Symbol('kOpen'),

  /** On an error: the code to close the connection with. */
  kStatusCode: Symbol('kStatusCode'),

  /** On a socket and other objects: the WebSocket that they belong to. */
  kWebSocket: Symbol('kWebSocket'),
};
