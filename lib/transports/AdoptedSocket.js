'use strict';

const net = require('net');

const { EMPTY } = require('../codec/payload');
const { callLast } = require('../environment');

/**
 * The high-water mark in bytes: from this many queued bytes on, `write` returns false.
 */
const HIGH_WATER_MARK = 16 * 1024;

/** The property of a socket that holds its `AdoptedSocket`. */
const kAdopted = Symbol('oxws.adopted');

/**
 * Adapts Node's socket while the engine reads and writes it. The socket stays
 * `ws._socket`, and its methods and properties act on the engine: writing, ending,
 * pausing, `ref` and `unref`, and those that report backpressure.
 *
 * As in Node, `bytesRead` counts the bytes read from the operating system, even if
 * their events are not emitted yet, and `bytesWritten` includes queued bytes. Both
 * start with the bytes of the handshake, and count frames as they are on the wire. Of
 * messages that are not encoded yet, only the payload is counted.
 *
 * The overridden members are in an additional prototype, inserted between the socket and
 * its class. Defining them on each socket took a third of the time of a handshake.
 */
class AdoptedSocket {
  constructor(socket, transport, engine) {
    this.transport = transport;
    this.engine = engine;
    /** The bytes of the handshake; after `giveBack`, those of the whole connection. */
    this.bytesRead = socket.bytesRead;
    this.bytesWritten = socket.bytesWritten;
    this.socket = socket;
    this._prototype = Object.getPrototypeOf(socket);
    this._keepsAlive = false;
    this._isDraining = false;
    /** Set when this direction has ended. */
    this.hasFinished = false;
    /** Set when the other direction has ended. */
    this.hasEnded = false;
    // The program may have called `unref` already.
    this.keepAlive(!socket._handle || socket._handle.hasRef());
    // Otherwise Node would disable `write` at 'end'.
    socket.allowHalfOpen = true;
    socket[kAdopted] = this;
    Object.setPrototypeOf(socket, adopting(this._prototype));
    socket.on('close', onClose);
    socket.on('error', onError);
  }

  /** Has Node stop reading: from now on the engine reads. */
  hold() {
    const { socket } = this;
    socket.readableFlowing = false;
    if (!socket._handle) return;
    socket._handle.readStop();
    // Node would start reading again if the handle were not marked as reading.
    socket._handle.reading = true;
  }

  /** Node's socket. */
  get existing() {
    return this.socket;
  }

  /** Node's socket. */
  socketOf() {
    return this.socket;
  }

  /** Whether the socket is destroyed. */
  isDestroyed() {
    return this.socket.destroyed;
  }

  destroy(error) {
    this.socket.destroy(error || this.transport.cause);
  }

  /** Restarts the socket's timeout. */
  touch() {
    this.socket._unrefTimer();
  }

  paused() {
    this.socket.emit('pause');
  }

  resumed() {
    this.socket.emit('resume');
  }

  /** Whether the queued bytes have reached the high-water mark. */
  get isCongested() {
    return this.transport.bufferedAmount >= HIGH_WATER_MARK;
  }

  keepAlive(alive) {
    if (this._keepsAlive !== alive) {
      this._keepsAlive = alive;
      this.engine.keepAlive(alive ? 1 : -1);
    }
  }

  /** Emits 'drain' once everything sent is handed to the operating system. */
  drainLater() {
    if (this._isDraining) return;
    this._isDraining = true;
    const { transport } = this;
    const wait = () =>
      transport.write(EMPTY, (error) => {
        if (!error && transport.bufferedAmount > 0) {
          wait();
          return;
        }
        this._isDraining = false;
        if (!error) this.socket.emit('drain');
      });
    wait();
  }

  /** Emits 'finish': the engine has ended this direction. */
  finish() {
    if (this.hasFinished) return;
    this.hasFinished = true;
    callLast(() => this.socket.emit('finish'));
  }

  /** Emits 'end': the other end has ended its direction. */
  end() {
    if (this.hasEnded) return;
    this.hasEnded = true;
    callLast(() => this.socket.emit('end'));
  }

  /** Restores the socket before any use by the engine, for a StreamTransport. */
  undo() {
    const { _keepsAlive: keepsAlive, socket } = this;
    this.keepAlive(false);
    this._leave();
    Object.setPrototypeOf(socket, this._prototype);
    delete socket[kAdopted];
    if (!keepsAlive) socket.unref();
  }

  /** Detaches the socket from the engine for good. The counters keep their values. */
  giveBack() {
    const { bytesRead, bytesWritten } = this.socket;
    this.bytesRead = bytesRead;
    this.bytesWritten = bytesWritten;
    this.keepAlive(false);
    this._leave();
    this.socket.on('error', noop);
    Object.setPrototypeOf(this.socket, returning(this._prototype));
  }

  _leave() {
    this.socket.removeListener('close', onClose);
    this.socket.removeListener('error', onError);
  }
}

function onClose() {
  this[kAdopted].transport.socketClosed();
}

function onError(error) {
  this[kAdopted].transport.socketFailed(error);
}

const noop = () => {};

/** The members that an adopted socket overrides. */
const adopted = {
  write(chunk, encoding, cb) {
    if (typeof encoding === 'function') {
      cb = encoding;
      encoding = undefined;
    }
    const isText = typeof chunk === 'string';
    const bytes = isText ? Buffer.from(chunk, encoding) : chunk;
    this[kAdopted].transport.write(bytes, cb);
    if (!this[kAdopted].isCongested) return true;
    // After `write` has returned false, the program waits for 'drain'.
    this[kAdopted].drainLater();
    return false;
  },

  end(...args) {
    const { transport } = this[kAdopted];
    const at = args.findIndex((each) => typeof each === 'function');
    const cb = at === -1 ? null : args[at];
    const [chunk, encoding] = at === -1 ? args : args.slice(0, at);
    if (chunk !== undefined && chunk !== null) this.write(chunk, encoding);
    if (cb) callAtEnd(this, cb);
    transport.end();
    return this;
  },

  destroySoon() {
    this[kAdopted].transport.write(EMPTY, () => this.destroy());
    this.end();
  },

  destroy(error) {
    if (this[kAdopted].transport.leave()) return this.destroy(error);
    return net.Socket.prototype.destroy.call(this, error);
  },

  setTimeout(timeout, cb) {
    this[kAdopted].transport.isTimed = timeout > 0;
    return net.Socket.prototype.setTimeout.call(this, timeout, cb);
  },

  pause() {
    this[kAdopted].transport.pause();
    return this;
  },

  resume() {
    this[kAdopted].transport.resume();
    return this;
  },

  isPaused() {
    return this[kAdopted].transport.isPaused;
  },

  ref() {
    this[kAdopted].keepAlive(true);
    return this;
  },

  unref() {
    this[kAdopted].keepAlive(false);
    return this;
  },

  get bufferSize() {
    return this[kAdopted].transport.bufferedAmount;
  },

  get bytesRead() {
    return this[kAdopted].bytesRead + this[kAdopted].transport.bytesRead;
  },

  get bytesWritten() {
    return this[kAdopted].bytesWritten + this[kAdopted].transport.bytesWritten;
  },

  get readableEnded() {
    return this[kAdopted].hasEnded;
  },

  get readableFlowing() {
    return !this[kAdopted].transport.isPaused;
  },

  set readableFlowing(value) {
    this._readableState.flowing = value;
  },

  get writableEnded() {
    return this[kAdopted].transport.ends;
  },

  get writableFinished() {
    return this[kAdopted].hasFinished;
  },

  get writableLength() {
    return this[kAdopted].transport.bufferedAmount;
  },

  get writableNeedDrain() {
    return this[kAdopted].isCongested;
  },
};

/** The members that a socket still overrides after `giveBack`. */
const returned = {
  isPaused() {
    return false;
  },

  get bytesRead() {
    return this[kAdopted].bytesRead;
  },

  get readableEnded() {
    return this[kAdopted].hasEnded;
  },

  get writableEnded() {
    return this[kAdopted].transport.ends;
  },

  get writableFinished() {
    return this[kAdopted].hasFinished;
  },

  get bytesWritten() {
    return this[kAdopted].bytesWritten;
  },
};

/** Calls back once, at the socket's 'finish' or 'close'. */
function callAtEnd(socket, cb) {
  const done = () => {
    socket.removeListener('finish', done);
    socket.removeListener('close', done);
    cb();
  };
  socket.on('finish', done);
  socket.on('close', done);
}

const adopting = between(adopted);
const returning = between(returned);

/**
 * Returns a function that creates a prototype with these members, derived from a given
 * one. It creates one for each class of sockets.
 */
function between(members) {
  const descriptors = Object.getOwnPropertyDescriptors(members);
  for (const descriptor of Object.values(descriptors)) {
    descriptor.enumerable = false;
  }
  const prototypes = new WeakMap();
  return (prototype) => {
    let made = prototypes.get(prototype);
    if (made === undefined) {
      made = Object.create(prototype, descriptors);
      prototypes.set(prototype, made);
    }
    return made;
  };
}

module.exports = AdoptedSocket;
