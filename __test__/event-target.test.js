'use strict';

const assert = require('node:assert/strict');
const { once } = require('events');
const net = require('net');

const WebSocket = require('..');
const { closeHttp, ledger, listen, listenHttp, url } = require('./support');

const PLAIN = { perMessageDeflate: false };
const EVENTS = ['open', 'message', 'close', 'error'];

describe('Event target', () => {
  const { pair, track } = ledger();

  /** Creates a client that has not connected yet. */
  async function connecting() {
    const wss = track(await listen(PLAIN));
    return track(new WebSocket(url(wss)));
  }

  /** Creates a client for a port on which nobody listens. */
  async function refused() {
    const listener = await listenHttp(net.createServer());
    const address = url(listener);
    await closeHttp(listener);
    return new WebSocket(address);
  }

  for (const event of EVENTS) {
    it(`on${event} is undefined while nothing is set`, async () => {
      const client = await connecting();
      assert.equal(client[`on${event}`], undefined);
    });

    it(`on${event} returns the function it was set to`, async () => {
      const client = await connecting();
      const listener = () => {};
      client[`on${event}`] = listener;
      assert.equal(client[`on${event}`], listener);
    });

    it(`on${event} replaces the function it was set to before`, async () => {
      const client = await connecting();
      const listener = () => {};
      client[`on${event}`] = () => {};
      client[`on${event}`] = listener;
      assert.equal(client[`on${event}`], listener);
      assert.equal(client.listenerCount(event), 1);
    });

    it(`on${event} is undefined again when set to null`, async () => {
      const client = await connecting();
      client[`on${event}`] = () => {};
      client[`on${event}`] = null;
      assert.equal(client[`on${event}`], undefined);
    });

    it(`on${event} returns a listener added with addEventListener`, async () => {
      const client = await connecting();
      const listener = () => {};
      client.addEventListener(event, listener);
      assert.equal(client[`on${event}`], listener);
    });

    it(`an object is no listener for ${event}`, async () => {
      const client = await connecting();
      client.addEventListener(event, { handleEvent() {} });
      assert.equal(client.listenerCount(event), 0);
    });

    it(`removeEventListener removes a listener for ${event}`, async () => {
      const client = await connecting();
      const [kept, removed] = [() => {}, () => {}];
      client.addEventListener(event, kept);
      client.addEventListener(event, removed);
      client.removeEventListener(event, removed);
      assert.equal(client.listenerCount(event), 1);
      assert.equal(client[`on${event}`], kept);
    });
  }

  it('onmessage is not called for a removed listener', async () => {
    const { client, server } = await pair(PLAIN);
    const seen = [];
    const removed = () => seen.push('removed');
    client.addEventListener('message', removed);
    client.addEventListener('message', () => seen.push('kept'));
    client.removeEventListener('message', removed);
    const received = once(client, 'message');
    server.send('data');
    await received;
    assert.deepEqual(seen, ['kept']);
  });

  for (const [name, add] of [
    ['on property', (ws, type, fn) => Object.assign(ws, { [`on${type}`]: fn })],
    ['addEventListener', (ws, type, fn) => ws.addEventListener(type, fn)],
  ]) {
    const event = (ws, type) => new Promise((done) => add(ws, type, done));

    it(`${name}: open comes with its type and target`, async () => {
      const client = await connecting();
      const { type, target } = await event(client, 'open');
      assert.equal(type, 'open');
      assert.equal(target, client);
    });

    it(`${name}: message comes with text as data`, async () => {
      const { client, server } = await pair(PLAIN);
      const received = event(client, 'message');
      server.send('text');
      const { type, target, data } = await received;
      assert.equal(type, 'message');
      assert.equal(target, client);
      assert.equal(data, 'text');
    });

    it(`${name}: message comes with a Buffer as data`, async () => {
      const { client, server } = await pair(PLAIN);
      const received = event(client, 'message');
      server.send(Buffer.from('bytes'));
      const { data } = await received;
      assert.ok(Buffer.isBuffer(data));
      assert.equal(data.toString(), 'bytes');
    });

    it(`${name}: close comes with code and reason`, async () => {
      const { client, server } = await pair(PLAIN);
      const closed = event(client, 'close');
      server.close(3001, 'enough');
      const { type, target, code, reason } = await closed;
      assert.equal(type, 'close');
      assert.equal(target, client);
      assert.equal(code, 3001);
      assert.equal(reason, 'enough');
    });

    it(`${name}: error comes with its type, target and message`, async () => {
      const client = await refused();
      const { type, target, message } = await event(client, 'error');
      assert.equal(type, 'error');
      assert.equal(target, client);
      assert.match(message, /ECONNREFUSED/);
    });

    it(`${name}: a listener is called with the WebSocket as this`, async () => {
      const { client, server } = await pair(PLAIN);
      const self = new Promise((resolve) => {
        add(client, 'message', function () {
          resolve(this);
        });
      });
      server.send('text');
      assert.equal(await self, client);
    });
  }

  it('listeners of one event are called in the order added', async () => {
    const { client, server } = await pair(PLAIN);
    const seen = [];
    client.addEventListener('message', () => seen.push(1));
    client.on('message', () => seen.push(2));
    client.addEventListener('message', () => seen.push(3));
    const received = once(client, 'message');
    server.send('data');
    await received;
    assert.deepEqual(seen, [1, 2, 3]);
  });

  for (const [name, end, wasClean] of [
    ['a close with 1000 was clean', (ws) => ws.close(1000), true],
    ['a close without a code was clean', (ws) => ws.close(), true],
    ['a close with another code was not clean', (ws) => ws.close(1001), false],
    ['a lost connection was not clean', (ws) => ws._socket.destroy(), false],
  ]) {
    it(name, async () => {
      const { client, server } = await pair(PLAIN);
      const closed = new Promise((resolve) => {
        client.onclose = resolve;
      });
      end(server);
      assert.equal((await closed).wasClean, wasClean);
    });
  }

  it('listeners for other events get the arguments of the event', async () => {
    const { client, server } = await pair(PLAIN);
    const received = new Promise((resolve) => {
      client.addEventListener('ping', resolve);
    });
    server.ping('data');
    assert.equal((await received).toString(), 'data');
  });

  describe('binaryType', () => {
    it('is nodebuffer at first', async () => {
      assert.equal((await connecting()).binaryType, 'nodebuffer');
    });

    for (const type of ['nodebuffer', 'arraybuffer']) {
      it(`can be set to ${type}`, async () => {
        const client = await connecting();
        client.binaryType = type;
        assert.equal(client.binaryType, type);
      });
    }

    it('throws a SyntaxError when set to anything else', async () => {
      const client = await connecting();
      for (const type of ['blob', 'fragments', '', undefined, null, 1]) {
        assert.throws(() => {
          client.binaryType = type;
        }, SyntaxError);
      }
      assert.equal(client.binaryType, 'nodebuffer');
    });

    it('arraybuffer makes the data of events an ArrayBuffer', async () => {
      const { client, server } = await pair(PLAIN);
      client.binaryType = 'arraybuffer';
      const received = new Promise((resolve) => {
        client.onmessage = resolve;
      });
      server.send(Buffer.from('exactly these'));
      const { data } = await received;
      assert.ok(data instanceof ArrayBuffer);
      assert.equal(Buffer.from(data).toString(), 'exactly these');
    });

    it('arraybuffer leaves text a string', async () => {
      const { client, server } = await pair(PLAIN);
      client.binaryType = 'arraybuffer';
      const received = new Promise((resolve) => {
        client.onmessage = resolve;
      });
      server.send('text');
      assert.equal((await received).data, 'text');
    });

    it('arraybuffer leaves the data of on() a Buffer', async () => {
      const { client, server } = await pair(PLAIN);
      client.binaryType = 'arraybuffer';
      const received = once(client, 'message');
      server.send(Buffer.from('bytes'));
      assert.ok(Buffer.isBuffer((await received)[0]));
    });

    it('acts on the messages that come after it was set', async () => {
      const { client, server } = await pair(PLAIN);
      const kinds = [];
      const done = new Promise((resolve) => {
        client.onmessage = ({ data }) => {
          kinds.push(data.constructor.name);
          client.binaryType = 'arraybuffer';
          if (kinds.length === 2) resolve();
        };
      });
      server.send(Buffer.from('first'));
      server.send(Buffer.from('second'));
      await done;
      assert.deepEqual(kinds, ['Buffer', 'ArrayBuffer']);
    });
  });
});
