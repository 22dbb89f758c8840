'use strict';

const NativeTransport = require('../transports/NativeTransport');
const Upgrade = require('./Upgrade');
const UpgradeRequest = require('./UpgradeRequest');

/**
 * An upgrade request that a listener of the engine has read. A server may decide on it
 * later. It may also hand the connection over to Node's HTTP server.
 */
class EngineUpgrade extends Upgrade {
  /**
   * @param {Listener} listener
   * @param {Number} number the number of the accepted connection in the inbox
   * @param {String} head the head of the request
   * @param {Number} version the version of the WebSocket protocol
   * @param {Boolean} offers whether the request offers subprotocols or extensions
   */
  constructor(listener, number, head, version, offers) {
    super();
    this.listener = listener;
    this.version = version;
    this.offers = offers;
    this._head = head;
    this._number = number;
    /** The native object, once the request was taken out of the inbox. */
    this._native = null;
    this._request = null;
    this._socket = null;
    /** The transport, if the connection was opened. */
    this._transport = null;
    /** The response, or null for one without a subprotocol and extensions. */
    this._response = null;
    /** Set when the connection was opened, handed over or closed. */
    this.isDecided = false;
  }

  /** The request target. */
  get url() {
    return UpgradeRequest.urlOf(this._head);
  }

  get request() {
    if (this._request === null) {
      this._request = new UpgradeRequest(this._head, () => this.socket);
    }
    return this._request;
  }

  get requestOrHead() {
    return this._request || this._head;
  }

  /** Node's socket. It is created now. When it closes, the connection does. */
  get socket() {
    if (this._transport !== null) return this._transport.socket;
    if (this._socket === null) this._socket = this._newSocket();
    return this._socket;
  }

  _newSocket() {
    const { listener } = this;
    if (this.isDecided) return listener.closedSocket();
    const socket = listener.socketOver(this);
    socket.on('error', Upgrade.onError);
    socket.once('close', () => this.destroy());
    return socket;
  }

  unguard() {
    this.socket.removeListener('error', Upgrade.onError);
  }

  get isOpen() {
    if (this.isDecided) return false;
    if (this._socket !== null && this._socket.destroyed) return false;
    // A request that is answered at once was read just now.
    return this._native === null || this._native.isOpen();
  }

  get isSecure() {
    return false;
  }

  /** Takes the request out of the inbox, so that it can be decided on later. */
  keep() {
    this._taken();
  }

  _taken() {
    if (this._native === null) {
      this._native = this.listener.engine.native.takeUpgrade(this._number);
    }
    return this._native;
  }

  respond(response) {
    this._response = response;
  }

  open(ws, incoming, options) {
    const transport = new NativeTransport(ws, incoming, options);
    const { _socket: socket } = this;
    this._transport = transport;
    this._socket = null;
    this._decide();
    incoming.moved(ws, transport);
    transport.accept(this);
    if (socket === null) return;
    socket.removeListener('error', Upgrade.onError);
    transport.giveTo(socket);
  }

  // The transport calls these methods when the connection leaves the handshake.

  /**
   * Has the engine open the connection.
   *
   * @param {Number} id the number of the connection
   * @param {Object} settings see `transports/settings`
   * @param {Object} deflate the native PerMessageDeflate, or null
   * @param {Buffer} more the bytes after those that the engine has read
   */
  openInEngine(id, settings, deflate, more) {
    const { _response: response, listener } = this;
    const { native } = listener.engine;
    if (response === null && this._native === null && more.length === 0) {
      native.accept(this._number, id, settings);
      return;
    }
    const taken = this._taken();
    native.acceptUpgrade(taken, id, settings, response, more, deflate);
    this._forget();
  }

  /**
   * Leaves the connection to Node's socket: writes the response to it. Returns the bytes
   * that were read after the request.
   */
  leaveTo(socket) {
    const taken = this._taken();
    const rest = taken.rest();
    socket.write(this._response || taken.plainResponse());
    taken.destroy();
    this._forget();
    return rest;
  }

  /** Closes the connection: it has ended before the engine has opened it. */
  drop() {
    this._taken().destroy();
    this._forget();
  }

  _forget() {
    this._native = null;
    this._response = null;
  }

  /** Returns a duplicate of the connection's descriptor. */
  duplicate() {
    return this._taken().duplicate();
  }

  /** Hands the connection over to Node's HTTP server. */
  handOver() {
    const { listener } = this;
    const taken = this._taken();
    const head = Buffer.from(this._head, 'latin1');
    const read = Buffer.concat([head, taken.rest()]);
    this._decide();
    listener.leave();
    listener.serve(taken.handOver(), read);
  }

  destroy() {
    if (this.isDecided) return;
    const { listener, _socket: socket } = this;
    this._taken().destroy();
    this._decide();
    listener.leave();
    if (socket !== null) socket.destroy();
  }

  _decide() {
    this.isDecided = true;
    this.listener.decided(this);
  }
}

module.exports = EngineUpgrade;
