'use strict';

const net = require('net');
const util = require('util');

const Gate = require('../codec/Gate');
const { TOO_BIG, TOO_LONG, limitsFor, toLimit } = require('../codec/limits');
const { EMPTY, endsIn } = require('../codec/payload');
const { failure, violation } = require('../codec/violations');
const Queue = require('../Queue');
const { bound, contextOfNow, nobodys } = require('../context');
const { clearTimeout, nextTick, setTimeout } = require('../environment');
const { handedOver } = require('../externalMemory');
const { LINGER } = require('../linger');
const { event, flag, kind } = require('../native');
const AdoptedSocket = require('./AdoptedSocket');
const { theEngine } = require('./engine');
const StreamTransport = require('./StreamTransport');
const { CLOSED, tell } = require('./tell');

const { ACK, FIN, MASK, RAW, RSV1 } = flag;
const { ASCII, LARGE, NUMBER, WRITE } = kind;
const { BINARY, CLOSE, TEXT, VIOLATION } = kind;
const { END, ENDED, ERROR, RELEASED, SENT } = kind;

// Where in the row of an event each number is, as constants: they are read for each.
const {
  KIND: AT_KIND,
  START: AT_START,
  END: AT_END,
  WIRE: AT_WIRE,
  EXTRA: AT_EXTRA,
} = event;

/** Binary messages at least this long, in bytes, do not go through the outbox. */
const LONG = 64 * 1024;

/** Nor do texts of so many units, which have to be encoded anyway. */
const LONG_TEXT = 256 * 1024;

/**
 * Carries a connection whose socket the engine has adopted. It has the methods of
 * StreamTransport, and calls the same handlers.
 *
 * The socket is adopted when the engine is next called, and stays Node's until the end of
 * the tick: who listens for its 'data' by then gets a stream.
 */
class NativeTransport {
  /** Whether the engine can take over a socket: a plain one, with nothing pending. */
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

  /** Where the engine runs: `inline` or `thread`. */
  get host() {
    return this._engine.host;
  }

  constructor(ws, socket, incoming, options) {
    const { deflate, limits, masks, textsAreStrings } = options;
    this._engine = theEngine();
    this._ws = ws;
    this._socket = socket;
    this._incoming = incoming;
    this._options = options;
    this._masks = masks;
    this._textsAreStrings = textsAreStrings;
    this._threshold = deflate ? deflate.threshold : Infinity;
    /** The limits, which programs may change. */
    this._maxPayload = limits.maxPayload;
    this._validates = limits.validates;
    /** The callbacks of what is sent, in order. */
    this._callbacks = new Queue();
    /** How many were called since the system has taken their messages. */
    this._calledBack = 0;
    /** How many of all there were at the last message that is to be compressed. */
    this._lastCompressed = 0;
    this._context = contextOfNow();
    const context = this._context || nobodys;
    this._gate = new Gate(this, context, options);
    this._released = false;
    /** Whether the socket is still Node's, and what was read of it. */
    this._isOpening = false;
    this._head = null;
    /** What carries the connection instead, if the engine does not. */
    this._stream = null;
    /** Whether this direction is to end: nothing more is sent. */
    this.ends = false;
    /** Whether it has, and whether the other one has. */
    this._hasEnded = false;
    this._hasHeardEnd = false;
    /** Why the connection failed, if it did. */
    this._error = null;
    this._timer = null;
    this._adopted = null;
    /** Whether the socket has a timeout, which traffic puts off. */
    this.isTimed = false;
    /** The bytes posted, as long as the engine has counted this many flushes. */
    this._posted = 0;
    this._postedAt = -1;
    this.id = this._engine.open(this);
    this._listeners = {
      close: () => {
        this._forget();
        if (this._released) return;
        incoming.closing(ws);
        // Behind the callbacks, which find the connection closing.
        nextTick(() => this._gate.fail(CLOSED, null, 0, 0));
      },
      error: (error) => {
        this._error = this._error || error;
      },
    };
  }

  /** Takes the socket; `head` is what was read already. */
  start(head) {
    const socket = this._socket;
    this._head = head || EMPTY;
    this._isOpening = true;
    for (const [name, listener] of Object.entries(this._listeners)) {
      socket.on(name, listener);
    }
    this._adopted = new AdoptedSocket(socket, this, this._engine);
    this._engine.adoptSoon(this);
  }

  /**
   * Has the engine adopt the socket. If it cannot, or somebody listens to what the socket
   * gives, the connection goes on as a stream.
   */
  adopt() {
    if (!this._isOpening) return;
    this._isOpening = false;
    const socket = this._socket;
    if (socket.destroyed || !socket._handle) return;
    if (isRead(socket)) {
      this._becomeStream();
      return;
    }
    // What Node has read and nobody has taken comes behind the head.
    const read = unread(socket);
    try {
      this._adopt(Buffer.concat([this._head, ...read]));
    } catch {
      if (read.length > 0) socket.unshift(Buffer.concat(read));
      this._becomeStream();
      return;
    }
    this._head = null;
    socket.readableFlowing = false;
    socket._handle.readStop();
    // Node starts to read again unless it takes the handle to be reading.
    socket._handle.reading = true;
    if (this._gate.isPaused) this._engine.native.pause(this.id);
  }

  get _limits() {
    return Object.assign({}, this._options.limits, {
      maxPayload: this._maxPayload,
      validates: this._validates,
    });
  }

  _adopt(head) {
    const { answers, deflate, masks, textsAreStrings } = this._options;
    this._engine.native.adopt(
      {
        id: this.id,
        fd: this._socket._handle.fd,
        masks,
        answers,
        textsAreStrings,
        threshold: deflate ? deflate.threshold : 0,
      },
      limitsFor(this._limits),
      head,
      deflate ? deflate.native : null,
    );
  }

  /** Goes on as a stream, with all that was posted. */
  _becomeStream() {
    const { _context: context } = this;
    const become = () => {
      const posted = this._engine.takeOut(this.id);
      const callbacks = this._callbacks.clear();
      this._adopted.undo();
      this._detach();
      const limits = this._limits;
      const stream = new StreamTransport(
        this._ws,
        this._socket,
        this._incoming,
        Object.assign({}, this._options, { limits }),
      );
      this._stream = stream;
      this._incoming.moved(this._ws, stream);
      stream.start(this._head);
      for (const { flags, bytes } of posted) {
        postAgain(stream, bytes, flags, flags & ACK ? callbacks.shift() : null);
      }
      if (this._gate.isPaused) stream.pause();
    };
    if (context === null) become();
    else context.runInAsyncScope(become);
  }

  /**
   * Has the socket adopted now, for what cannot wait. Whether it is a stream that has the
   * connection instead, which then has done this.
   */
  _leavesToStream(verb, ...args) {
    if (this._isOpening) this.adopt();
    if (this._stream === null) return false;
    this._stream[verb](...args);
    return true;
  }

  /**
   * Sends a message, or a fragment of one.
   *
   * @param {String|Buffer} data which may be changed at once
   * @param {Number} flags what its frame is to be: see `native.flag`
   * @param {Function} [cb] called once the system has taken it, or with an error
   */
  send(data, flags, cb) {
    this._post(data, flags, cb);
  }

  /** Sends a control frame; its payload is short enough. */
  control(opcode, payload, mask, cb) {
    this._post(payload, opcode | FIN | (mask ? MASK : 0), cb);
  }

  /** Writes bytes to the socket as they are, in their place behind what is sent. */
  write(bytes, cb) {
    this._post(bytes, RAW, cb);
  }

  /**
   * Writes a frame in pieces, strings or bytes. A list that is sent to many connections
   * stands in the outbox once.
   */
  writeList(list, cb) {
    if (this.ends || list.reduce(addLength, 0) >= LONG) {
      this._post(joined(list), RAW, cb);
      return;
    }
    if (this.isTimed) this._socket._unrefTimer();
    const length = this._engine.postList(this.id, cb ? RAW | ACK : RAW, list);
    if (cb) this._callbacks.push(bound(cb));
    this._count(length);
  }

  /** Whether it tells nothing that is received until `resume`. */
  get isPaused() {
    return this._gate.isPaused;
  }

  /** Makes no more calls of `message` and its like until `resume`. */
  pause() {
    if (this._gate.isPaused) return;
    this._gate.pause();
    if (!this._gate.isPaused) return;
    if (!this._isOpening) this._engine.native.pause(this.id);
    this._socket.emit('pause');
  }

  /** Goes on where `pause` stopped, on the next tick. */
  resume() {
    if (!this._gate.isPaused) return;
    this._gate.resume();
    nextTick(() => this._socket.emit('resume'));
  }

  /** Drops, if it is paused, all but what ends the connection: nobody will resume. */
  drop() {
    this._gate.drop();
  }

  /** Sets the longest message in bytes, 0 for no limit: of those not yet decoded. */
  setMaxPayload(bytes) {
    this._maxPayload = bytes;
    if (!this._isOpening)
      this._engine.native.setMaxPayload(this.id, toLimit(bytes));
  }

  /** Sets whether texts have to be UTF-8: from the next message on. */
  setValidates(validates) {
    if (this._isOpening) this._validates = validates;
    else this._engine.native.setValidates(this.id, validates);
  }

  /** The bytes that the system has not yet taken. */
  get bufferedAmount() {
    return this._unflushed + this._engine.native.queuedBytes(this.id);
  }

  /** The bytes that the engine has received from the system. */
  get bytesRead() {
    return this._engine.native.receivedBytes(this.id);
  }

  /** The bytes that were sent, with those that the system has not yet taken. */
  get bytesWritten() {
    return this._unflushed + this._engine.native.acceptedBytes(this.id);
  }

  /** The bytes posted that the engine does not count yet. */
  get _unflushed() {
    return this._postedAt === this._engine.flushes ? this._posted : 0;
  }

  /** Sends what is framed already, and no more: this direction ends. */
  end() {
    if (this.ends || this._leavesToStream('end')) return;
    this._stopSending();
    this._engine.native.end(this.id);
  }

  /** Ends the connection at once. What was received is still told. */
  destroy(error) {
    this._socket.destroy(error || this._error);
  }

  /**
   * The socket is about to be destroyed: what was sent before goes out. Whether it is a
   * stream's from now on.
   */
  leave() {
    if (this._isOpening) this.adopt();
    if (this._stream !== null) return true;
    if (!this.ends) this._stopSending();
    return false;
  }

  /**
   * Hands over what is framed, and takes back what is to be compressed, as a stream does.
   * The callbacks wait in their places until the connection is let go of.
   */
  _stopSending() {
    this.ends = true;
    this._engine.takeBack(
      this.id,
      (flags, length) => !!(flags & RSV1) && length >= this._threshold,
    );
    this._engine.flush();
  }

  /** Lets go of the socket, which ends or, at once, is destroyed. */
  release(destroy) {
    if (this._leavesToStream('release', destroy)) return;
    this._released = true;
    this._gate.clear();
    if (destroy || this._socket.destroyed) {
      this._destroy();
      return;
    }
    this._engine.flush();
    this._engine.native.release(this.id);
    this._timer = setTimeout(() => this._destroy(), LINGER);
  }

  /** Takes an event from this position of the engine's inbox. */
  receive(at) {
    const { rows } = this._engine;
    if (this.isTimed) this._socket._unrefTimer();
    const what = rows[at + AT_KIND];
    const wire = rows[at + AT_WIRE];
    let extra = rows[at + AT_EXTRA];
    switch (what & NUMBER) {
      case SENT:
        this._callBack(at);
        return;
      case ENDED:
        this._hasEnded = true;
        this._adopted.finish();
        if (this._hasHeardEnd) this._socket.destroy();
        return;
      case RELEASED:
        this._destroy();
        return;
      case END:
        if (!this._released) this._gate.end(what, null, wire, extra);
        return;
      case ERROR:
        this._error = systemError(extra, what & WRITE ? 'write' : 'read');
        if (!this._released) this._gate.fail(what, this._error, wire, extra);
        return;
    }
    if (this._released) return;
    let data;
    try {
      data = this._data(what, rows[at + AT_START], rows[at + AT_END]);
      if (extra > 0 && (what & NUMBER) <= BINARY) extra = this._ends(extra);
    } catch (error) {
      // There is no memory for it, say: no reason to end the process.
      this._pass(VIOLATION, failure(TOO_LONG, error), wire, TOO_BIG);
      return;
    }
    this._pass(what, data, wire, extra);
  }

  /** The payload of an event. */
  _data(what, start, end) {
    const { native, bytes } = this._engine;
    const number = what & NUMBER;
    if (number === TEXT && this._textsAreStrings) {
      if (what & LARGE) return handedOver(native.takeText(start));
      if (what & ASCII) return bytes.latin1Slice(start, end);
      return bytes.utf8Slice(start, end);
    }
    if (number === VIOLATION) return violation(start, end);
    if (what & LARGE) return handedOver(native.takeBuffer(start));
    return start === end ? EMPTY : this._engine.bytesAt(start, end);
  }

  /** Where the fragments of a message end, if that is wanted; or 0. */
  _ends(extra) {
    if (!this._incoming.wantsEnds(this._ws)) return 0;
    return endsIn(this._engine.native.takeBuffer(extra - 1));
  }

  /** Tells an event, in the context that the connection was made in, or holds it back. */
  _pass(what, data, wire, extra) {
    const context = this._context;
    if (this._gate.isShut) this._hold(what, data, wire, extra);
    else if (context === null) this.tell(what, data, wire, extra);
    else context.runInAsyncScope(this.tell, this, what, data, wire, extra);
  }

  _hold(what, data, wire, extra) {
    const { _gate: gate, _engine: engine } = this;
    // What is told one by one comes no faster than that.
    if (gate.isStepwise && !gate.holds) engine.native.pause(this.id);
    gate.hold(what, data, wire, extra);
  }

  /** What the gate asks: whether an event ends the connection, or begins its end. */
  isLast(what) {
    const number = what & NUMBER;
    return number === CLOSE || number >= VIOLATION;
  }

  /** An event is dropped. */
  dropped(what, data, wire) {
    this._incoming.dropped(this._ws, wire);
  }

  /** Nothing waits any more. */
  goOn() {
    if (this.id !== -1 && !this._isOpening) this._engine.native.resume(this.id);
  }

  /** Tells an event. */
  tell(what, data, wire, extra) {
    if ((what & NUMBER) === END) this._tellEnd();
    else tell(this._incoming, this._ws, what, data, wire, extra);
  }

  /** Tells that the other end sends no more; a socket closes once both have ended. */
  _tellEnd() {
    this._hasHeardEnd = true;
    try {
      this._incoming.end(this._ws);
    } finally {
      if (!this._released) {
        this._adopted.end();
        if (this._hasEnded) this._socket.destroy();
      }
    }
  }

  _post(data, flags, cb) {
    const { _engine: engine } = this;
    if (this.ends) {
      if (cb) this._fail([bound(cb)]);
      return;
    }
    if (this.isTimed) this._socket._unrefTimer();
    const isText = typeof data === 'string';
    if (data.length >= (isText ? LONG_TEXT : LONG)) {
      this._sendLong(data, flags, cb);
      return;
    }
    if (cb) flags |= ACK;
    const length = isText
      ? engine.postText(this.id, flags, data)
      : engine.postBytes(this.id, flags, data);
    if (cb) this._await(cb, flags, length);
    this._count(length);
  }

  /** Keeps the callback of a message of this length. */
  _await(cb, flags, length) {
    this._callbacks.push(bound(cb));
    if (flags & RSV1 && length >= this._threshold) {
      this._lastCompressed = this._calledBack + this._callbacks.length;
    }
  }

  /** Counts what is posted. */
  _count(length) {
    if (this._postedAt !== this._engine.flushes) {
      this._postedAt = this._engine.flushes;
      this._posted = 0;
    }
    this._posted += length;
  }

  /** Sends what does not go through the outbox, behind all that was posted before it. */
  _sendLong(data, flags, cb) {
    const verb = flags & RAW ? 'write' : 'send';
    const args = flags & RAW ? [data, cb] : [data, flags, cb];
    if (this._leavesToStream(verb, ...args)) return;
    if (cb) flags |= ACK;
    const { _engine: engine, id } = this;
    engine.flush();
    if (typeof data === 'string') engine.native.sendLongText(id, flags, data);
    else engine.native.sendLong(id, flags, unshared(data));
    if (cb) this._await(cb, flags, data.length);
  }

  /** Calls back for as many messages as the system has taken, by the row. */
  _callBack(at) {
    const { _engine: engine, _callbacks: callbacks } = this;
    const { rows } = engine;
    const count = at + AT_EXTRA;
    while (rows[count] > 0 && callbacks.length > 0) {
      rows[count]--;
      this._calledBack++;
      const callback = callbacks.shift();
      let hasThrown = true;
      try {
        callback(null);
        hasThrown = false;
      } finally {
        // The others are called all the same.
        if (hasThrown && rows[count] > 0) engine.repeat();
      }
    }
  }

  /** Calls back for messages that will not be sent. */
  _fail(callbacks) {
    const { _calledBack: before, _incoming: incoming } = this;
    callbacks.forEach((cb, i) => {
      const isCompressing = before + i < this._lastCompressed;
      nextTick(cb, incoming.notSent(this._error, isCompressing));
    });
  }

  _destroy() {
    this._forget();
    this._socket.destroy(this._error);
  }

  /** Ends what ties the socket to the engine. */
  _forget() {
    if (this.id === -1) return;
    clearTimeout(this._timer);
    this._isOpening = false;
    this.ends = true;
    const { native } = this._engine;
    // The engine has sent these, and may not have told so yet.
    let sent = native.sentMessages(this.id) - this._calledBack;
    const { id } = this;
    this._adopted.giveBack();
    this._detach();
    native.destroy(id);
    this._socket.on('error', noop);
    for (; sent > 0; sent--) {
      this._calledBack++;
      nextTick(this._callbacks.shift(), null);
    }
    this._fail(this._callbacks.clear());
  }

  _detach() {
    this._engine.close(this.id);
    this.id = -1;
    for (const [name, listener] of Object.entries(this._listeners)) {
      this._socket.removeListener(name, listener);
    }
  }
}

const noop = () => {};

/** Whether somebody listens to what a socket gives. */
function isRead(socket) {
  return socket.listenerCount('data') + socket.listenerCount('readable') > 0;
}

/** All that Node has read of a socket and nobody has taken. */
function unread(socket) {
  const chunks = [];
  // Since Node.js 26 each call gives what came in one piece.
  while (socket.readableLength > 0) {
    const chunk = socket.read();
    if (chunk === null) break;
    chunks.push(chunk);
  }
  return chunks;
}

/** Posts by a stream what was in the outbox. */
function postAgain(stream, bytes, flags, cb) {
  const opcode = flags & flag.OPCODE;
  if (flags & RAW) stream.write(bytes, cb);
  else if (opcode > BINARY) stream.control(opcode, bytes, !!(flags & MASK), cb);
  else stream.send(bytes, flags & ~ACK, cb);
}

/** The bytes of a frame in pieces. */
function joined(list) {
  return Buffer.concat(list.map(asBytes));
}

function asBytes(piece) {
  return typeof piece === 'string' ? Buffer.from(piece) : piece;
}

function addLength(sum, piece) {
  return sum + Buffer.byteLength(piece);
}

/** Bytes that no other thread changes while they are sent. */
function unshared(bytes) {
  return util.types.isSharedArrayBuffer(bytes.buffer)
    ? Buffer.from(bytes)
    : bytes;
}

/** The error of a system call, as Node has it. */
function systemError(number, syscall) {
  if (number === 0) {
    const error = new Error('the engine failed');
    return Object.assign(error, { code: 'ERR_OXWS_INTERNAL' });
  }
  const code = util.getSystemErrorName(-number);
  const error = new Error(`${syscall} ${code}`);
  return Object.assign(error, { errno: -number, code, syscall });
}

module.exports = NativeTransport;
