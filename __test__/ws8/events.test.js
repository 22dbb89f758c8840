'use strict';

const assert = require('node:assert/strict');

const { TEXT, WebSocket, collect, each, ignore } = require('./support');
const { ledger, silent, url } = require('./support');

const TYPES = ['open', 'message', 'error', 'close'];

/** The arguments with which each event is emitted. */
const ARGUMENTS = {
  open: [],
  message: [Buffer.from('text'), false],
  error: [new Error('failed')],
  close: [1000, Buffer.from('why')],
};

describe('The interface of an EventTarget', () => {
  const { bare, pair, serve, track } = ledger();

  /** Creates a client that never connects. */
  function unconnected() {
    const options = { createConnection: silent };
    const ws = track(new WebSocket('ws://localhost', options));
    return ws.on('error', ignore);
  }

  const emit = (ws, type) => ws.emit(type, ...ARGUMENTS[type]);

  /** Defines a test that runs for each type. */
  const every = (title, check) =>
    it(title, () =>
      each(
        TYPES.map((type) => [type, `on${type}`]),
        check,
      ),
    );

  describe('on…', () => {
    every('is called on the WebSocket, with an event', (type, attribute) => {
      const ws = unconnected();
      const seen = [];
      ws[attribute] = function listener(...args) {
        seen.push([this, ...args]);
      };
      emit(ws, type);
      emit(ws, type);
      assert.equal(seen.length, 2);
      const [self, event, ...rest] = seen[0];
      assert.equal(self, ws);
      assert.equal(event.type, type);
      assert.equal(event.target, ws);
      assert.deepEqual(rest, []);
    });

    every('returns what was assigned', (type, attribute) => {
      const ws = unconnected();
      assert.equal(ws[attribute], null);
      ws[attribute] = ignore;
      assert.equal(ws[attribute], ignore);
    });

    every('replaces only its own listener', (type, attribute) => {
      const ws = unconnected();
      const calls = [];
      ws.on(type, () => calls.push('on'));
      ws.addEventListener(type, () => calls.push('listener'));
      ws[attribute] = () => calls.push('first');
      ws[attribute] = () => calls.push('second');
      emit(ws, type);
      assert.deepEqual(calls, ['on', 'listener', 'second']);
    });

    every('is null if the value is not a function', (type, attribute) => {
      const ws = unconnected();
      const count = ws.listenerCount(type);
      for (const nothing of [null, undefined, 'text', 1, {}]) {
        ws[attribute] = ignore;
        assert.equal(ws.listenerCount(type), count + 1);
        ws[attribute] = nothing;
        assert.equal(ws[attribute], null);
        assert.equal(ws.listenerCount(type), count);
      }
    });

    every('does not return other listeners', (type, attribute) => {
      const ws = unconnected();
      ws.on(type, ignore);
      ws.addEventListener(type, ignore);
      assert.equal(ws[attribute], null);
    });

    every('may be a listener that is also added', (type, attribute) => {
      const ws = unconnected();
      let calls = 0;
      const listener = () => calls++;
      ws[attribute] = listener;
      ws.addEventListener(type, listener);
      emit(ws, type);
      assert.equal(calls, 2);
      ws.removeEventListener(type, listener);
      emit(ws, type);
      assert.equal(calls, 3);
      assert.equal(ws[attribute], listener);
    });
  });

  describe('addEventListener', () => {
    every('adds a function only once', (type) => {
      const ws = unconnected();
      const seen = [];
      const listener = function listener(event) {
        seen.push([this, event.type, event.target]);
      };
      ws.addEventListener(type, listener);
      ws.addEventListener(type, listener);
      emit(ws, type);
      assert.deepEqual(seen, [[ws, type, ws]]);
    });

    every('adds an object with handleEvent', (type) => {
      const ws = unconnected();
      const seen = [];
      const listener = {
        handleEvent(event) {
          seen.push([this, event.type]);
        },
      };
      ws.addEventListener(type, listener);
      ws.addEventListener(type, listener);
      emit(ws, type);
      assert.deepEqual(seen, [[listener, type]]);
    });

    every('may be removed', (type) => {
      const ws = unconnected();
      const count = ws.listenerCount(type);
      const object = { handleEvent: () => assert.fail('called') };
      for (const listener of [() => assert.fail('called'), object]) {
        ws.addEventListener(type, listener);
        ws.removeEventListener(type, listener);
        ws.removeEventListener(type, listener);
      }
      assert.equal(ws.listenerCount(type), count);
      emit(ws, type);
    });

    every('calls a listener once with the option once', (type) => {
      const ws = unconnected();
      const count = ws.listenerCount(type);
      let calls = 0;
      ws.addEventListener(type, () => calls++, { once: true });
      ws.addEventListener(type, { handleEvent: () => calls++ }, { once: true });
      emit(ws, type);
      emit(ws, type);
      assert.equal(calls, 2);
      assert.equal(ws.listenerCount(type), count);
    });

    every('is independent of on()', (type) => {
      const ws = unconnected();
      let calls = 0;
      const listener = () => calls++;
      ws.on(type, listener);
      ws.addEventListener(type, listener);
      emit(ws, type);
      assert.equal(calls, 2);
      ws.removeEventListener(type, listener);
      ws.removeEventListener(type, listener);
      emit(ws, type);
      assert.equal(calls, 3);
    });
  });

  it('does nothing for other types', () =>
    each([['ping'], ['pong'], ['upgrade'], ['other'], ['']], (type) => {
      const ws = unconnected();
      ws.addEventListener(type, ignore);
      assert.equal(ws.listenerCount(type), 0);
      ws.on(type, ignore);
      ws.removeEventListener(type, ignore);
      assert.equal(ws.listenerCount(type), 1);
    }));

  it('calls all listeners in their order', () => {
    const ws = unconnected();
    const calls = [];
    ws.addEventListener('open', () => calls.push(1));
    ws.on('open', () => calls.push(2));
    ws.onopen = () => calls.push(3);
    ws.addEventListener('open', () => calls.push(4), { once: true });
    emit(ws, 'open');
    assert.deepEqual(calls, [1, 2, 3, 4]);
  });

  describe('has the event', () => {
    /** Emits with these arguments. Returns the event that a listener is called with. */
    function eventOf(type, ...args) {
      const ws = unconnected();
      let event;
      ws.addEventListener(type, (given) => (event = given), { once: true });
      ws.emit(type, ...args);
      return event;
    }

    for (const [type, name, properties] of [
      ['open', 'Event', {}],
      ['message', 'MessageEvent', { data: 'text' }],
      ['error', 'ErrorEvent', { error: ARGUMENTS.error[0], message: 'failed' }],
      ['close', 'CloseEvent', { code: 1000, reason: 'why', wasClean: false }],
    ]) {
      it(`${name} for '${type}'`, () => {
        const event = eventOf(type, ...ARGUMENTS[type]);
        const Event = eventOf('open').constructor;
        assert.equal(event.constructor.name, name);
        assert.ok(event instanceof Event);
        assert.equal(event.type, type);
        for (const [property, value] of Object.entries(properties)) {
          assert.equal(event[property], value);
        }
        const { prototype } = event.constructor;
        const own = type === 'open' ? ['type', 'target'] : properties;
        for (const property of Array.isArray(own) ? own : Object.keys(own)) {
          const { get, set, enumerable, configurable } =
            Object.getOwnPropertyDescriptor(prototype, property);
          assert.equal(typeof get, 'function');
          assert.equal(set, undefined);
          assert.ok(enumerable);
          assert.ok(configurable);
        }
      });
    }

    for (const [type, defaults, given] of [
      ['open', {}, {}],
      ['message', { data: null }, { data: 1 }],
      ['error', { error: null, message: '' }, { error: 1, message: 'x' }],
      [
        'close',
        { code: 0, reason: '', wasClean: false },
        { code: 1000, reason: 'x', wasClean: true },
      ],
    ]) {
      it(`of '${type}', whose class can be constructed`, () => {
        const { constructor: Class } = eventOf(type, ...ARGUMENTS[type]);
        const names = ['type', 'target', ...Object.keys(defaults)];
        const parts = (event) =>
          Object.fromEntries(names.map((name) => [name, event[name]]));
        assert.deepEqual(parts(new Class('own')), {
          type: 'own',
          target: null,
          ...defaults,
        });
        assert.deepEqual(parts(new Class('own', given)), {
          type: 'own',
          target: null,
          ...given,
        });
      });
    }

    it('with binary data unchanged', () => {
      const data = Buffer.from('text');
      assert.equal(eventOf('message', data, true).data, data);
    });
  });

  describe('of a connection', () => {
    it('tells of opening, messages and a clean end', async () => {
      const wss = await serve();
      wss.on('connection', (ws) => {
        ws.send('text');
        ws.send(Buffer.from('bytes'));
        ws.close(4000, 'why');
      });
      const seen = [];
      const ws = track(new WebSocket(url(wss)));
      await new Promise((resolve) => {
        ws.onopen = (event) => seen.push(event.type);
        ws.onmessage = (event) => seen.push(event.data);
        ws.onclose = ({ code, reason, wasClean }) => {
          resolve(seen.push([code, reason, wasClean]));
        };
      });
      assert.deepEqual(seen, [
        'open',
        'text',
        Buffer.from('bytes'),
        [4000, 'why', true],
      ]);
    });

    it('tells of an error and an end that is not clean', async () => {
      const { ws, send } = await bare('client');
      const seen = [];
      await new Promise((resolve) => {
        ws.onerror = ({ error, message }) => seen.push([error.code, message]);
        ws.onclose = ({ code, reason, wasClean }) => {
          resolve(seen.push([code, reason, wasClean]));
        };
        send(15);
      });
      assert.deepEqual(seen, [
        ['WS_ERR_INVALID_OPCODE', 'Invalid WebSocket frame: invalid opcode 15'],
        [1006, '', false],
      ]);
    });

    for (const [binaryType, check] of [
      ['nodebuffer', (data) => Buffer.isBuffer(data)],
      ['arraybuffer', (data) => data instanceof ArrayBuffer],
      ['blob', (data) => data instanceof Blob],
      ['fragments', (data) => Array.isArray(data)],
    ]) {
      it(`has messages of the type ${binaryType}, but for text`, async () => {
        const { client, server } = await pair();
        client.binaryType = binaryType;
        const events = new Promise((resolve) => {
          const seen = [];
          client.onmessage = (event) => {
            if (seen.push(event.data) === 2) resolve(seen);
          };
        });
        server.send(Buffer.from('bytes'));
        server.send('text');
        const [bytes, text] = await events;
        assert.ok(check(bytes));
        assert.equal(text, 'text');
      });
    }

    it('has wasClean if both ends have sent a close frame', async () => {
      const { client, server } = await pair();
      const seen = [client, server].map(
        (ws) =>
          new Promise((resolve) => {
            ws.onclose = ({ wasClean }) => resolve(wasClean);
          }),
      );
      server.close();
      assert.deepEqual(await Promise.all(seen), [true, true]);
    });

    it('does not have wasClean if only one end has sent one', async () => {
      const { ws, socket, wire } = await bare('server');
      const seen = new Promise((resolve) => {
        ws.onclose = ({ wasClean }) => resolve(wasClean);
      });
      ws.close();
      await wire.frame();
      socket.end();
      assert.equal(await seen, false);
    });

    it('may change its listeners while they are called', async () => {
      const { ws, sendAll } = await bare('server');
      const seen = [];
      const received = collect(ws, 'message', 2);
      ws.onmessage = ({ data }) => {
        seen.push(data);
        ws.onmessage = ({ data: next }) => seen.push(`then ${next}`);
      };
      sendAll([TEXT, 'a'], [TEXT, 'b']);
      await received;
      assert.deepEqual(seen, ['a', 'then b']);
    });
  });
});
