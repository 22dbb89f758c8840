'use strict';

// The event interface of the browser's WebSocket, on top of an EventEmitter.

const { kForOnEventAttribute, kListener } = require('./constants');

const kTarget = Symbol('target');
const kType = Symbol('type');
const kCode = Symbol('code');
const kReason = Symbol('reason');
const kWasClean = Symbol('wasClean');
const kError = Symbol('error');
const kMessage = Symbol('message');
const kData = Symbol('data');

class Event {
  /** @param {String} type */
  constructor(type) {
    this[kTarget] = null;
    this[kType] = type;
  }

  /** The WebSocket; null for an event that was not dispatched. */
  get target() {
    return this[kTarget];
  }

  get type() {
    return this[kType];
  }
}

class CloseEvent extends Event {
  /**
   * @param {String} type
   * @param {Object} [attributes] `code`, `reason` and `wasClean`
   */
  constructor(type, { code = 0, reason = '', wasClean = false } = {}) {
    super(type);
    this[kCode] = code;
    this[kReason] = reason;
    this[kWasClean] = wasClean;
  }

  /** The close code (RFC 6455, 7.4). */
  get code() {
    return this[kCode];
  }

  /** The reason of the close frame, a string. */
  get reason() {
    return this[kReason];
  }

  /** Whether both ends have sent a close frame. */
  get wasClean() {
    return this[kWasClean];
  }
}

class ErrorEvent extends Event {
  /**
   * @param {String} type
   * @param {Object} [attributes] `error` and `message`
   */
  constructor(type, { error = null, message = '' } = {}) {
    super(type);
    this[kError] = error;
    this[kMessage] = message;
  }

  get error() {
    return this[kError];
  }

  get message() {
    return this[kMessage];
  }
}

class MessageEvent extends Event {
  /**
   * @param {String} type
   * @param {Object} [attributes] `data`
   */
  constructor(type, { data = null } = {}) {
    super(type);
    this[kData] = data;
  }

  /** A string, or binary data of the WebSocket's `binaryType`. */
  get data() {
    return this[kData];
  }
}

for (const { prototype } of [Event, CloseEvent, ErrorEvent, MessageEvent]) {
  for (const name of Object.getOwnPropertyNames(prototype)) {
    if (name === 'constructor') continue;
    Object.defineProperty(prototype, name, { enumerable: true });
  }
}

/** Functions that create the event object from the arguments of an emitted event. */
const EVENTS = new Map([
  ['open', () => new Event('open')],
  [
    'message',
    (ws, data, isBinary) =>
      new MessageEvent('message', { data: isBinary ? data : data.toString() }),
  ],
  [
    'close',
    (ws, code, reason) =>
      new CloseEvent('close', {
        code,
        reason: reason.toString(),
        wasClean: ws._closeFrameReceived && ws._closeFrameSent,
      }),
  ],
  [
    'error',
    (ws, error) => new ErrorEvent('error', { error, message: error.message }),
  ],
]);

/** Adds to the emitter a function that calls the listener with an event object. */
function listen(ws, type, listener, isAttribute, once) {
  const toEvent = EVENTS.get(type);
  function emitted(first, second) {
    const event = toEvent(this, first, second);
    event[kTarget] = this;
    if (typeof listener === 'function') listener.call(this, event);
    else listener.handleEvent(event);
  }
  emitted[kListener] = listener;
  emitted[kForOnEventAttribute] = isAttribute;
  if (once) ws.once(type, emitted);
  else ws.on(type, emitted);
}

/** Returns the emitter's function for a listener added by `addEventListener`. */
function findAdded(ws, type, listener) {
  return ws
    .listeners(type)
    .find(
      (each) =>
        each[kForOnEventAttribute] === false && each[kListener] === listener,
    );
}

/** Returns the emitter's function for the listener in an `on…` property. */
function findAttribute(ws, type) {
  return ws.listeners(type).find((each) => each[kForOnEventAttribute] === true);
}

const methods = {
  /**
   * Adds a listener, unless it was added before. Other types of events are ignored.
   *
   * @param {String} type `'open'`, `'message'`, `'close'` or `'error'`
   * @param {Function|Object} listener a function, or an object with a `handleEvent`
   *   method
   * @param {Object} [options]
   * @param {Boolean} [options.once=false] whether the listener is removed when it is
   *   called
   */
  addEventListener(type, listener, options) {
    if (!EVENTS.has(type) || findAdded(this, type, listener)) return;
    listen(this, type, listener, false, Boolean(options && options.once));
  },

  /** Removes a listener that was added by `addEventListener`. */
  removeEventListener(type, listener) {
    const added = findAdded(this, type, listener);
    if (added) this.removeListener(type, added);
  },
};

/** Adds `addEventListener`, `removeEventListener` and the `on…` properties to a class. */
function mixInto(prototype) {
  Object.assign(prototype, methods);
  for (const type of EVENTS.keys()) {
    Object.defineProperty(prototype, `on${type}`, {
      configurable: true,
      enumerable: true,

      /** The function to which the property was set, or null. */
      get() {
        const attribute = findAttribute(this, type);
        return attribute ? attribute[kListener] : null;
      },

      /** Replaces this function. Other listeners stay. */
      set(listener) {
        const attribute = findAttribute(this, type);
        if (attribute) this.removeListener(type, attribute);
        if (typeof listener === 'function') {
          listen(this, type, listener, true, false);
        }
      },
    });
  }
}

module.exports = { CloseEvent, ErrorEvent, Event, MessageEvent, mixInto };
