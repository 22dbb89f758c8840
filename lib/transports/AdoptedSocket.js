'use strict';

const net = require('net');

const { EMPTY } = require('../codec/payload');
const { callLast } = require('../environment');

/** A stream's usual mark, in bytes, from which on it asks its writer to wait. */
const HIGH_WATER_MARK = 16 * 1024;

/** Where a socket has its `AdoptedSocket`. */
const kAdopted = Symbol('oxws.adopted');

/**
 * Node's socket while the engine reads and writes in its place. It stays the
 * connection's identity, and what programs do with `ws._socket` acts on the engine:
 * writing, ending, pausing, `unref`, and looking for backpressure.
 *
 * As with Node, `bytesRead` counts what the system has handed over, whether or not its
 * events were emitted yet, and `bytesWritten` what was sent, with what is still queued.
 * Both count frames as they are on the wire, after the bytes of the handshake; of what
 * is not framed yet, the payload is counted.
 *
 * The socket gets a prototype between itself and its own: defining as many properties
 * on each socket took a third of the time of a handshake.
 */
class AdoptedSocket {
  constructor(socket, transport, engine) {
    this.transport = transport;
    this.engine = engine;
    /** The bytes of the handshake; those of the connection once it is over. */
    this.bytesRead = socket.bytesRead;
    this.bytesWritten = socket.bytesWritten;
    this._socket = socket;
    this._prototype = Object.getPrototypeOf(socket);
    this._keepsAlive = false;
    this._isDraining = false;
    /** Whether this direction has ended, and the other one. */
    this.hasFinished = false;
    this.hasEnded = false;
    // It may be `unref` already.
    this.keepAlive(socket._handle.hasRef());
    // Node would not let it be written to once the other end has ended.
    socket.allowHalfOpen = true;
    socket[kAdopted] = this;
    Object.setPrototypeOf(socket, adopting(this._prototype));
  }

  /** Whether a writer should wait. */
  get isCongested() {
    return this.transport.bufferedAmount >= HIGH_WATER_MARK;
  }

  keepAlive(alive) {
    if (this._keepsAlive !== alive) {
      this._keepsAlive = alive;
      this.engine.keepAlive(alive ? 1 : -1);
    }
  }

  /** Emits 'drain' once all that is sent is taken by the system. */
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
        if (!error) this._socket.emit('drain');
      });
    wait();
  }

  /** The engine has ended what this end sends. */
  finish() {
    if (this.hasFinished) return;
    this.hasFinished = true;
    callLast(() => this._socket.emit('finish'));
  }

  /** The other end sends no more. */
  end() {
    if (this.hasEnded) return;
    this.hasEnded = true;
    callLast(() => this._socket.emit('end'));
  }

  /** Makes it Node's own socket again, which a stream goes on with. */
  undo() {
    const { _keepsAlive: keepsAlive, _socket: socket } = this;
    this.keepAlive(false);
    Object.setPrototypeOf(socket, this._prototype);
    delete socket[kAdopted];
    if (!keepsAlive) socket.unref();
  }

  /** Makes it Node's own socket again; what was counted stays. */
  giveBack() {
    const { bytesRead, bytesWritten } = this._socket;
    this.bytesRead = bytesRead;
    this.bytesWritten = bytesWritten;
    this.keepAlive(false);
    Object.setPrototypeOf(this._socket, returning(this._prototype));
  }
}

/** What an adopted socket does in another way. */
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
    // Who is told to wait is told when to go on.
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

/** What a socket that is given back still does in another way. */
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

/** Calls back when a socket has finished, or has closed without that. */
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
 * A function that gives the prototype with these members to be put before another: one
 * for each class of sockets.
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
