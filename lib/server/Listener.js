'use strict';

const cluster = require('cluster');
const diagnosticsChannel = require('diagnostics_channel');
const http = require('http');
const net = require('net');

const { contextOfNow, newContext, nobodys } = require('../context');
const { setTimeout } = require('../environment');
const { event, kind } = require('../native');
const { theEngine } = require('../transports/engine');
const systemError = require('../transports/systemError');
const AcceptedConnections = require('./AcceptedConnections');
const EngineUpgrade = require('./EngineUpgrade');

const { EXTRA, KIND, START, END, WIRE } = event;
const { ERROR, NUMBER, OFFERS, OTHER, SWEEP, UPGRADE } = kind;

/** The channel on which Node tells of new sockets of servers. */
const newSockets = diagnosticsChannel.channel('net.server.socket');

/**
 * The time between two sweeps, in milliseconds. A connection whose request does not
 * arrive in one or two of these is handed over to Node's HTTP server.
 */
const SWEEP_AFTER = 1000;

/** The longest head that the engine reads, in bytes. */
const MAX_HEAD = 16 * 1024;

/**
 * Has the engine accept the connections of an HTTP server, instead of Node. Node still
 * binds the socket, and the server's methods work as usual: `address`, `close`,
 * `getConnections`, `ref`, `unref`.
 *
 * The engine reads the head of each request. Upgrade requests in the usual form go to
 * `onUpgrade`. Node's HTTP server gets everything else, as if it had accepted the
 * connection itself: other requests, invalid ones, and requests that do not arrive in
 * time.
 */
class Listener {
  /**
   * @param {http.Server} server
   * @param {Function} onUpgrade called with each EngineUpgrade; if it throws, the
   *   connection is closed
   */
  constructor(server, onUpgrade) {
    this.engine = null;
    this.server = server;
    this._onUpgrade = onUpgrade;
    /** The listener of the WebSocket server for 'upgrade'. */
    [this._ownListener] = server.listeners('upgrade');
    /** The context of 'connection' events of the HTTP server, as in Node. */
    this._context = contextOfNow() || nobodys;
    /** The number in the engine's table; -1 while the engine does not listen. */
    this.id = -1;
    this._isRef = false;
    this.connections = new AcceptedConnections(this);
    /** The upgrades that wait for a decision. */
    this._waiting = new Set();
    this._timer = null;
  }

  /** Whether the engine accepts the connections. */
  get isOpen() {
    return this.id !== -1;
  }

  /**
   * Starts to listen on the bound socket of a handle.
   *
   * @returns {Number} 0, or the negative number of the system's error, as libuv
   */
  listen(engine, handle, backlog) {
    // libuv reports that an address is in use only when the socket is to listen.
    const error = handle.getsockname ? handle.getsockname({}) : 0;
    if (error) return error;
    const id = engine.open(this);
    const most = Math.min(http.maxHeaderSize, MAX_HEAD);
    const status = engine.native.listen(id, handle.fd, backlog, most);
    if (status !== 0) {
      engine.close(id);
      return status;
    }
    this.engine = engine;
    this.id = id;
    this.ref();
    this._handOverIfWatched();
    return 0;
  }

  /** Stops to listen. Connections that were accepted stay open. */
  close() {
    if (!this.isOpen) return;
    const { id } = this;
    this.unref();
    this.id = -1;
    this.engine.close(id);
    this.engine.native.unlisten(id);
  }

  ref() {
    if (this._isRef || !this.isOpen) return;
    this._isRef = true;
    this.engine.keepAlive(1);
  }

  unref() {
    if (!this._isRef) return;
    this._isRef = false;
    this.engine.keepAlive(-1);
  }

  hasRef() {
    return this._isRef;
  }

  /** Has Node serve each connection from its beginning, if the program may see it. */
  _handOverIfWatched() {
    const { server } = this;
    const hasLimit = server.maxConnections !== undefined;
    // One listener for 'connection' is that of the HTTP server itself.
    if (!hasLimit && server.listenerCount('connection') < 2) return;
    this.engine.native.setHandsOver(this.id, true);
  }

  /** Called when the program may see a connection from its beginning from now on. */
  watched() {
    if (this.isOpen) this.engine.native.setHandsOver(this.id, true);
  }

  /** Called by the engine for each event: `at` is the offset of its row in the inbox. */
  receive(at) {
    const { engine } = this;
    const { rows, bytes } = engine;
    const what = rows[at + KIND];
    const extra = rows[at + EXTRA];
    switch (what & NUMBER) {
      case UPGRADE: {
        const head = bytes.latin1Slice(rows[at + START], rows[at + END]);
        const offers = (what & OFFERS) !== 0;
        const version = rows[at + WIRE];
        this.join();
        const upgrade = new EngineUpgrade(this, extra, head, version, offers);
        newContext().runInAsyncScope(this._decideOn, this, upgrade);
        return;
      }
      case OTHER: {
        const read = Buffer.from(
          bytes.subarray(rows[at + START], rows[at + END]),
        );
        const fd = engine.native.handOver(extra);
        this.serve(fd, read);
        return;
      }
      case SWEEP:
        this._sweepLater();
        return;
      case ERROR:
        this.server.emit('error', systemError(extra, 'listen'));
    }
  }

  /** Called by the engine: a listener has entered stores, which nobody needs. */
  enter() {}

  _decideOn(upgrade) {
    let hasThrown = true;
    try {
      const isPlain = this._isOwn && !newSockets.hasSubscribers;
      if (isPlain) this._onUpgrade(upgrade);
      else upgrade.handOver();
      hasThrown = false;
    } finally {
      if (hasThrown) upgrade.destroy();
    }
    if (upgrade.isDecided) return;
    upgrade.keep();
    this._waiting.add(upgrade);
    this.engine.keepAlive(1);
    this._sweepLater();
  }

  /**
   * Whether only the WebSocket server listens for upgrades. If the program listens, or has
   * removed that listener, the HTTP server gets all upgrade requests.
   */
  get _isOwn() {
    const listeners = this.server.listeners('upgrade');
    return listeners.length === 1 && listeners[0] === this._ownListener;
  }

  /** Called by an Upgrade that was decided on. */
  decided(upgrade) {
    if (this._waiting.delete(upgrade)) this.engine.keepAlive(-1);
  }

  _sweepLater() {
    if (this._timer !== null) return;
    this._timer = setTimeout(() => this._sweep(), SWEEP_AFTER);
    // A fake timer of a test framework may lack it.
    if (this._timer.unref) this._timer.unref();
  }

  _sweep() {
    this._timer = null;
    if (this.isOpen) this.engine.native.sweep(this.id);
    for (const upgrade of this._waiting) {
      if (!upgrade.isOpen) upgrade.destroy();
    }
    if (this._waiting.size > 0) this._sweepLater();
  }

  /** Has Node's HTTP server serve a connection, of which `read` was read. */
  serve(fd, read) {
    const { server } = this;
    const socket = new net.Socket({
      fd,
      allowHalfOpen: server.allowHalfOpen,
      readable: true,
      writable: true,
    });
    const { maxConnections: most, _connections: count } = server;
    if (isLimit(most) && count >= most) {
      drop(server, socket);
      return;
    }
    this.join();
    socket.server = server;
    socket._server = server;
    if (read.length > 0) socket.unshift(read);
    if (newSockets.hasSubscribers) newSockets.publish({ socket });
    this._context.runInAsyncScope(server.emit, server, 'connection', socket);
  }

  /**
   * Returns Node's socket over a descriptor: a duplicate that `from.duplicate()` returns.
   * If no descriptors are left, the socket has none, and so no addresses.
   */
  socketOver(from) {
    const options = { allowHalfOpen: true, readable: true, writable: true };
    try {
      // The socket must not read: the engine does.
      Object.assign(options, { fd: from.duplicate(), manualStart: true });
    } catch {
      // A socket without a descriptor.
    }
    const socket = new net.Socket(options);
    socket.server = this.server;
    return socket;
  }

  /** Returns a socket of Node that is closed. */
  closedSocket() {
    const socket = new net.Socket();
    socket.server = this.server;
    return socket.destroy();
  }

  /** Counts a connection of the server, as Node does. */
  join() {
    this.server._connections++;
  }

  /** Counts a connection no longer. */
  leave() {
    this.server._connections--;
    this.server._emitCloseIfDrained();
  }
}

/** Whether `maxConnections` is a limit. Before Node.js 21, 0 is none. */
function isLimit(most) {
  if (most === undefined || most === null) return false;
  return most !== 0 || Number.parseInt(process.versions.node) >= 21;
}

/** Closes a connection that exceeds the server's `maxConnections`, as Node does. */
function drop(server, socket) {
  const { localAddress, localPort, remoteAddress, remotePort } = socket;
  const { localFamily, remoteFamily } = socket;
  socket.destroy();
  server.emit('drop', {
    localAddress,
    localPort,
    localFamily,
    remoteAddress,
    remotePort,
    remoteFamily,
  });
}

/** Whether the engine may accept connections at all. */
function isPossible(isExclusive) {
  const { OXWS_LISTENER: listener, OXWS_TRANSPORT: transport } = process.env;
  // In a cluster, the primary process listens.
  const isOurs = isExclusive || !cluster.isWorker;
  return listener !== 'node' && transport !== 'stream' && isOurs;
}

/**
 * Has the engine accept the connections of an HTTP server, if it can. Called before
 * `server.listen`.
 *
 * @param {http.Server} server
 * @param {Function} onUpgrade see Listener
 * @param {Boolean} isExclusive whether this process listens itself even in a cluster
 */
function accepting(server, onUpgrade, isExclusive) {
  if (!isPossible(isExclusive)) return;
  const listener = new Listener(server, onUpgrade);
  intercept(server, '_handle', (handle) => {
    if (handle !== null && handle.fd >= 0) takeOver(handle, listener);
  });
  intercept(server, 'maxConnections', () => listener.watched());
  server.on('newListener', (name) => {
    if (name === 'connection') listener.watched();
  });
}

/** Calls `onSet` with each value that a property of an object is set to. */
function intercept(object, name, onSet) {
  let value = object[name];
  Object.defineProperty(object, name, {
    configurable: true,
    enumerable: true,
    get: () => value,
    set(next) {
      value = next;
      onSet(next);
    },
  });
}

/**
 * Has the engine listen instead of libuv. `net.Server` calls these methods of its handle,
 * which is bound, but never starts to listen itself.
 */
function takeOver(handle, listener) {
  const { close, listen } = handle;
  const methods = {
    listen(backlog) {
      const engine = theEngine();
      if (engine !== null) return listener.listen(engine, handle, backlog);
      for (const name of Object.keys(methods)) delete handle[name];
      return listen.call(handle, backlog);
    },
    close(callback) {
      listener.close();
      return close.call(handle, callback);
    },
    ref: () => listener.ref(),
    unref: () => listener.unref(),
    hasRef: () => listener.hasRef(),
  };
  Object.assign(handle, methods);
}

module.exports = accepting;
