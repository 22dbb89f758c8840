'use strict';

const net = require('net');
const util = require('util');

const Gate = require('../Gate');
const PerMessageDeflate = require('../PerMessageDeflate');
const Queue = require('../Queue');
const Sender = require('../Sender');
const { bound, contextOfNow, nobodys } = require('../context');
const { clearTimeout, nextTick, setTimeout } = require('../environment');
const { handedOver } = require('../externalMemory');
const flags = require('../flags');
const { TOO_BIG, TOO_LONG, limitsFor, toLimit } = require('../limits');
const { LINGER } = require('../linger');
const AdoptedSocket = require('./AdoptedSocket');
const { startedEngine, theEngine } = require('./engine');
const kinds = require('./kinds');

const { ACK, FIN, MASK, RAW, RSV1 } = flags;
const { BINARY, CLOSE, KIND, PING, PONG, TEXT } = kinds;
const { END, ERROR, RELEASED, SENT, VIOLATION } = kinds;
const { ASCII, LARGE, MASKED, RANGE, WRITE } = kinds;
const { closePayload, toBuffer } = Sender;

/** Binary messages at least this long, in bytes, do not go through the outbox. */
const LONG = 64 * 1024;

/** Nor do texts of so many units, which have to be encoded anyway. */
const LONG_TEXT = 256 * 1024;

/**
 * Carries a connection whose socket the engine has adopted. It has the methods of
 * StreamTransport, and calls the same handlers.
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

  /** What the engine has; see `WebSocket.diagnostics`. */
  static diagnostics() {
    const engine = startedEngine();
    if (engine === null) {
      return { transport: null, host: null, connections: 0, queuedBytes: 0 };
    }
    const amounts = engine.transports().map((each) => each.bufferedAmount);
    return {
      transport: 'native',
      host: engine.host,
      connections: amounts.length,
      queuedBytes: amounts.reduce((sum, amount) => sum + amount, 0),
    };
  }

  get name() {
    return 'native';
  }

  /** Where the engine runs: `inline` or `thread`. */
  get host() {
    return this._engine.host;
  }

  constructor(ws, socket, incoming, { extensions, maxPayload, limits, masks }) {
    const extension = extensions[PerMessageDeflate.extensionName];
    this._engine = theEngine();
    this._ws = ws;
    this._socket = socket;
    this._incoming = incoming;
    this._masks = masks;
    this._extension = extension || null;
    this._threshold = extension ? Number(extension.threshold) || 0 : Infinity;
    this._limits = limits;
    /** The callbacks of what is sent, in order. */
    this._callbacks = new Queue();
    /** How many were called since the system has taken their messages. */
    this._calledBack = 0;
    this._context = contextOfNow();
    this._gate = new Gate(this, this._context || nobodys);
    this._released = false;
    /** Whether this direction is ended: nothing more is sent. */
    this._hasEnded = false;
    /** Why the connection failed, if it did. */
    this._error = null;
    this._timer = null;
    /** Whether the socket has a timeout, which traffic puts off. */
    this.isTimed = false;
    /** The bytes posted, as long as the engine has counted this many flushes. */
    this._posted = 0;
    this._postedAt = -1;
    this.id = this._engine.open(this);
    this.receiver = new ReceiverView(this, extensions, maxPayload);
    this.sender = new SenderView(this, extensions);
    this._listeners = {
      close: () => {
        if (this._released) this._forget();
        else incoming.failed(ws);
      },
      error: (error) => {
        this._error = error;
        incoming.failed(ws);
      },
    };
  }

  /**
   * Takes over the socket; `head` is what was read already. Whether it could: there
   * may be no more descriptors, and the socket is as it was then.
   */
  start(head) {
    const socket = this._socket;
    // What Node has read and nobody has taken comes behind the head.
    const read = unread(socket);
    try {
      this._adopt(Buffer.concat(head ? [head, ...read] : read));
    } catch {
      this._engine.close(this.id);
      this.id = -1;
      if (read.length > 0) socket.unshift(Buffer.concat(read));
      return false;
    }
    socket.setTimeout(0);
    socket.setNoDelay();
    for (const [event, listener] of Object.entries(this._listeners)) {
      socket.on(event, listener);
    }
    socket.pause();
    socket._handle.readStop();
    // Node starts to read again unless it takes the handle to be reading.
    socket._handle.reading = true;
    this._adopted = new AdoptedSocket(socket, this, this._engine);
    return true;
  }

  _adopt(head) {
    const handle = this._socket._handle;
    this._engine.native.adopt(
      {
        id: this.id,
        fd: handle.fd,
        masks: this._masks,
        threshold: this._extension === null ? 0 : this._threshold,
      },
      limitsFor(this.receiver.maxPayload, this._limits),
      head,
      this._extension === null ? null : this._extension.native,
    );
  }

  /** Sends a message, or a fragment of one. */
  send(data, flags, cb) {
    this._post(data, flags, cb);
  }

  ping(data, mask, cb) {
    this._control(PING, toBuffer(data), mask, cb);
  }

  pong(data, mask, cb) {
    this._control(PONG, toBuffer(data), mask, cb);
  }

  /** Sends a close frame. */
  close(code, reason, cb) {
    this._control(CLOSE, closePayload(code, reason), this._masks, cb);
  }

  /** Writes bytes to the socket as they are, in their place behind what is sent. */
  write(bytes, cb) {
    this._post(bytes, RAW, cb);
  }

  /** Makes no more calls of `message` and its like until `resume`. */
  pause() {
    this._gate.pause();
    if (this._gate.isPaused) this._engine.native.pause(this.id);
  }

  /** Goes on where `pause` stopped, on the next tick. */
  resume() {
    this._gate.resume();
  }

  /** Drops, if it is paused, all but what ends the connection: nobody will resume. */
  drop() {
    this._gate.drop();
  }

  /** Sets the longest message in bytes, 0 for no limit: of those not yet decoded. */
  setMaxPayload(bytes) {
    this._engine.native.setMaxPayload(this.id, bytes);
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
    if (this._hasEnded) return;
    this._hasEnded = true;
    // As the engine does with what is being compressed. The callbacks wait in their
    // places until the connection is let go of.
    this._engine.takeBack(
      this.id,
      (flags, length) => !!(flags & RSV1) && length >= this._threshold,
    );
    this._engine.flush();
    this._engine.native.end(this.id);
  }

  /** Lets go of the socket, which ends or, at once, is destroyed. */
  release(destroy) {
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
    const what = rows[at + 1];
    const wire = rows[at + 4];
    const extra = rows[at + 5];
    switch (what & KIND) {
      case SENT:
        this._callBack(at);
        return;
      case RELEASED:
        this._destroy();
        return;
      case END:
        if (!this._released) this._gate.end(what, null, wire, extra);
        return;
      case ERROR:
        this._error = systemError(extra, what & WRITE ? 'write' : 'read');
        if (!this._released) this._gate.fail(what, null, wire, extra);
        return;
    }
    if (this._released) return;
    let data;
    try {
      data = this._data(what, rows[at + 2], rows[at + 3]);
    } catch (error) {
      // There is no memory for it, say: no reason to end the process.
      this._pass(VIOLATION, `${TOO_LONG}:${error.message}`, wire, TOO_BIG);
      return;
    }
    this._pass(what, data, wire, extra);
  }

  /** The payload of an event. */
  _data(what, start, end) {
    const { native, bytes } = this._engine;
    switch (what & KIND) {
      case TEXT:
      case CLOSE:
        if (what & LARGE) return handedOver(native.takeText(start));
        if (what & ASCII) return bytes.latin1Slice(start, end);
        return bytes.utf8Slice(start, end);
      case VIOLATION:
        return bytes.utf8Slice(start, end);
      default:
        return what & LARGE
          ? handedOver(native.takeBuffer(start))
          : Buffer.from(bytes.subarray(start, end));
    }
  }

  /** Tells an event, in the context that the connection was made in, or holds it back. */
  _pass(what, data, wire, extra) {
    const context = this._context;
    if (this._gate.isShut) this._gate.hold(what, data, wire, extra);
    else if (context === null) this.tell(what, data, wire, extra);
    else context.runInAsyncScope(this.tell, this, what, data, wire, extra);
  }

  /** What the gate asks: whether an event ends the connection, or begins its end. */
  isLast(what) {
    const kind = what & KIND;
    return kind === CLOSE || kind >= VIOLATION;
  }

  /** An event is dropped. */
  dropped(what, data, wire) {
    this._ws.bytesReceived += wire;
  }

  /** Nothing waits any more. */
  goOn() {
    if (this.id !== -1) this._engine.native.resume(this.id);
  }

  /** Tells an event. */
  tell(what, data, wire, extra) {
    const { _ws: ws, _incoming: incoming } = this;
    ws.bytesReceived += wire;
    const masked = (what & MASKED) !== 0;
    switch (what & KIND) {
      case TEXT:
        incoming.message(ws, data, { masked, binary: false });
        break;
      case BINARY:
        incoming.message(ws, data, { masked, binary: true });
        break;
      case PING:
        incoming.ping(ws, data, { masked, binary: true });
        break;
      case PONG:
        incoming.pong(ws, data, { masked, binary: true });
        break;
      case CLOSE:
        // A close frame without a code reads as a normal closure.
        incoming.close(ws, extra || 1000, data);
        break;
      case VIOLATION:
        incoming.violation(ws, violation(what, data), extra);
        break;
      case END:
        incoming.end(ws);
        break;
      case ERROR:
        incoming.failed(ws);
    }
  }

  _control(opcode, data, mask, cb) {
    if (data.length > 125) {
      throw new RangeError('The data size must not be greater than 125 bytes');
    }
    this._post(data, opcode | FIN | (mask ? MASK : 0), cb);
  }

  _post(data, flags, cb) {
    const { _engine: engine } = this;
    if (this._hasEnded) {
      if (cb) this._fail([bound(cb)]);
      return;
    }
    if (this.isTimed) this._socket._unrefTimer();
    if (cb) flags |= ACK;
    const isText = typeof data === 'string';
    const message = isText ? data : toBuffer(data);
    const kept = cb && bound(cb);
    if (message.length >= (isText ? LONG_TEXT : LONG)) {
      // By itself, behind all that was posted before it.
      engine.flush();
      if (isText) engine.native.sendLongText(this.id, flags, message);
      else engine.native.sendLong(this.id, flags, unshared(message));
      if (kept) this._callbacks.push(kept);
      return;
    }
    const length = isText
      ? engine.postText(this.id, flags, message)
      : engine.postBytes(this.id, flags, message);
    if (kept) this._callbacks.push(kept);
    if (this._postedAt !== engine.flushes) {
      this._postedAt = engine.flushes;
      this._posted = 0;
    }
    this._posted += length;
  }

  /** Calls back for as many messages as the system has taken, by the row. */
  _callBack(at) {
    const { _engine: engine, _callbacks: callbacks } = this;
    const { rows } = engine;
    const count = at + 5;
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
    for (const cb of callbacks) nextTick(cb, Sender.notSent(this._error));
  }

  _destroy() {
    this._forget();
    this._socket.destroy(this._error);
  }

  /** Ends what ties the socket to the engine. */
  _forget() {
    if (this.id === -1) return;
    clearTimeout(this._timer);
    this._adopted.giveBack();
    const { native } = this._engine;
    // The engine has sent these, and may not have told so yet.
    let sent = native.sentMessages(this.id) - this._calledBack;
    native.destroy(this.id);
    this._engine.close(this.id);
    this.id = -1;
    for (const [event, listener] of Object.entries(this._listeners)) {
      this._socket.removeListener(event, listener);
    }
    this._socket.on('error', () => {});
    for (; sent > 0; sent--) nextTick(this._callbacks.shift(), null);
    this._fail(this._callbacks.clear());
  }
}

/** What is left of a Receiver where the engine receives. */
class ReceiverView {
  constructor(transport, extensions, maxPayload) {
    this._transport = transport;
    this.extensions = extensions;
    this._limit = toLimit(maxPayload);
  }

  /** The longest message in bytes; 0 for no limit. */
  get maxPayload() {
    return this._limit;
  }

  set maxPayload(bytes) {
    this._limit = toLimit(bytes);
    this._transport.setMaxPayload(this._limit);
  }

  get _maxPayload() {
    return this.maxPayload;
  }

  set _maxPayload(bytes) {
    this.maxPayload = bytes;
  }
}

/** A Sender whose socket is the engine's. */
class SenderView {
  constructor(transport, extensions) {
    this._transport = transport;
    this.extensions = extensions;
  }

  send(data, options, cb) {
    this._transport.send(data, flags.ofMessage(options), cb);
  }

  ping(data, { mask }, cb) {
    this._transport.ping(data, mask, cb);
  }

  pong(data, { mask }, cb) {
    this._transport.pong(data, mask, cb);
  }

  close(code, reason, mask, cb) {
    this._transport.close(code, reason, cb);
  }

  frameAndSend(opcode, data, readOnly, fin, mask, rsv1, cb) {
    this.sendFrame(Sender.frame(data, { opcode, fin, mask, rsv1 }), cb);
  }

  sendFrame(list, cb) {
    this._transport.write(Buffer.concat(list), cb);
  }
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

/** Bytes that no other thread changes while they are sent. */
function unshared(bytes) {
  return util.types.isSharedArrayBuffer(bytes.buffer)
    ? Buffer.from(bytes)
    : bytes;
}

/** The error of a violation, from `code:message`. */
function violation(what, text) {
  const colon = text.indexOf(':');
  const Class = what & RANGE ? RangeError : Error;
  const code = text.slice(0, colon);
  return Object.assign(new Class(text.slice(colon + 1)), { code });
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
