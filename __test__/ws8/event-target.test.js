'use strict';

const assert = require('node:assert/strict');
const { EventEmitter } = require('events');

const {
  CloseEvent,
  ErrorEvent,
  Event,
  MessageEvent,
  mixInto,
} = require('../../lib/ws8/event-target');

class Target extends EventEmitter {}
mixInto(Target.prototype);

describe('ws 8: event target', () => {
  let target;
  let events;
  const listener = (event) => events.push(event);

  beforeEach(() => {
    target = new Target();
    events = [];
  });

  it('listeners are called with events as in browsers', () => {
    const error = new Error('no');
    Object.assign(target, { _closeFrameReceived: true, _closeFrameSent: true });
    for (const type of ['open', 'message', 'error', 'close']) {
      target.addEventListener(type, listener);
    }
    target.emit('open');
    target.emit('message', Buffer.from('text'), false);
    target.emit('message', Buffer.from('data'), true);
    target.emit('error', error);
    target.emit('close', 1000, Buffer.from('bye'));

    const [open, text, data, failure, close] = events;
    assert.deepEqual(
      events.map(({ constructor }) => constructor),
      [Event, MessageEvent, MessageEvent, ErrorEvent, CloseEvent],
    );
    assert.ok(events.every((event) => event.target === target));
    assert.equal(open.type, 'open');
    assert.equal(text.data, 'text');
    assert.deepEqual(data.data, Buffer.from('data'));
    assert.equal(failure.error, error);
    assert.equal(failure.message, 'no');
    assert.equal(close.code, 1000);
    assert.equal(close.reason, 'bye');
    assert.equal(close.wasClean, true);
  });

  it('a close is clean if both ends have sent a close frame', () => {
    target.onclose = listener;
    for (const [received, sent] of [
      [false, false],
      [true, false],
      [false, true],
    ]) {
      target._closeFrameReceived = received;
      target._closeFrameSent = sent;
      target.emit('close', 1006, Buffer.alloc(0));
    }
    assert.ok(events.every(({ wasClean }) => wasClean === false));
    assert.equal(events.length, 3);
  });

  it('attributes of events are enumerable and read-only', () => {
    const event = new MessageEvent('message', { data: 1 });
    const names = [];
    for (const name in event) names.push(name);
    assert.deepEqual(names.sort(), ['data', 'target', 'type']);
    assert.throws(() => {
      event.data = 2;
    }, TypeError);
  });

  it('functions are called with the target as this, objects by handleEvent', () => {
    const callers = [];
    const object = {
      handleEvent() {
        callers.push(this);
      },
    };
    target.addEventListener('open', object);
    target.addEventListener('open', function listens() {
      callers.push(this);
    });
    target.emit('open');
    assert.deepEqual(callers, [object, target]);
  });

  it('a listener is added only once, and only for the four events', () => {
    target.addEventListener('open', listener, { once: true });
    target.addEventListener('open', listener);
    target.addEventListener('ping', listener);
    target.addEventListener('toString', listener);
    target.emit('open');
    target.emit('open');
    assert.equal(events.length, 1);
    assert.deepEqual(target.eventNames(), []);
  });

  it('the property, addEventListener and on() are independent', () => {
    target.on('open', listener);
    target.onopen = listener;
    target.addEventListener('open', listener);
    assert.equal(target.listenerCount('open'), 3);

    target.removeEventListener('open', listener);
    target.removeEventListener('open', listener);
    assert.equal(target.listenerCount('open'), 2);
    assert.equal(target.onopen, listener);

    target.onopen = null;
    assert.equal(target.onopen, null);
    assert.deepEqual(target.listeners('open'), [listener]);
  });

  it('the property replaces its previous value, and must be a function', () => {
    target.onopen = () => assert.fail();
    target.onopen = listener;
    target.emit('open');
    assert.equal(events.length, 1);

    target.onopen = { handleEvent() {} };
    assert.equal(target.onopen, null);
    assert.equal(target.listenerCount('open'), 0);
  });
});
