'use strict';

const { setImmediate } = require('../environment');

/**
 * Owns a connection that a listener of the engine has accepted, until a program asks for
 * its socket. There is no socket of Node: the engine has the only descriptor. It has the
 * methods of AdoptedSocket that transports call.
 */
class AcceptedSocket {
  /**
   * @param {NativeTransport} transport
   * @param {Listener} listener
   */
  constructor(transport, listener) {
    this._transport = transport;
    this._listener = listener;
    /** A closed socket of Node, if one was asked for after the end; otherwise null. */
    this._closed = null;
    this.isDestroyed = false;
    listener.engine.keepAlive(1);
  }

  /** Node's socket if there is one: there is none. */
  get existing() {
    return null;
  }

  /** Node's socket. It is created now, and owns the connection from now on. */
  get socket() {
    const { _listener: listener, _transport: transport } = this;
    if (this.isDestroyed || transport.id === -1) {
      if (this._closed === null) this._closed = listener.closedSocket();
      return this._closed;
    }
    return this.giveTo(listener.socketOver(transport));
  }

  /** Has Node's socket own the connection from now on. Returns it. */
  giveTo(socket) {
    const { _listener: listener, _transport: transport } = this;
    // Node counts the connection until the socket is destroyed.
    socket._server = listener.server;
    transport.becomeAdopted(socket);
    listener.engine.keepAlive(-1);
    return socket;
  }

  /** Destroys the connection. It closes in a later phase of the event loop, as in Node. */
  destroy(error) {
    if (this.isDestroyed) return;
    this.isDestroyed = true;
    const { _transport: transport } = this;
    if (transport.id !== -1) transport.leave();
    setImmediate(() => {
      if (error) transport.socketFailed(error);
      transport.socketClosed();
    });
  }

  /** Called when the engine no longer has the connection. */
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

module.exports = AcceptedSocket;
