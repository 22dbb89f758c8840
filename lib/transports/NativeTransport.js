'use strict';

const { AsyncResource, executionAsyncResource } = require('async_hooks');
const net = require('net');
const util = require('util');

const PerMessageDeflate = require('../PerMessageDeflate');
const { toLimit } = require('../Receiver');
const Sender = require('../Sender');
const { handedOver } = require('../externalMemory');
const flags = require('../flags');
const AdoptedSocket = require('./AdoptedSocket');
const { startedEngine, theEngine } = require('./engine');

const { ACK, BINARY, CLOSE, FIN, MASK, PING, PONG, RAW, RSV1, TEXT } = flags;
const { closePayload, toBuffer } = Sender;

// Kinds of events beside those of frames, which are their opcodes.
const VIOLATION = 16;
const END = 17;
const ERROR = 18;
const SENT = 19;
const RELEASED = 20;

// Bits of an event's kind.
const KIND = 0xff;
const MASKED = 0x100;
const LARGE = 0x200;
const RANGE = 0x400;
const ASCII = 0x800;

/** Binary messages at least this long, in bytes, do not go through the outbox. */
const LONG = 64 * 1024;

/** Nor do texts of so many units, which have to be encoded anyway. */
const LONG_TEXT = 256 * 1024;

/** How long a connection that has ended may take to send what it has, in ms. */
const LINGER = 30 * 1000;

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
    this._callbacks = [];
    /** Events that came while paused, in order. */
    this._held = [];
    this._paused = false;
    this._released = false;
    this._timer = null;
    /** Whether the socket has a timeout, which traffic puts off. */
    this.isTimed = false;
    /** The bytes posted, as long as the engine has counted this many flushes. */
    this._posted = 0;
    this._postedAt = -1;
    this._context = contextOfNow();
    this.id = this._engine.open(this);
    this.receiver = new ReceiverView(this, extensions, maxPayload);
    this.sender = new SenderView(this, extensions);
    this._listeners = {
      close: (hadError) => {
        if (this._released) this._forget();
        else incoming.end(ws, hadError === true);
      },
      error: (error) => incoming.socketError(ws, error),
    };
  }

  /**
   * Takes over the socket; `head` is what was read already. Whether it could: there
   * may be no more descriptors, and the socket is as it was then.
   */
  start(head) {
    const socket = this._socket;
    // What Node has read and nobody has taken comes behind the head.
    const read = socket.readableLength > 0 ? socket.read() : null;
    const chunks = [head, read].filter((chunk) => chunk && chunk.length > 0);
    try {
      this._adopt(Buffer.concat(chunks));
    } catch {
      this._engine.close(this.id);
      this.id = -1;
      if (read !== null) socket.unshift(read);
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
        isTcp: handle.constructor.name === 'TCP',
        masks: this._masks,
        threshold: this._extension === null ? 0 : this._threshold,
      },
      {
        maxPayload: this.receiver.maxPayload,
        maxFragments: toLimit(this._limits.maxFragments),
        masked: this._limits.masked,
      },
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
    this._paused = true;
    this._engine.native.pause(this.id);
  }

  /** Goes on where `pause` stopped, on the next tick. */
  resume() {
    if (!this._paused) return;
    this._paused = false;
    process.nextTick(() => this._goOn());
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
    let failed = 0;
    this._engine.takeBack(
      this.id,
      (flags, length) => !!(flags & RSV1) && length >= this._threshold,
      (flags) => {
        if (flags & ACK) failed++;
      },
    );
    this._fail(this._callbacks.splice(this._callbacks.length - failed));
    this._engine.flush();
    this._engine.native.end(this.id);
  }

  /** Lets go of the socket, which ends or, at once, is destroyed. */
  release(destroy) {
    this._released = true;
    this._held = [];
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
    const { native, rows, bytes } = this._engine;
    if (this.isTimed) this._socket._unrefTimer();
    const what = rows[at + 1];
    const kind = what & KIND;
    const start = rows[at + 2];
    const end = rows[at + 3];
    const extra = rows[at + 5];
    let data = null;
    switch (kind) {
      case TEXT:
      case CLOSE:
        if (what & LARGE) data = handedOver(native.takeText(start));
        else if (what & ASCII) data = bytes.latin1Slice(start, end);
        else data = bytes.utf8Slice(start, end);
        break;
      case BINARY:
      case PING:
      case PONG:
        data =
          what & LARGE
            ? handedOver(native.takeBuffer(start))
            : Buffer.from(bytes.subarray(start, end));
        break;
      case VIOLATION:
        data = bytes.utf8Slice(start, end);
        break;
      case SENT:
        this._sent(extra);
        return;
      case RELEASED:
        this._destroy();
        return;
    }
    if (this._released) return;
    const wire = rows[at + 4];
    if (this._paused || this._held.length > 0) {
      this._held.push({ what, data, wire, extra });
    } else {
      this._handle(what, data, wire, extra);
    }
  }

  /** Handles an event, in the context that the connection was made in. */
  _handle(what, data, wire, extra) {
    const context = this._context;
    if (context === null) this._emit(what, data, wire, extra);
    else context.runInAsyncScope(this._emit, this, what, data, wire, extra);
  }

  _emit(what, data, wire, extra) {
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
        incoming.end(ws, false);
        break;
      case ERROR:
        incoming.socketError(ws, systemError(extra));
    }
  }

  /** Handles what was held back, and then has the engine go on. */
  _goOn() {
    const context = this._context || this._engine.resource;
    let thrown = true;
    try {
      while (this._held.length > 0 && !this._paused) {
        const { what, data, wire, extra } = this._held.shift();
        // Not in the context of who resumes.
        context.runInAsyncScope(this._emit, this, what, data, wire, extra);
      }
      thrown = false;
    } finally {
      if (thrown) process.nextTick(() => this._goOn());
    }
    if (!this._paused && !this._released) this._engine.native.resume(this.id);
  }

  _control(opcode, data, mask, cb) {
    if (data.length > 125) {
      throw new RangeError('The data size must not be greater than 125 bytes');
    }
    this._post(data, opcode | FIN | (mask ? MASK : 0), cb);
  }

  _post(data, flags, cb) {
    const { _engine: engine } = this;
    if (this.isTimed) this._socket._unrefTimer();
    if (cb) flags |= ACK;
    const isText = typeof data === 'string';
    const message = isText ? data : toBuffer(data);
    if (message.length >= (isText ? LONG_TEXT : LONG)) {
      // By itself, behind all that was posted before it.
      engine.flush();
      if (isText) engine.native.sendLongText(this.id, flags, message);
      else engine.native.sendLong(this.id, flags, message);
      if (cb) this._callbacks.push(cb);
      return;
    }
    const length = isText
      ? engine.postText(this.id, flags, message)
      : engine.postBytes(this.id, flags, message);
    if (cb) this._callbacks.push(cb);
    if (this._postedAt !== engine.flushes) {
      this._postedAt = engine.flushes;
      this._posted = 0;
    }
    this._posted += length;
  }

  /** Calls back for messages that the system has taken. */
  _sent(count) {
    for (const cb of this._callbacks.splice(0, count)) {
      // Each by itself: one that throws does not stop the others.
      process.nextTick(cb, null);
    }
  }

  /** Calls back for messages that will not be sent. */
  _fail(callbacks) {
    for (const cb of callbacks) process.nextTick(cb, Sender.notSent());
  }

  _destroy() {
    this._forget();
    this._socket.destroy();
  }

  /** Ends what ties the socket to the engine. */
  _forget() {
    if (this.id === -1) return;
    clearTimeout(this._timer);
    this._adopted.giveBack();
    this._engine.native.destroy(this.id);
    this._engine.close(this.id);
    this.id = -1;
    for (const [event, listener] of Object.entries(this._listeners)) {
      this._socket.removeListener(event, listener);
    }
    this._socket.on('error', () => {});
    this._fail(this._callbacks.splice(0));
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

const FRAMES_SINCE = 24;

/** Whether contexts are frames (Node.js 24), which cost next to nothing to enter. */
const hasContextFrames =
  Number(process.versions.node.split('.')[0]) >= FRAMES_SINCE;

/**
 * What runs handlers in the context of now; null where there is none to keep, so that
 * programs without AsyncLocalStorage do not pay for it.
 */
function contextOfNow() {
  const hasStore =
    hasContextFrames ||
    Object.getOwnPropertySymbols(executionAsyncResource()).some(
      ({ description }) => description === 'kResourceStore',
    );
  return hasStore ? new AsyncResource('OXWS.connection') : null;
}

/** The error of a violation, from `code:message`. */
function violation(what, text) {
  const colon = text.indexOf(':');
  const Class = what & RANGE ? RangeError : Error;
  const code = text.slice(0, colon);
  return Object.assign(new Class(text.slice(colon + 1)), { code });
}

/** The error of a system call, as Node has it. */
function systemError(number) {
  if (number === 0) {
    const error = new Error('the engine failed');
    return Object.assign(error, { code: 'ERR_OXWS_INTERNAL' });
  }
  const code = util.getSystemErrorName(-number);
  const error = new Error(`read ${code}`);
  return Object.assign(error, { errno: -number, code, syscall: 'read' });
}

module.exports = NativeTransport;
