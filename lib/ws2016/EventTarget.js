'use strict';

// The event interface of the browser's WebSocket, on top of an EventEmitter.

class Event {
  constructor(type, target) {
    this.target = target;
    this.type = type;
  }
}

class MessageEvent extends Event {
  constructor(data, binary, target) {
    super('message', target);
    /** Whether `data` is binary. This property does not exist in browsers. */
    this.binary = binary;
    this.data = data;
  }
}

class CloseEvent extends Event {
  constructor(code, reason, target) {
    super('close', target);
    this.wasClean = code === undefined || code === 1000;
    this.reason = reason;
    this.code = code;
  }
}

/** Functions that create the event object from the arguments of an emitted event. */
const EVENTS = {
  open: (target) => new Event('open', target),

  message(target, data, flags) {
    const binary = !!flags.binary;
    const wantsArrayBuffer = binary && target.binaryType === 'arraybuffer';
    return new MessageEvent(
      wantsArrayBuffer ? toArrayBuffer(data) : data,
      binary,
      target,
    );
  },

  close: (target, code, reason) => new CloseEvent(code, reason, target),

  error: (target, error) => Object.assign(error, { type: 'error', target }),
};

/** Copies a Buffer to a new ArrayBuffer, which may be transferred. */
function toArrayBuffer({ buffer, byteOffset, byteLength }) {
  return buffer.slice(byteOffset, byteOffset + byteLength);
}

/** Adds a listener. A value that is not a function is ignored. */
function addEventListener(type, listener) {
  if (typeof listener !== 'function') return;
  if (!Object.prototype.hasOwnProperty.call(EVENTS, type)) {
    this.on(type, listener);
    return;
  }
  const toEvent = EVENTS[type];
  const wrapper = (...args) => listener.call(this, toEvent(this, ...args));
  wrapper._listener = listener;
  this.on(type, wrapper);
}

/** Removes a listener that was added by `addEventListener` or by `on`. */
function removeEventListener(type, listener) {
  for (const each of this.listeners(type)) {
    if (each === listener || each._listener === listener) {
      this.removeListener(type, each);
    }
  }
}

/** Adds `addEventListener`, `removeEventListener` and the `on…` properties to a class. */
function mixInto(prototype) {
  Object.assign(prototype, { addEventListener, removeEventListener });
  for (const type of Object.keys(EVENTS)) {
    Object.defineProperty(prototype, `on${type}`, {
      configurable: true,
      enumerable: true,

      /** The first listener of the event; undefined if there is none. */
      get() {
        const [first] = this.listeners(type);
        return first && (first._listener || first);
      },

      /** Replaces all listeners of the event, also those added by `on`. */
      set(listener) {
        this.removeAllListeners(type);
        this.addEventListener(type, listener);
      },
    });
  }
}

module.exports = { mixInto };
