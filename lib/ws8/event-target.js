'use strict';

// The events of the browser's WebSocket, over those of an EventEmitter.

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

  /** The WebSocket that it is an event of; null before it has been one. */
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

  /** A string. */
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

  /** A string, or binary data as the WebSocket's `binaryType` has it. */
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

/** What makes an event from the arguments that an emitter emits it with. */
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

/** Has an emitter call a listener: a function, or an object that has `handleEvent`. */
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

/** What the emitter has for a listener that was added. */
function findAdded(ws, type, listener) {
  return ws
    .listeners(type)
    .find(
      (each) =>
        each[kForOnEventAttribute] === false && each[kListener] === listener,
    );
}

/** What the emitter has for the listener that the `on…` property was set to. */
function findAttribute(ws, type) {
  return ws.listeners(type).find((each) => each[kForOnEventAttribute] === true);
}

const methods = {
  /**
   * Adds a listener, unless it is there already. Other events than the four of a browser's
   * WebSocket are ignored.
   *
   * @param {String} type `open`, `message`, `close` or `error`
   * @param {Function|Object} listener a function, or an object that has `handleEvent`
   * @param {Object} [options] `once`: whether it is removed when it is called
   */
  addEventListener(type, listener, options) {
    if (!EVENTS.has(type) || findAdded(this, type, listener)) return;
    listen(this, type, listener, false, Boolean(options && options.once));
  },

  /** Removes a listener that `addEventListener` has added. */
  removeEventListener(type, listener) {
    const added = findAdded(this, type, listener);
    if (added) this.removeListener(type, added);
  },
};

/** Gives a class of emitters `addEventListener`, `removeEventListener` and `on…`. */
function mixInto(prototype) {
  Object.assign(prototype, methods);
  for (const type of EVENTS.keys()) {
    Object.defineProperty(prototype, `on${type}`, {
      configurable: true,
      enumerable: true,

      /** The function that it was set to, or null. */
      get() {
        const attribute = findAttribute(this, type);
        return attribute ? attribute[kListener] : null;
      },

      /** Replaces that function, and no other listener. */
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
