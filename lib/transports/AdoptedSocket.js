'use strict';

const net = require('net');

const EMPTY = Buffer.alloc(0);

/** A stream's usual mark, in bytes, from which on it asks its writer to wait. */
const HIGH_WATER_MARK = 16 * 1024;

/**
 * Node's socket while the engine reads and writes in its place. It stays the
 * connection's identity, and what programs do with `ws._socket` acts on the engine:
 * writing, ending, pausing, `unref`, and looking for backpressure.
 *
 * As with Node, `bytesRead` counts what the system has handed over, whether or not its
 * events were emitted yet, and `bytesWritten` what was sent, with what is still queued.
 * Both count frames as they are on the wire, after the bytes of the handshake; of what
 * is not framed yet, the payload is counted.
 */
class AdoptedSocket {
  constructor(socket, transport, engine) {
    this._socket = socket;
    this._engine = engine;
    this._keepsAlive = true;
    this._isDraining = false;
    engine.keepAlive(1);
    const { bytesRead, bytesWritten } = socket;

    const isCongested = () => {
      const congested = transport.bufferedAmount >= HIGH_WATER_MARK;
      // Who is told to wait is told when to go on.
      if (congested) this._drainLater(transport);
      return congested;
    };
    const methods = {
      write: (chunk, encoding, cb) => {
        if (typeof encoding === 'function') {
          cb = encoding;
          encoding = undefined;
        }
        const isText = typeof chunk === 'string';
        transport.write(isText ? Buffer.from(chunk, encoding) : chunk, cb);
        return !isCongested();
      },
      end: (...args) => {
        if (args.length > 0 && typeof args[0] !== 'function') {
          socket.write(args[0], args[1]);
        }
        const cb = args[args.length - 1];
        if (typeof cb === 'function') socket.once('close', cb);
        engine.flush();
        engine.native.end(transport.id);
        return socket;
      },
      destroySoon: () => {
        transport.write(EMPTY, () => socket.destroy());
        socket.end();
      },
      setTimeout: (timeout, cb) => {
        transport.isTimed = timeout > 0;
        return net.Socket.prototype.setTimeout.call(socket, timeout, cb);
      },
      pause: () => {
        transport.pause();
        return socket;
      },
      resume: () => {
        transport.resume();
        return socket;
      },
      ref: () => this._keepAlive(true),
      unref: () => this._keepAlive(false),
    };
    const getters = {
      bufferSize: () => transport.bufferedAmount,
      bytesRead: () => bytesRead + transport.bytesRead,
      bytesWritten: () => bytesWritten + transport.bytesWritten,
      writableLength: () => transport.bufferedAmount,
      writableNeedDrain: isCongested,
    };
    for (const [name, value] of Object.entries(methods)) {
      this._define(name, { value, writable: true });
    }
    for (const [name, get] of Object.entries(getters)) {
      this._define(name, { get });
    }
    this._names = Object.keys(methods).concat(Object.keys(getters));
  }

  _define(name, descriptor) {
    Object.defineProperty(
      this._socket,
      name,
      Object.assign({ configurable: true, enumerable: false }, descriptor),
    );
  }

  /** Emits 'drain' once all that is sent is taken by the system. */
  _drainLater(transport) {
    if (this._isDraining) return;
    this._isDraining = true;
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

  _keepAlive(alive) {
    if (this._keepsAlive !== alive) {
      this._keepsAlive = alive;
      this._engine.keepAlive(alive ? 1 : -1);
    }
    return this._socket;
  }

  /** Makes it Node's own socket again; what was counted stays. */
  giveBack() {
    const { bytesRead, bytesWritten } = this._socket;
    this._keepAlive(false);
    for (const name of this._names) delete this._socket[name];
    this._define('bytesRead', { value: bytesRead });
    this._define('bytesWritten', { value: bytesWritten });
  }
}

module.exports = AdoptedSocket;
