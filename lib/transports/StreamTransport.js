'use strict';

const Receiver = require('../Receiver');
const Sender = require('../Sender');
const { contextOfNow, nobodys } = require('../context');
const { nextTick, setImmediate } = require('../environment');
const { linger } = require('../linger');

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
 * encodes.
 *
 * `incoming` holds what the transport calls, always with the WebSocket first:
 * `message(ws, data, flags)`, `ping(ws, data, flags)`, `pong(ws, data, flags)`,
 * `close(ws, code, reason)`, `violation(ws, error, closeCode)`, `end(ws)` when the other
 * end sends no more, and `failed(ws)` when nothing more comes or goes.
 */
class StreamTransport {
  /**
   * @param {WebSocket} ws
   * @param {stream.Duplex} socket
   * @param {Object} incoming
   * @param {Object} options `extensions`, `maxPayload` and `limits` as Receiver has
   *   them, and `masks`: whether this end masks what it sends
   */
  constructor(ws, socket, incoming, options) {
    const { extensions, maxPayload, limits, masks } = options;
    this.receiver = new Receiver(extensions, maxPayload, limits);
    this.sender = new Sender(socket, extensions);
    this._socket = socket;
    this._masks = masks;
    this._waitingPongs = 0;
    this._latestPing = null;

    const { receiver, sender } = this;
    const context = contextOfNow();
    this._context = context || nobodys;
    let received = 0;
    /** Calls a handler in the context that the connection was made in. */
    const tell = (handler, first, second) => {
      if (context === null) handler(ws, first, second);
      else context.runInAsyncScope(handler, null, ws, first, second);
    };
    /** A handler that finds `bytesReceived` as it is at its event. */
    const counted = (handler) => (first, second) => {
      ws.bytesReceived = received - receiver.unread;
      tell(handler, first, second);
    };
    receiver.ontext = counted(incoming.message);
    receiver.onbinary = receiver.ontext;
    receiver.onping = counted((_, data, flags) => {
      this._answer(data);
      incoming.ping(ws, data, flags);
    });
    receiver.onpong = counted(incoming.pong);
    receiver.onclose = counted(incoming.close);
    receiver.onerror = counted(incoming.violation);
    sender.onerror = (error) => incoming.violation(ws, error, 1011);

    receiver.ondrain = () => this._release();

    /** Whether the other end sends no more; and whether the socket waits for us. */
    this._hasEnded = false;
    this._isHeld = false;
    this._listeners = {
      data: (chunk) => {
        received += chunk.length;
        let isDone = false;
        try {
          receiver.add(chunk);
          isDone = true;
        } finally {
          ws.bytesReceived = received - receiver.unread;
          // Node gives up what it has buffered if a listener throws, until more comes.
          if (!isDone) this._flowAgain();
        }
        if (receiver.unread > MAX_UNREAD) this._hold();
      },
      end: () => {
        this._hasEnded = true;
        receiver.end(() => tell(incoming.end));
      },
      close: () => {
        // It closes by itself once both directions have ended.
        if (this._hasEnded && socket.writableFinished && !this._hasFailed)
          return;
        receiver.fail(() => tell(incoming.failed));
      },
      error: () => {
        this._hasFailed = true;
        receiver.fail(() => tell(incoming.failed));
      },
    };
    this._hasFailed = false;
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
    if (typeof socket.setTimeout === 'function') socket.setTimeout(0);
    if (typeof socket.setNoDelay === 'function') socket.setNoDelay();
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
    this.sender.post(data, flags, cb);
  }

  ping(data, mask) {
    this.sender.ping(data, { mask });
  }

  pong(data, mask) {
    this.sender.pong(data, { mask });
  }

  /** Sends a close frame. */
  close(code, reason, cb) {
    this.sender.close(code, reason, this._masks, cb);
  }

  /** Makes no more calls of `message` and its like until `resume`. */
  pause() {
    this.receiver.pause();
    this._socket.pause();
  }

  resume() {
    this.receiver.resume();
    this._flowSoon();
  }

  /** Drops, if it is paused, all but what ends the connection: nobody will resume. */
  drop() {
    this.receiver.drop();
    this._flowSoon();
  }

  /** Has the socket go on, behind what the receiver holds, whose handlers may pause. */
  _flowSoon() {
    // Not in the context of who resumes.
    this._context.runInAsyncScope(nextTick, process, () => {
      if (!this.receiver.paused && !this._isHeld) this._socket.resume();
    });
  }

  _flowAgain() {
    this._socket.pause();
    this._flowSoon();
  }

  /** Has the socket wait until all that it gave is read. */
  _hold() {
    this._isHeld = true;
    this._socket.pause();
  }

  _release() {
    if (!this._isHeld) return;
    this._isHeld = false;
    this._flowSoon();
  }

  /** The bytes that the system has not yet taken. */
  get bufferedAmount() {
    return (this._socket.writableLength || 0) + this.sender.queuedBytes;
  }

  /** Sends what is framed already, and no more: this direction ends. */
  end() {
    this.sender.abort();
    this._socket.end();
  }

  /** Lets go of the socket, which ends or, at once, is destroyed. */
  release(destroy) {
    const socket = this._socket;
    this.sender.abort();
    this.receiver.cleanup();
    for (const [event, listener] of Object.entries(this._listeners)) {
      socket.removeListener(event, listener);
    }
    // Not every version of Node.js calls back for what a socket has dropped.
    const settle = () => setImmediate(() => this.sender.settle());
    if (destroy || socket.destroyed) {
      socket.on('error', () => {});
      socket.destroy();
      settle();
    } else {
      socket.once('close', settle);
      linger(socket);
    }
  }

  /** Answers a ping. */
  _answer(data) {
    if (this._waitingPongs === MAX_WAITING_PONGS) {
      this._latestPing = data;
      return;
    }
    this._waitingPongs++;
    this.sender.pong(data, { mask: this._masks }, () => {
      this._waitingPongs--;
      const latest = this._latestPing;
      this._latestPing = null;
      if (latest !== null) this._answer(latest);
    });
  }
}

/** Destroys a socket, behind what was sent in this tick. */
function destroySent(error) {
  Sender.flush(this);
  return Object.getPrototypeOf(this).destroy.call(this, error);
}

module.exports = StreamTransport;
