'use strict';

const assert = require('node:assert/strict');
const { EventEmitter, once } = require('events');

const createWebSocketStream = require('../../lib/ws8/stream');

const [CONNECTING, OPEN, CLOSING, CLOSED] = [0, 1, 2, 3];

/** The part of a WebSocket that the stream uses. Tests open, fail and close it. */
class Fake extends EventEmitter {
  constructor(readyState = OPEN) {
    super();
    Object.assign(this, { CONNECTING, OPEN, CLOSING, CLOSED, readyState });
    this.calls = [];
    this.isPaused = false;
    this._socket = null;
    if (readyState === OPEN) this.opens();
  }

  opens() {
    this.readyState = OPEN;
    this._socket = Object.assign(new EventEmitter(), {
      writableFinished: false,
    });
    this.emit('open');
  }

  finishes() {
    this._socket.writableFinished = true;
    this._socket.emit('finish');
  }

  fails(error) {
    this.readyState = CLOSING;
    this.emit('error', error);
  }

  closes() {
    this.readyState = CLOSED;
    this.emit('close', 1006, Buffer.alloc(0));
  }

  pause() {
    this.isPaused = true;
  }

  resume() {
    this.isPaused = false;
  }

  send(data, callback) {
    this.calls.push(`send ${data}`);
    process.nextTick(callback);
  }

  close() {
    this.readyState = CLOSING;
    this.calls.push('close');
  }

  terminate() {
    this.readyState = CLOSING;
    this.calls.push('terminate');
  }
}

/** Returns an array to which the names of the stream's events are added. */
function watch(stream) {
  const events = [];
  for (const name of ['end', 'finish', 'error', 'close']) {
    stream.on(name, () => events.push(name));
  }
  return events;
}

/** Resolves when the stream has closed. */
function whenClosed(stream) {
  return new Promise((resolve) => {
    stream.once('close', resolve);
  });
}

describe('ws 8: stream', () => {
  it('writes and ends once the WebSocket is open', async () => {
    const ws = new Fake(CONNECTING);
    const stream = createWebSocketStream(ws);
    stream.write('a');
    stream.end('b');
    assert.deepEqual(ws.calls, []);
    const ended = once(stream, 'finish');
    ws.opens();
    await new Promise(setImmediate);
    assert.deepEqual(ws.calls, ['send a', 'send b', 'close']);
    ws.finishes();
    await ended;
  });

  it('is closed after both directions have ended', async () => {
    const ws = new Fake();
    const stream = createWebSocketStream(ws);
    const events = watch(stream);
    const closed = whenClosed(stream);
    stream.resume().end();
    ws.finishes();
    ws.closes();
    await closed;
    assert.deepEqual(events, ['finish', 'end', 'close']);
    assert.deepEqual(ws.calls, ['close']);
  });

  it('is closed when the connection is lost while it ends', async () => {
    const ws = new Fake();
    const stream = createWebSocketStream(ws);
    const closed = whenClosed(stream);
    stream.resume().end();
    ws.closes();
    await closed;
    assert.ok(stream.writableFinished && stream.readableEnded);
    assert.equal(ws._socket.listenerCount('finish'), 0);
  });

  it('is closed when it ends after the connection', async () => {
    const ws = new Fake();
    const stream = createWebSocketStream(ws);
    const closed = whenClosed(stream);
    ws.closes();
    await once(stream.resume(), 'end');
    assert.ok(!stream.destroyed);
    stream.end();
    await closed;
    assert.deepEqual(ws.calls, []);
  });

  it('emits an error of the WebSocket when the WebSocket has closed', async () => {
    const ws = new Fake();
    const stream = createWebSocketStream(ws);
    const events = watch(stream);
    const error = new Error('violation');
    const failed = once(stream, 'error');
    const closed = whenClosed(stream);
    ws.fails(error);
    await new Promise(setImmediate);
    assert.deepEqual(events, []);
    ws.closes();
    assert.equal((await failed)[0], error);
    await closed;
    // The WebSocket closes by itself.
    assert.deepEqual(ws.calls, []);
  });

  it('a failed WebSocket does not stay paused', () => {
    const ws = new Fake();
    const stream = createWebSocketStream(ws, { highWaterMark: 1 });
    stream.on('error', () => {});
    ws.emit('message', Buffer.from('much'), true);
    assert.ok(ws.isPaused);
    ws.fails(new Error('violation'));
    assert.ok(!ws.isPaused);
  });

  it('pauses while nobody reads', async () => {
    const ws = new Fake();
    const stream = createWebSocketStream(ws, { highWaterMark: 4 });
    ws.emit('message', Buffer.from('abc'), true);
    assert.ok(!ws.isPaused);
    ws.emit('message', Buffer.from('def'), true);
    assert.ok(ws.isPaused);
    await once(stream, 'readable');
    let read = '';
    for (let data; (data = stream.read()) !== null;) read += data;
    assert.equal(read, 'abcdef');
    await new Promise(setImmediate);
    assert.ok(!ws.isPaused);
  });

  it('terminates the WebSocket once when it is destroyed', async () => {
    const ws = new Fake();
    const stream = createWebSocketStream(ws);
    const error = new Error('enough');
    const failed = once(stream, 'error');
    const closed = whenClosed(stream);
    stream.destroy(error);
    ws.emit('message', Buffer.from('late'), true);
    assert.ok(!ws.isPaused);
    ws.closes();
    assert.equal((await failed)[0], error);
    await closed;
    assert.deepEqual(ws.calls, ['terminate']);
  });

  it('texts are strings with readableObjectMode', async () => {
    const ws = new Fake();
    const stream = createWebSocketStream(ws, { readableObjectMode: true });
    const seen = [];
    stream.on('data', (data) => seen.push(data));
    ws.emit('message', Buffer.from('text'), false);
    ws.emit('message', Buffer.from('data'), true);
    ws.closes();
    await once(stream, 'end');
    assert.deepEqual(seen, ['text', Buffer.from('data')]);
  });
});
