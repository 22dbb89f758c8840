'use strict';

const { nextTick } = require('../environment');

/** The closed sockets that programs asked for after the end, by their transports. */
const closedSockets = new WeakMap();

/**
 * Owns the connections that a listener of the engine has accepted, each until a program
 * asks for its socket. There is no socket of Node: the engine has the only descriptor.
 * Transports call the same methods as those of an AdoptedSocket, with themselves as the
 * last argument.
 */
class AcceptedConnections {
  constructor(listener) {
    this._listener = listener;
  }

  /** Takes a new connection. */
  take() {
    this._listener.engine.keepAlive(1);
  }

  /** The socket of Node if there is one: there is none. */
  get existing() {
    return null;
  }

  /** Returns Node's socket. It is created now, and owns the connection from now on. */
  socketOf(transport) {
    const { _listener: listener } = this;
    if (transport.isClosing || transport.id === -1) {
      if (!closedSockets.has(transport)) {
        closedSockets.set(transport, listener.closedSocket());
      }
      return closedSockets.get(transport);
    }
    const socket = listener.socketOver(transport);
    this.giveTo(socket, transport);
    return socket;
  }

  /** Has Node's socket own a connection from now on. */
  giveTo(socket, transport) {
    const { _listener: listener } = this;
    // Node counts the connection until the socket is destroyed.
    if (socket.destroyed) listener.leave();
    else socket._server = listener.server;
    transport.becomeAdopted(socket);
    listener.engine.keepAlive(-1);
  }

  isDestroyed(transport) {
    return transport.isClosing;
  }

  /** Destroys a connection. It closes on the next tick. */
  destroy(error, transport) {
    if (transport.isClosing) return;
    if (transport.isOpening) {
      // Nothing more is read, but what was read is delivered: see `transport.leave`.
      this.socketOf(transport).destroy(error);
      return;
    }
    transport.isClosing = true;
    if (transport.id !== -1) transport.leave();
    nextTick(() => {
      if (error) transport.socketFailed(error);
      transport.socketClosed();
    });
  }

  /** Called when the engine no longer has a connection. */
  giveBack() {
    this._listener.engine.keepAlive(-1);
    this._listener.leave();
  }

  // Events of Node's socket, which nobody listens to.
  end() {}
  finish() {}
  hold() {}
  paused() {}
  resumed() {}
}

module.exports = AcceptedConnections;
