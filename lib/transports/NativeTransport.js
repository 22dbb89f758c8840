'use strict';

const net = require('net');
const util = require('util');

const Gate = require('../codec/Gate');
const { TOO_BIG, TOO_LONG, toLimit } = require('../codec/limits');
const { EMPTY, endsIn } = require('../codec/payload');
const { failure, violation } = require('../codec/violations');
const { bound, contextOfNow, nobodys } = require('../context');
const { clearTimeout, nextTick, setTimeout } = require('../environment');
const { handedOver } = require('../externalMemory');
const { LINGER } = require('../linger');
const { event, flag, kind } = require('../native');
const AdoptedSocket = require('./AdoptedSocket');
const Callbacks = require('./Callbacks');
const Drain = require('./Drain');
const { theEngine } = require('./engine');
const settingsFor = require('./settings');
const systemError = require('./systemError');
const StreamTransport = require('./StreamTransport');
const { CLOSED, tell } = require('./tell');

const { ACK, FIN, MASK, RAW, RSV1 } = flag;
const { ASCII, LARGE, NUMBER, WRITE } = kind;
const { BINARY, CLOSE, TEXT, VIOLATION } = kind;
const { END, ENDED, ERROR, RELEASED, SENT } = kind;

// The offsets of the fields in an event's row. They are local constants because they are
// read for every event.
const {
  KIND: AT_KIND,
  START: AT_START,
  END: AT_END,
  WIRE: AT_WIRE,
  EXTRA: AT_EXTRA,
} = event;

/** The minimum length, in bytes, of binary messages that bypass the outbox. */
const LONG = 64 * 1024;

/**
 * The minimum length, in UTF-16 code units, of text messages that bypass the outbox. It
 * is higher because text has to be encoded anyway, unless it was just received.
 */
const LONG_TEXT = 256 * 1024;

/**
 * The maximum number of bytes that are posted before the number of queued bytes is looked
 * at. It is a small integer in V8, also with a larger high-water mark.
 */
const MAX_UNWATCHED = 2 ** 30;

/**
 * Carries a connection that the engine reads and writes: one that a listener of the
 * engine has accepted, or one whose socket the engine adopts from Node. It has the
 * methods of StreamTransport, and calls the same methods of `incoming`.
 *
 * A socket of Node is adopted when the engine is next called, usually at the end of the
 * tick. If it has a listener for 'data' or 'readable' by then, a StreamTransport takes
 * over.
 */
class NativeTransport {
  /**
   * Whether the engine can adopt a socket: plain TCP or a pipe, with nothing to write.
   */
  static takes(socket) {
    const handle = socket._handle;
    return (
      process.env.OXWS_TRANSPORT !== 'stream' &&
      socket instanceof net.Socket &&
      !socket.encrypted &&
      !socket.destroyed &&
      socket.readable &&
      socket.writable &&
      socket.writableLength === 0 &&
      !!handle &&
      (handle.constructor.name === 'TCP' ||
        handle.constructor.name === 'Pipe') &&
      typeof handle.fd === 'number' &&
      handle.fd >= 0 &&
      theEngine() !== null
    );
  }

  get name() {
    return 'native';
  }

  /** Where the engine runs: `'inline'` or `'thread'`. */
  get host() {
    return this._engine.host;
  }

  constructor(ws, incoming, options) {
    const { isStepwise, limits } = options;
    this._engine = theEngine();
    this._ws = ws;
    this._incoming = incoming;
    this._options = options;
    /** A program may change limits through `_receiver`. */
    this._limits = limits;
    /** The Callbacks, once there are any. */
    this._callbacks = null;
    this._context = contextOfNow();
    /** The Gate, once it is needed. */
    this._gate = null;
    if (isStepwise) this._openGate();
    /** Set if a listener of the engine has accepted the connection. */
    this.isAccepted = false;
    /** Set by `release`: no events are delivered any more. */
    this._released = false;
    /** Set between `start` or `accept` and `adopt`: the engine does not read yet. */
    this.isOpening = false;
    /**
     * Until `adopt`: the bytes that were read after the handshake, or the EngineUpgrade
     * of a connection that the engine has accepted.
     */
    this._opening = null;
    /** The StreamTransport that has taken over, or null. */
    this._stream = null;
    /** Set when this direction is to end: nothing more can be sent. */
    this.ends = false;
    /** Set when this direction has ended. */
    this._hasEnded = false;
    /** Set when the end of the other direction was delivered. */
    this._hasHeardEnd = false;
    /**
     * The error with which the connection failed, or the number and the system call from
     * which it is created when it is needed; or null.
     */
    this._failure = null;
    this._timer = null;
    /** The AdoptedSocket, or the AcceptedConnections of the listener. */
    this._owner = null;
    /** Set while the connection closes. Only for AcceptedConnections. */
    this.isClosing = false;
    /** Set while the socket has a timeout, which traffic restarts. */
    this.isTimed = false;
    /** The bytes posted to the outbox since flush number `_postedAt` of the engine. */
    this._posted = 0;
    this._postedAt = -1;
    /** The Drain while more than the high-water mark was queued and some still is. */
    this._drain = null;
    /**
     * The number of bytes that can be posted before more than the high-water mark may be
     * queued. Looking at what is queued takes a native call, so it is not done for each
     * message.
     */
    this._unwatched = Math.min(options.highWaterMark, MAX_UNWATCHED);
    /** The number of the connection in the engine; -1 once it has left the engine. */
    this.id = this._engine.open(this);
  }

  /** Node's socket. For an accepted connection it is created when it is first read. */
  get socket() {
    return this._owner.socketOf(this);
  }

  /** Whether the socket is destroyed. */
  get isDestroyed() {
    return this._owner.isDestroyed(this);
  }

  /** Has Node's socket own a connection that was accepted without one. */
  giveTo(socket) {
    this._owner.giveTo(socket, this);
  }

  /**
   * Has Node's socket adopted soon. `head` are the bytes read after the handshake.
   */
  start(socket, head) {
    this._opening = head || EMPTY;
    this.isOpening = true;
    this._owner = new AdoptedSocket(socket, this, this._engine);
    this._engine.adoptSoon(this);
  }

  /** Has the engine open a connection soon that it has accepted. */
  accept(upgrade) {
    this._opening = upgrade;
    this.isAccepted = true;
    this.isOpening = true;
    this._owner = upgrade.listener.connections;
    this._owner.take();
    this._engine.adoptSoon(this);
  }

  /** Returns a duplicate of the descriptor of a connection that the engine has accepted. */
  duplicate() {
    if (this.isOpening) return this._opening.duplicate();
    return this._engine.native.duplicate(this.id);
  }

  /** Has Node's socket own the connection, which was accepted without one. */
  becomeAdopted(socket) {
    this._owner = new AdoptedSocket(socket, this, this._engine);
    this._owner.hasFinished = this._hasEnded;
    this._owner.hasEnded = this._hasHeardEnd;
    if (!this.isOpening) this._owner.hold();
    this._incoming.hasSocket(this._ws, socket);
  }

  /**
   * Has the engine adopt or open the connection. If that fails, or if Node's socket has a
   * listener for 'data' or 'readable', a StreamTransport takes over.
   */
  adopt() {
    if (!this.isOpening) return;
    this.isOpening = false;
    const { _opening: opening } = this;
    this._opening = null;
    const socket = this._owner.existing;
    if (socket !== null && socket.destroyed) {
      if (this.isAccepted) opening.drop();
      return;
    }
    if (socket !== null && isRead(socket)) {
      this._becomeStream(opening);
      return;
    }
    // Node may have read more bytes after the head.
    const read = socket === null ? [] : unread(socket);
    try {
      if (this.isAccepted) this._open(opening, read);
      else this._adopt(Buffer.concat([opening, ...read]));
    } catch (error) {
      if (this.isAccepted) {
        this._owner.destroy(error, this);
        return;
      }
      if (read.length > 0) socket.unshift(Buffer.concat(read));
      this._becomeStream(opening);
      return;
    }
    this._owner.hold();
    if (this.isPaused) this._engine.native.pause(this.id);
  }

  _open(upgrade, read) {
    const { deflate } = this._options;
    const more = read.length === 0 ? EMPTY : Buffer.concat(read);
    const native = deflate && deflate.native;
    upgrade.openInEngine(this.id, this._settings(), native, more);
  }

  _adopt(head) {
    const { deflate } = this._options;
    const { id, _engine: engine } = this;
    const settings = this._settings();
    const { fd } = this.socket._handle;
    engine.native.adopt(id, fd, settings, head, deflate && deflate.native);
  }

  /** Returns the settings of the connection for the engine. */
  _settings() {
    const { _options: options } = this;
    return settingsFor(this._withLimits(options));
  }

  /** Returns the options with the current limits. */
  _withLimits(options) {
    const { _limits: limits } = this;
    if (limits === options.limits) return options;
    return Object.assign({}, options, { limits });
  }

  /**
   * Hands the connection over to a StreamTransport, with everything that was posted.
   * For `opening` see the constructor.
   */
  _becomeStream(opening) {
    const { _context: context } = this;
    const become = () => {
      const posted = this._engine.takeOut(this.id);
      const { _callbacks: callbacks, socket } = this;
      this._owner.undo();
      this._detach();
      const head = this.isAccepted ? opening.leaveTo(socket) : opening;
      const stream = new StreamTransport(
        this._ws,
        socket,
        this._incoming,
        this._withLimits(this._options),
      );
      stream.isAccepted = this.isAccepted;
      this._stream = stream;
      this._incoming.moved(this._ws, stream);
      stream.start(head);
      for (const { flags, bytes } of posted) {
        postAgain(stream, bytes, flags, flags & ACK ? callbacks.take() : null);
      }
      if (this.isPaused) stream.pause();
    };
    if (context === null) become();
    else context.runInAsyncScope(become);
  }

  /**
   * Has the socket adopted now, for a call that cannot wait. If a StreamTransport takes
   * over, calls its method `verb` and returns true.
   */
  _leavesToStream(verb, ...args) {
    if (this.isOpening) this.adopt();
    if (this._stream === null) return false;
    this._stream[verb](...args);
    return true;
  }

  /**
   * Sends a message, or a fragment of one.
   *
   * @param {String|Buffer} data is copied: its memory may be reused when this returns
   * @param {Number} flags see `native.flag`
   * @param {Function} [cb] called with null when the data is handed to the operating
   *   system, or with an error
   */
  send(data, flags, cb) {
    this._post(data, flags, cb);
  }

  /** Sends a PreparedMessage. */
  sendPrepared(message, flags, cb) {
    if (this.ends) {
      if (cb) this._fail(bound(cb), this._isCompressing);
      return;
    }
    if (this.isTimed) this._owner.touch();
    if (cb) flags |= ACK;
    const length = this._engine.postPrepared(this.id, flags, message);
    this._afterPost(cb, flags, length);
  }

  /** Sends a control frame. The caller has checked that the payload is not too long. */
  control(opcode, payload, mask, cb) {
    this._post(payload, opcode | FIN | (mask ? MASK : 0), cb);
  }

  /** Writes raw bytes to the socket, after all data that was sent before. */
  write(bytes, cb) {
    this._post(bytes, RAW, cb);
  }

  /**
   * Writes a frame that is given as a list of strings and Buffers. A list that is sent to
   * many connections in a row is copied to the outbox only once.
   */
  writeList(list, cb) {
    if (this.ends || list.reduce(addLength, 0) >= LONG) {
      this._post(joined(list), RAW, cb);
      return;
    }
    if (this.isTimed) this._owner.touch();
    const length = this._engine.postList(this.id, cb ? RAW | ACK : RAW, list);
    this._afterPost(cb, RAW, length);
  }

  /** Whether the transport is paused. */
  get isPaused() {
    return this._gate !== null && this._gate.isPaused;
  }

  /** Stops reading, and delivers no received events until `resume`. */
  pause() {
    if (this.isPaused) return;
    this._openGate().pause();
    if (!this.isPaused) return;
    this._gate.pausedIn = this._engine.batch;
    if (!this.isOpening) this._engine.native.pause(this.id);
    this._owner.paused();
  }

  /** Continues after `pause`, on the next tick. */
  resume() {
    if (!this.isPaused) return;
    this._gate.resume();
    nextTick(() => this._owner.resumed());
  }

  /** If paused, ends the pause and drops all events but those that end the connection. */
  drop() {
    if (this._gate !== null) this._gate.drop();
  }

  /** Sets the maximum length, in bytes, of messages not yet decoded; 0 for no limit. */
  setMaxPayload(bytes) {
    this._limits = Object.assign({}, this._limits, { maxPayload: bytes });
    if (!this.isOpening)
      this._engine.native.setMaxPayload(this.id, toLimit(bytes));
  }

  /** Sets whether text has to be valid UTF-8, from the next message on. */
  setValidates(validates) {
    this._limits = Object.assign({}, this._limits, { validates });
    if (!this.isOpening) this._engine.native.setValidates(this.id, validates);
  }

  /** The bytes sent but not yet handed to the operating system. */
  get bufferedAmount() {
    return this._unflushed + this._engine.native.queuedBytes(this.id);
  }

  /** The bytes that the engine has read from the socket. */
  get bytesRead() {
    return this._engine.native.receivedBytes(this.id);
  }

  /** The bytes sent, including those not yet handed to the operating system. */
  get bytesWritten() {
    return this._unflushed + this._engine.native.acceptedBytes(this.id);
  }

  /** The bytes in the outbox, which the engine does not count before the next flush. */
  get _unflushed() {
    return this._postedAt === this._engine.flushes ? this._posted : 0;
  }

  /** Ends this direction of the connection after the frames encoded so far. */
  end() {
    if (this.ends || this._leavesToStream('end')) return;
    this._stopSending();
    this._engine.native.end(this.id);
  }

  /** Destroys the socket. Received events are still delivered. */
  destroy(error) {
    this._owner.destroy(error, this);
  }

  /** Called by the owner when the socket has closed. */
  socketClosed() {
    this._forget();
    if (this._released) return;
    this._incoming.closing(this._ws);
    // After the callbacks, which run while the connection is closing.
    nextTick(() => this._openGate().fail(CLOSED, null, 0, 0));
  }

  /** Called by the owner when the socket has failed. */
  socketFailed(error) {
    this._failure = this.cause || error;
  }

  /** The error with which the connection failed, or null. */
  get cause() {
    const { _failure: failure } = this;
    if (failure !== null && !(failure instanceof Error)) {
      this._failure = systemError(failure.number, failure.syscall);
    }
    return this._failure;
  }

  /**
   * Called before the socket is destroyed: writes out what was sent before. Returns true
   * if a StreamTransport has taken over the socket.
   */
  leave() {
    if (this.isOpening) {
      // The engine would read on. What was read with the handshake is still delivered.
      this.isOpening = false;
      this._becomeStream(this._opening);
      this._opening = null;
    }
    if (this._stream !== null) return true;
    if (!this.ends) this._stopSending();
    return false;
  }

  /**
   * Stops sending, as a StreamTransport does: drops the first message that is not
   * compressed yet and all later ones, in the outbox and in the engine, and flushes the
   * others. The callbacks of the dropped messages are called when the connection ends.
   */
  _stopSending() {
    this.ends = true;
    this._engine.takeBack(this.id, (flags, length) =>
      this._compresses(flags, length),
    );
    this._engine.flush();
    this._engine.native.dropUnframed(this.id);
  }

  /** Detaches from the socket, and ends it or, if `destroy` is true, destroys it. */
  release(destroy) {
    if (this._leavesToStream('release', destroy)) return;
    this._released = true;
    if (this._gate !== null) this._gate.clear();
    if (destroy || this._owner.isDestroyed(this)) {
      this._destroy();
      return;
    }
    this._engine.flush();
    this._engine.native.release(this.id);
    this._timer = setTimeout(() => this._destroy(), LINGER);
  }

  /** Called by the engine for each event: `at` is the offset of its row in the inbox. */
  receive(at) {
    const { rows } = this._engine;
    if (this.isTimed) this._owner.touch();
    const what = rows[at + AT_KIND];
    const wire = rows[at + AT_WIRE];
    let extra = rows[at + AT_EXTRA];
    switch (what & NUMBER) {
      case SENT:
        this._callBack(at);
        return;
      case ENDED:
        this._hasEnded = true;
        this._owner.finish();
        if (this._hasHeardEnd) this._owner.destroy(null, this);
        return;
      case RELEASED:
        this._destroy();
        return;
      case END:
        if (!this._released) this._openGate().end(what, null, wire, extra);
        return;
      case ERROR:
        this._failure = {
          number: extra,
          syscall: what & WRITE ? 'write' : 'read',
        };
        if (!this._released) this._openGate().fail(what, null, wire, extra);
        return;
    }
    if (this._released) return;
    let data;
    try {
      data = this._data(what, rows[at + AT_START], rows[at + AT_END]);
      if (extra > 0 && (what & NUMBER) <= BINARY) extra = this._ends(extra);
    } catch (error) {
      // For example, there is no memory for the payload: close only this connection.
      this._pass(VIOLATION, failure(TOO_LONG, error), wire, TOO_BIG);
      return;
    }
    this._pass(what, data, wire, extra);
  }

  /** Called by the engine: a listener of the connection has entered stores. */
  enter(context) {
    if (this._context === null) this._context = context;
  }

  /** Returns the payload, or the violation, of an event. */
  _data(what, start, end) {
    const { native, bytes } = this._engine;
    const number = what & NUMBER;
    if (number === TEXT && this._options.textsAreStrings) {
      if (what & LARGE) {
        return this._engine.takeText(start, (what & ASCII) !== 0);
      }
      if (what & ASCII) return bytes.latin1Slice(start, end);
      return bytes.utf8Slice(start, end);
    }
    if (number === VIOLATION) return violation(start, end);
    if (what & LARGE) return handedOver(native.takeBuffer(start));
    return start === end ? EMPTY : this._engine.bytesAt(start, end);
  }

  /** Returns the ends of a message's fragments, or 0 if `incoming` does not need them. */
  _ends(extra) {
    if (!this._incoming.wantsEnds(this._ws)) return 0;
    return endsIn(this._engine.native.takeBuffer(extra - 1));
  }

  /** Returns the gate, which is created when it is first needed. */
  _openGate() {
    if (this._gate === null) {
      this._gate = new Gate(this, this._context || nobodys, this._options);
    }
    return this._gate;
  }

  /** Delivers an event in the context of the connection, or queues it. */
  _pass(what, data, wire, extra) {
    const context = this._context;
    if (this._gate !== null && this._gate.isShut)
      this._hold(what, data, wire, extra);
    else if (context === null) this.tell(what, data, wire, extra);
    else context.runInAsyncScope(this.tell, this, what, data, wire, extra);
  }

  _hold(what, data, wire, extra) {
    const { _gate: gate, _engine: engine } = this;
    // Read no more while a stepwise gate delivers its queue.
    if (gate.isStepwise && !gate.holds) engine.native.pause(this.id);
    gate.hold(what, data, wire, extra);
  }

  /** Called by the gate: whether an event ends the connection or starts its closing. */
  isLast(what) {
    const number = what & NUMBER;
    return number === CLOSE || number >= VIOLATION;
  }

  /**
   * Called by the gate: whether an event ends a pause. A thread of the engine may have
   * frames in a later batch than the one in which `pause` was called. For the program
   * they are not read yet.
   */
  endsPause(what) {
    if ((what & NUMBER) > VIOLATION) return true;
    return this.isLast(what) && this._engine.batch === this._gate.pausedIn;
  }

  /** Called by the gate for each event that is dropped. */
  dropped(what, data, wire) {
    this._incoming.dropped(this._ws, wire);
  }

  /** Called by the gate when its queue is empty. */
  goOn() {
    if (this.id !== -1 && !this.isOpening) this._engine.native.resume(this.id);
  }

  /** Delivers an event. */
  tell(what, data, wire, extra) {
    if ((what & NUMBER) === END) this._tellEnd();
    else tell(this._incoming, this._ws, what, data, wire, extra);
  }

  /** Delivers the end of the other direction. Closes the socket if both have ended. */
  _tellEnd() {
    this._hasHeardEnd = true;
    try {
      this._incoming.end(this._ws);
    } finally {
      if (!this._released) {
        this._owner.end();
        if (this._hasEnded) this._owner.destroy(null, this);
      }
    }
  }

  _post(data, flags, cb) {
    const { _engine: engine } = this;
    if (this.ends) {
      if (cb) this._fail(bound(cb), this._isCompressing);
      return;
    }
    if (this.isTimed) this._owner.touch();
    const isText = typeof data === 'string';
    const { length: units } = data;
    const isLong = units >= LONG && (!isText || data === engine.lastText);
    if (isLong || units >= LONG_TEXT) {
      this._sendLong(data, flags, cb);
      return;
    }
    if (cb) flags |= ACK;
    const length = isText
      ? engine.postText(this.id, flags, data)
      : engine.postBytes(this.id, flags, data);
    this._afterPost(cb, flags, length);
  }

  /** Counts a message of `length` bytes that was posted to the outbox. */
  _afterPost(cb, flags, length) {
    if (this._postedAt !== this._engine.flushes) {
      this._postedAt = this._engine.flushes;
      this._posted = 0;
    }
    this._posted += length;
    this._unwatched -= length;
    if (this._unwatched < 0) this.watch();
    if (cb) this._await(cb, flags, length);
  }

  /** Queues the callback of a message of `length` bytes. */
  _await(cb, flags, length) {
    if (this._callbacks === null) this._callbacks = new Callbacks();
    this._callbacks.add(cb, this._compresses(flags, length));
  }

  /** Whether a message with these flags and this length in bytes is compressed. */
  _compresses(flags, length) {
    const { deflate } = this._options;
    return (flags & RSV1) !== 0 && deflate && length >= deflate.threshold;
  }

  /** Sends data that bypasses the outbox, after flushing the outbox. */
  _sendLong(data, flags, cb) {
    const verb = flags & RAW ? 'write' : 'send';
    const args = flags & RAW ? [data, cb] : [data, flags, cb];
    if (this._leavesToStream(verb, ...args)) return;
    if (cb) flags |= ACK;
    const { _engine: engine, id } = this;
    engine.flush();
    if (typeof data !== 'string')
      engine.native.sendLong(id, flags, unshared(data));
    else if (data !== engine.lastText || !engine.native.sendLastText(id, flags))
      engine.native.sendLongText(id, flags, data);
    this.watch();
    if (cb) this._await(cb, flags, data.length);
  }

  /**
   * Whether 'drain' has to be emitted, because more than the high-water mark is or was
   * queued. 'drain' is not emitted while some is still queued.
   */
  get needsDrain() {
    this.watch();
    return this._drain !== null && !this.isDestroyed;
  }

  /** Looks at what is queued. Above the high-water mark, waits until it is written. */
  watch() {
    if (this._drain === null) {
      const { _incoming: incoming, _options: options } = this;
      const queued = this.bufferedAmount + incoming.heldBytes(this._ws);
      const left = options.highWaterMark - queued;
      if (left >= 0 || this.ends) {
        this._unwatched = Math.min(Math.max(left, 0), MAX_UNWATCHED);
        return;
      }
      this._drain = new Drain(this);
    }
    this._unwatched = MAX_UNWATCHED;
    this._drain.lookSoon();
  }

  /** All queued bytes, also those that `incoming` itself queues. */
  get queuedBytes() {
    const bytes = this.bufferedAmount + this._incoming.heldBytes(this._ws);
    // Heads of frames may have been added since the last message was sent.
    if (bytes > this._options.highWaterMark) this.watch();
    return bytes;
  }

  /** Called by the Drain: whether callbacks of messages are still to come. */
  get isAwaited() {
    return this._callbacks !== null && this._callbacks.length > 0;
  }

  /** Called by the Drain when everything is written. */
  emptied() {
    if (this._released || this.isDestroyed) return;
    if (this._incoming.heldBytes(this._ws) > 0) {
      // The next message that is posted is to be written, too.
      this._unwatched = -1;
      return;
    }
    this._drain = null;
    this._unwatched = Math.min(this._options.highWaterMark, MAX_UNWATCHED);
    const { _context: context, _incoming: incoming } = this;
    (context || nobodys).runInAsyncScope(incoming.drained, incoming, this._ws);
  }

  /** Calls the callbacks of sent messages. The row has their number. */
  _callBack(at) {
    const { _engine: engine, _callbacks: callbacks } = this;
    const { rows } = engine;
    const count = at + AT_EXTRA;
    while (rows[count] > 0 && callbacks !== null && callbacks.length > 0) {
      rows[count]--;
      const callback = callbacks.take();
      let hasThrown = true;
      try {
        callback(null);
        hasThrown = false;
      } finally {
        // The callback has thrown: the other callbacks are still called.
        if (hasThrown && rows[count] > 0) engine.repeat();
      }
    }
  }

  /** Whether the messages sent last are being compressed. */
  get _isCompressing() {
    return this._callbacks !== null && this._callbacks.isCompressing;
  }

  /** Calls the callback of a message that is not sent. */
  _fail(callback, isCompressing) {
    nextTick(callback, this._incoming.notSent(this.cause, isCompressing));
  }

  _destroy() {
    this._forget();
    this._owner.destroy(null, this);
  }

  /** Detaches the socket from the engine, and calls all remaining callbacks. */
  _forget() {
    if (this.id === -1) return;
    clearTimeout(this._timer);
    this.isOpening = false;
    this.ends = true;
    const { native } = this._engine;
    const { id, _callbacks: callbacks } = this;
    // The engine may have sent messages without having reported it yet.
    const sent = callbacks === null ? 0 : native.sentMessages(id);
    this._owner.giveBack(this);
    this._detach();
    native.destroy(id);
    if (callbacks === null) return;
    while (callbacks.taken < sent) nextTick(callbacks.take(), null);
    while (callbacks.length > 0) {
      const { isCompressing } = callbacks;
      this._fail(callbacks.take(), isCompressing);
    }
  }

  _detach() {
    this._engine.close(this.id);
    this.id = -1;
    if (this._drain !== null) this._drain.cancel();
    this._drain = null;
  }
}

/** Whether a socket has a listener for 'data' or 'readable'. */
function isRead(socket) {
  return socket.listenerCount('data') + socket.listenerCount('readable') > 0;
}

/** Takes all chunks that Node has read from a socket and buffered. */
function unread(socket) {
  const chunks = [];
  // Since Node.js 26, `read` returns one chunk per call.
  while (socket.readableLength > 0) {
    const chunk = socket.read();
    if (chunk === null) break;
    chunks.push(chunk);
  }
  return chunks;
}

/** Sends a message taken out of the outbox through a StreamTransport. */
function postAgain(stream, bytes, flags, cb) {
  const opcode = flags & flag.OPCODE;
  if (flags & RAW) stream.write(bytes, cb);
  else if (opcode > BINARY) stream.control(opcode, bytes, !!(flags & MASK), cb);
  else stream.send(bytes, flags & ~ACK, cb);
}

/** Concatenates a list of strings and Buffers. */
function joined(list) {
  return Buffer.concat(list.map(asBytes));
}

function asBytes(piece) {
  return typeof piece === 'string' ? Buffer.from(piece) : piece;
}

function addLength(sum, piece) {
  return sum + Buffer.byteLength(piece);
}

/**
 * Copies bytes in shared memory, so that no other thread changes them during the send.
 */
function unshared(bytes) {
  return util.types.isSharedArrayBuffer(bytes.buffer)
    ? Buffer.from(bytes)
    : bytes;
}

module.exports = NativeTransport;
