'use strict';

const FrameReader = require('../codec/FrameReader');
const { FrameWriter, flush } = require('../codec/FrameWriter');
const { INTERNAL, failure } = require('../codec/violations');
const { contextOfNow, nobodys } = require('../context');
const { nextTick, setImmediate } = require('../environment');
const { linger } = require('../linger');
const { flag, kind } = require('../native');
const { CLOSED, tell } = require('./tell');

const { FIN, MASK } = flag;

/** The close code where something fails through no fault of the other end. */
const INTERNAL_ERROR = 1011;

/**
 * The most answers to pings that wait for the socket. Beyond them only the latest
 * ping is answered (RFC 6455, 5.5.3), so that a peer which sends pings and reads no
 * pongs takes no memory.
 */
const MAX_WAITING_PONGS = 256;

/**
 * So many bytes may wait while a message is decompressed elsewhere, before the socket has
 * to.
 */
const MAX_UNREAD = 256 * 1024;

/**
 * Carries a connection over any Duplex: Node reads and writes, Rust decodes and
 * encodes. What it is given and what it calls: see `open`.
 */
class StreamTransport {
  constructor(ws, socket, incoming, options) {
    const context = contextOfNow();
    this._ws = ws;
    this._socket = socket;
    this._incoming = incoming;
    /** The context that the connection was made in; null for none to keep. */
    this._own = context;
    this._context = context || nobodys;
    this._masks = options.masks ? MASK : 0;
    this._answers = options.answers;
    this._waitingPongs = 0;
    this._latestPing = null;
    /** Whether the other end sends no more; whether the socket waits for us. */
    this._hasEnded = false;
    this._isHeld = false;
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

  /** Begins to read; `head` is what was read already. */
  start(head) {
    const socket = this._socket;
    // What is held back outlasts the end of what the other end sends.
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
  }

  /** Sends a control frame. */
  control(opcode, payload, mask, cb) {
    const flags = opcode | FIN | (mask ? MASK : 0);
    this._writer.control(payload, flags, cb);
  }

  /** Writes bytes as they are, in their place behind what is sent. */
  write(bytes, cb) {
    this._writer.write(Buffer.from(bytes), cb);
  }

  /** Writes a frame in pieces, strings or bytes. */
  writeList(list, cb) {
    const pieces = list.map((piece) =>
      typeof piece === 'string' ? Buffer.from(piece) : piece,
    );
    this._writer.write(Buffer.concat(pieces), cb);
  }

  /** Whether it tells nothing that is received until `resume`. */
  get isPaused() {
    return this._reader.isPaused;
  }

  /** Makes no more calls of `message` and its like until `resume`. */
  pause() {
    this._reader.pause();
    this._socket.pause();
  }

  /** Goes on where `pause` stopped: what waited is told on the next tick, and first. */
  resume() {
    this._reader.resume();
    // Not in the context of who resumes.
    if (!this._isHeld) {
      this._context.runInAsyncScope(() => this._socket.resume());
    }
  }

  /** Drops, if it is paused, all but what ends the connection: nobody will resume. */
  drop() {
    this._reader.drop();
    this._flowSoon();
  }

  /** The longest message in bytes, 0 for no limit: of those not yet decoded. */
  setMaxPayload(bytes) {
    this._reader.maxPayload = bytes;
  }

  /** Sets whether texts have to be UTF-8: from the next message on. */
  setValidates(validates) {
    this._reader.validates = validates;
  }

  /** Has the socket go on, behind what the reader holds, whose handlers may pause. */
  _flowSoon() {
    // Not in the context of who resumes.
    this._context.runInAsyncScope(nextTick, process, () => {
      if (!this._reader.isPaused && !this._isHeld) this._socket.resume();
    });
  }

  _flowAgain() {
    this._socket.pause();
    this._flowSoon();
  }

  _take(chunk) {
    const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk);
    let isDone = false;
    try {
      this._reader.add(bytes);
      isDone = true;
    } finally {
      // Node gives up what it has buffered if a listener throws, until more comes.
      if (!isDone) this._flowAgain();
    }
    if (this._reader.unread > MAX_UNREAD) {
      this._isHeld = true;
      this._socket.pause();
    }
  }

  /** What the reader calls: all that was given is read. */
  drained() {
    if (!this._isHeld) return;
    this._isHeld = false;
    this._flowSoon();
  }

  /** What the reader calls for an event. */
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

  /** What the reader asks: whether it is told where the fragments of a message end. */
  wantsEnds() {
    return this._incoming.wantsEnds(this._ws);
  }

  /** What the reader calls for an event that is not told. */
  dropped(wire) {
    this._incoming.dropped(this._ws, wire);
  }

  /** The bytes that the system has not yet taken. */
  get bufferedAmount() {
    const { _socket: socket, _writer: writer } = this;
    return (socket.writableLength || 0) - writer.headBytes + writer.queuedBytes;
  }

  /** Sends what is framed already, and no more: this direction ends. */
  end() {
    this._writer.abort();
    this._socket.end();
  }

  /** Ends the connection at once. What was received is still told. */
  destroy(error) {
    this._writer.abort();
    this._socket.destroy(error);
  }

  /** Lets go of the socket, which ends or, at once, is destroyed. */
  release(destroy) {
    const socket = this._socket;
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

  /** Not every version of Node.js calls back for what a socket has dropped. */
  _settle() {
    setImmediate(() => this._writer.settle());
  }

  /** What is sent is lost, and nothing can follow: no close frame either. */
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

/** What a transport listens to on its socket. */
function listenersOf(transport) {
  const { _reader: reader, _socket: socket } = transport;
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
      transport._settle();
      const isClean = transport._hasEnded && socket.writableFinished;
      if (isClean && !transport._hasFailed) reader.end(CLOSED);
      else reader.fail(CLOSED);
    },
  };
}

/** Destroys a socket, behind what was sent in this tick. */
function destroySent(error) {
  flush(this);
  return Object.getPrototypeOf(this).destroy.call(this, error);
}

const noop = () => {};

module.exports = StreamTransport;
