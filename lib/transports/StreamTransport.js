'use strict';

const { flush, hold, release } = require('../codec/cork');
const FrameReader = require('../codec/FrameReader');
const FrameWriter = require('../codec/FrameWriter');
const { INTERNAL, failure } = require('../codec/violations');
const { contextOfNow, nobodys } = require('../context');
const { nextTick, setImmediate } = require('../environment');
const { linger } = require('../linger');
const { flag, kind } = require('../native');
const Drain = require('./Drain');
const { CLOSED, tell } = require('./tell');

const { FIN, MASK } = flag;

/** The close code for failures that the other end did not cause (RFC 6455, 7.4.1). */
const INTERNAL_ERROR = 1011;

/**
 * The maximum number of automatic pongs that wait to be written. When it is reached,
 * only the latest ping is answered (RFC 6455, 5.5.3). This bounds the memory that a
 * peer uses by sending pings without reading the pongs.
 */
const MAX_WAITING_PONGS = 256;

/**
 * The socket is paused when more than this many bytes are queued while a message is
 * decompressed on another thread.
 */
const MAX_UNREAD = 256 * 1024;

/**
 * The maximum number of events of a connection in one turn of the event loop. Node reads
 * up to 2 MiB from a socket in a turn, which may be 300,000 messages.
 */
const MAX_EVENTS = 8192;

/** After so many events the beginning of the next turn is looked for. */
const MANY_EVENTS = 1024;

/**
 * Carries a connection over any Duplex. Node reads and writes, the native side decodes
 * and encodes. For the arguments and the calls of `incoming` see `open`.
 */
class StreamTransport {
  constructor(ws, socket, incoming, options) {
    const context = contextOfNow();
    this._ws = ws;
    this.socket = socket;
    this._incoming = incoming;
    /** The context in which the connection was created; null if it has no store. */
    this._own = context;
    this._context = context || nobodys;
    this._masks = options.masks ? MASK : 0;
    this._answers = options.answers;
    this._endsEndPauses = options.endsEndPauses;
    this._highWaterMark = options.highWaterMark;
    /** The Drain while more than the high-water mark was queued and some still is. */
    this._drain = null;
    this._waitingPongs = 0;
    this._latestPing = null;
    /** Set if a listener of the engine has accepted the connection. */
    this.isAccepted = false;
    /** Set when the other end has ended its direction. */
    this._hasEnded = false;
    /** Set while the socket is paused because `MAX_UNREAD` is exceeded. */
    this._isFull = false;
    /** Set while the socket is paused because `MAX_EVENTS` is exceeded. */
    this._isResting = false;
    /** Set when a callback is scheduled for the next turn of the event loop. */
    this._awaitsTurn = false;
    this._hasFailed = false;
    this._reader = new FrameReader(
      Object.assign({ context: this._context }, options),
      this,
    );
    this._writer = new FrameWriter(socket, options, {
      notSent: incoming.notSent,
      lost: (error) => this._lose(error),
    });
    this._listeners = listenersOf(this);
  }

  get name() {
    return 'stream';
  }

  get host() {
    return null;
  }

  /** Whether the socket is destroyed. */
  get isDestroyed() {
    return this.socket.destroyed;
  }

  /** Starts reading. `head` are the bytes that were read after the handshake. */
  start(head) {
    const socket = this.socket;
    // Queued events may be delivered after the other end has ended, and answered then.
    socket.allowHalfOpen = true;
    if (!Object.prototype.hasOwnProperty.call(socket, 'destroy')) {
      socket.destroy = destroySent;
    }
    if (head && head.length > 0) socket.unshift(head);
    for (const [event, listener] of Object.entries(this._listeners)) {
      socket.on(event, listener);
    }
  }

  /** Sends a message, or a fragment of one. */
  send(data, flags, cb) {
    this._writer.send(data, flags, cb);
    this.watch();
  }

  /** Sends a PreparedMessage. */
  sendPrepared(message, flags, cb) {
    this._writer.sendPrepared(message, flags, cb);
    this.watch();
  }

  /** Sends a control frame. */
  control(opcode, payload, mask, cb) {
    const flags = opcode | FIN | (mask ? MASK : 0);
    this._writer.control(payload, flags, cb);
    this.watch();
  }

  /** Writes raw bytes to the socket, after all data that was sent before. */
  write(bytes, cb) {
    this._writer.write(Buffer.from(bytes), cb);
    this.watch();
  }

  /** Writes a frame that is given as a list of strings and Buffers. */
  writeList(list, cb) {
    const pieces = list.map((piece) =>
      typeof piece === 'string' ? Buffer.from(piece) : piece,
    );
    this._writer.write(Buffer.concat(pieces), cb);
    this.watch();
  }

  /**
   * Whether 'drain' has to be emitted, because more than the high-water mark is or was
   * queued. 'drain' is not emitted while some is still queued.
   */
  get needsDrain() {
    this.watch();
    return this._drain !== null && !this.isDestroyed;
  }

  /** All queued bytes, also those that `incoming` itself queues. */
  get queuedBytes() {
    this.watch();
    return this.bufferedAmount + this._incoming.heldBytes(this._ws);
  }

  /** Looks at what is queued. Above the high-water mark, waits until it is written. */
  watch() {
    if (this._drain === null) {
      const { _incoming: incoming, _ws: ws } = this;
      const queued = this.bufferedAmount + incoming.heldBytes(ws);
      if (queued <= this._highWaterMark) return;
      this._drain = new Drain(this);
    }
    this._drain.lookSoon();
  }

  /** Called by the Drain: whether callbacks of messages are still to come. */
  get isAwaited() {
    return this._writer.isAwaited;
  }

  /** Called by the Drain when everything is written. */
  emptied() {
    const { _context: context, _incoming: incoming, _ws: ws } = this;
    // What `incoming` has queued itself is still to be sent, and waited for then.
    if (this.isDestroyed || incoming.heldBytes(ws) > 0) return;
    this._drain = null;
    context.runInAsyncScope(incoming.drained, incoming, ws);
  }

  /** Whether the socket is paused by the transport itself. */
  get _isHeld() {
    return this._isFull || this._isResting;
  }

  /** Whether the transport is paused. */
  get isPaused() {
    return this._reader.isPaused;
  }

  /** Stops reading, and delivers no received events until `resume`. */
  pause() {
    this._reader.pause();
    this.socket.pause();
  }

  /** Continues after `pause`. The queued events are delivered first, on the next tick. */
  resume() {
    this._reader.resume();
    // Not in the context of the caller of `resume`.
    if (!this._isHeld) {
      this._context.runInAsyncScope(() => this.socket.resume());
    }
  }

  /** If paused, ends the pause and drops all events but those that end the connection. */
  drop() {
    this._reader.drop();
    this._flowSoon();
  }

  /** Sets the maximum length, in bytes, of messages not yet decoded; 0 for no limit. */
  setMaxPayload(bytes) {
    this._reader.maxPayload = bytes;
  }

  /** Sets whether text has to be valid UTF-8, from the next message on. */
  setValidates(validates) {
    this._reader.validates = validates;
  }

  /**
   * Resumes the socket on the next tick, after the queued events of the reader, whose
   * handlers may pause again.
   */
  _flowSoon() {
    // Not in the context of the caller.
    this._context.runInAsyncScope(nextTick, process, () => {
      if (!this._reader.isPaused && !this._isHeld) this.socket.resume();
    });
  }

  _flowAgain() {
    this.socket.pause();
    this._flowSoon();
  }

  _take(chunk) {
    const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk);
    const isHeld = hold(this.socket);
    let isDone = false;
    try {
      this._reader.add(bytes);
      isDone = true;
    } finally {
      if (isHeld) release();
      // When a listener throws, Node stops emitting buffered chunks until new data
      // arrives.
      if (!isDone) this._flowAgain();
    }
    if (this._reader.unread > MAX_UNREAD) {
      this._isFull = true;
      this.socket.pause();
    }
    if (this._reader.events >= MANY_EVENTS) this._share();
  }

  /** Takes what a paused socket holds when it closes, if that ends the pause. */
  _takeRest() {
    const { _listeners: listeners, socket } = this;
    if (!this._endsEndPauses) return;
    socket.removeListener('data', listeners.data);
    while (socket.readableLength > 0) {
      const chunk = socket.read();
      if (chunk === null) break;
      this._reader.add(chunk);
    }
  }

  /** Leaves the rest of this turn of the event loop to others after `MAX_EVENTS`. */
  _share() {
    if (!this._awaitsTurn) {
      this._awaitsTurn = true;
      setImmediate(() => {
        this._awaitsTurn = false;
        this._reader.events = 0;
        if (!this._isResting) return;
        this._isResting = false;
        this._flowSoon();
      });
    }
    if (this._reader.events < MAX_EVENTS) return;
    this._isResting = true;
    this.socket.pause();
  }

  /** Called by the reader when all added bytes have been read. */
  drained() {
    if (!this._isFull) return;
    this._isFull = false;
    this._flowSoon();
  }

  /** Called by the reader for each event. */
  tell(what, data, wire, extra) {
    const { _own: context, _incoming: incoming, _ws: ws } = this;
    if (this._answers && (what & kind.NUMBER) === kind.PING) this._answer(data);
    if (context === null) tell(incoming, ws, what, data, wire, extra);
    else {
      context.runInAsyncScope(
        tell,
        null,
        incoming,
        ws,
        what,
        data,
        wire,
        extra,
      );
    }
  }

  /** Called by the reader: whether the ends of fragments are needed. */
  wantsEnds() {
    return this._incoming.wantsEnds(this._ws);
  }

  /** Called by the reader for each event that is dropped. */
  dropped(wire) {
    this._incoming.dropped(this._ws, wire);
  }

  /** The bytes sent but not yet handed to the operating system. */
  get bufferedAmount() {
    const { socket, _writer: writer } = this;
    return (socket.writableLength || 0) - writer.headBytes + writer.queuedBytes;
  }

  /** Ends this direction of the connection after the frames written so far. */
  end() {
    this._writer.abort();
    this.socket.end();
  }

  /** Destroys the socket. Received events are still delivered. */
  destroy(error) {
    this._writer.abort();
    this.socket.destroy(error);
  }

  /** Detaches from the socket, and ends it or, if `destroy` is true, destroys it. */
  release(destroy) {
    const socket = this.socket;
    this._writer.abort();
    this._reader.cleanup();
    for (const [event, listener] of Object.entries(this._listeners)) {
      socket.removeListener(event, listener);
    }
    if (destroy || socket.destroyed) {
      socket.on('error', noop);
      socket.destroy();
      this._settle();
    } else {
      socket.once('close', () => this._settle());
      linger(socket);
    }
  }

  /**
   * Some versions of Node.js do not call the callbacks of data that a socket discards.
   */
  _settle() {
    setImmediate(() => this._writer.settle());
  }

  /** Fails the connection when the encoder is lost: no close frame can be sent. */
  _lose(error) {
    const { _incoming: incoming, _ws: ws } = this;
    incoming.violation(ws, failure(INTERNAL, error), INTERNAL_ERROR, 0);
    incoming.failed(ws, error);
  }

  /** Answers a ping. */
  _answer(data) {
    if (this._waitingPongs === MAX_WAITING_PONGS) {
      this._latestPing = data;
      return;
    }
    this._waitingPongs++;
    this._writer.control(data, kind.PONG | FIN | this._masks, () => {
      this._waitingPongs--;
      const latest = this._latestPing;
      this._latestPing = null;
      if (latest !== null) this._answer(latest);
    });
  }
}

/** Returns the listeners of a transport on its socket, by event. */
function listenersOf(transport) {
  const { _reader: reader, socket } = transport;
  return {
    data(chunk) {
      transport._take(chunk);
    },
    end() {
      transport._hasEnded = true;
      reader.end(kind.END);
    },
    error() {
      transport._hasFailed = true;
      reader.fail(kind.ERROR);
    },
    close() {
      transport._incoming.closing(transport._ws);
      transport._takeRest();
      transport._settle();
      const isClean = transport._hasEnded && socket.writableFinished;
      if (isClean && !transport._hasFailed) reader.end(CLOSED);
      else reader.fail(CLOSED);
    },
  };
}

/** Replaces `socket.destroy`: first writes the data sent in this tick. */
function destroySent(error) {
  flush(this);
  return Object.getPrototypeOf(this).destroy.call(this, error);
}

const noop = () => {};

module.exports = StreamTransport;
