'use strict';

const assert = require('node:assert/strict');
const { once } = require('events');
const { Duplex } = require('stream');

const { PING, TEXT, WebSocket, beyondWs, uncaught } = require('./support');
const { DEFLATE, ignore, reader } = require('./support');

const { PerMessageDeflate, Sender } = WebSocket;

const SEND = { fin: true };
const COMPRESS = { fin: true, compress: true };

/** Creates a Sender, its socket, and a reader of its frames. */
function sender({ extensions, generateMask } = {}) {
  const peer = new Duplex({ read: ignore, write: ignore });
  const socket = new Duplex({
    read: ignore,
    write(chunk, encoding, callback) {
      peer.push(chunk);
      callback();
    },
  });
  const made = new Sender(socket, extensions, generateMask);
  return { sender: made, socket, wire: reader(peer) };
}

function extensions() {
  const extension = new PerMessageDeflate();
  extension.accept([{}]);
  return { [DEFLATE]: extension };
}

/** Returns a Blob that cannot be read. */
function unreadable() {
  const blob = new Blob(['blob']);
  blob.arrayBuffer = () => Promise.reject(new Error('unreadable'));
  return blob;
}

/** Calls each function with a callback. Resolves to the results of the callbacks. */
function errorsOf(...calls) {
  const promises = calls.map((call) => new Promise((resolve) => call(resolve)));
  return Promise.all(promises);
}

describe('A Sender', () => {
  it('sends Blobs in order with other data', async () => {
    const { sender: made, wire } = sender({ extensions: extensions() });
    made.send(new Blob(['one']), SEND);
    made.send('two', SEND);
    made.ping(new Blob(['three']), false);
    made.send(new Blob([]), SEND);
    assert.equal(made._bufferedBytes, 11);
    assert.deepEqual(
      (await wire.frames(4)).map(({ opcode, text }) => [opcode, text]),
      [
        [TEXT, 'one'],
        [TEXT, 'two'],
        [PING, 'three'],
        [TEXT, ''],
      ],
    );
    assert.equal(made._bufferedBytes, 0);
  });

  it('throws for values that are no data', () => {
    const { sender: made } = sender();
    for (const data of [undefined, {}, 1]) {
      for (const method of ['send', 'ping', 'pong']) {
        assert.throws(() => made[method](data, SEND), TypeError);
      }
    }
    assert.equal(made._bufferedBytes, 0);
  });

  for (const [activity, data, options] of [
    ['data was being compressed', 'text', COMPRESS],
    ['the blob was being read', new Blob(['blob']), SEND],
  ]) {
    it(`fails queued data if the socket is closed while ${activity}`, async () => {
      const { sender: made, socket } = sender({ extensions: extensions() });
      const failed = errorsOf(
        (cb) => made.send(data, options, cb),
        (cb) => made.send('waits', SEND, cb),
        (cb) => made.ping('waits', false, cb),
      );
      socket.destroy();
      for (const { message } of await failed) {
        assert.equal(message, `The socket was closed while ${activity}`);
      }
    });
  }

  it('fails queued data if a Blob cannot be read', async () => {
    const { sender: made } = sender();
    const told = new Promise((resolve) => {
      made.onerror = resolve;
    });
    const failed = errorsOf(
      (cb) => made.send(unreadable(), SEND, cb),
      (cb) => made.send('waits', SEND, cb),
    );
    for (const { message } of [...(await failed), await told]) {
      assert.equal(message, 'unreadable');
    }
  });
});

beyondWs('a Sender', () => {
  it('calls all callbacks, even if one throws', async () => {
    const { sender: made } = sender();
    let last;
    const errors = await uncaught(async () => {
      made.send(unreadable(), SEND, () => {
        throw new Error('thrown');
      });
      last = await new Promise((resolve) => made.send('text', SEND, resolve));
    });
    assert.deepEqual(errors, ['thrown']);
    assert.equal(last.message, 'unreadable');
  });

  it('sends nothing after data that could not be sent', async () => {
    const { sender: made } = sender();
    const told = new Promise((resolve) => {
      made.onerror = resolve;
    });
    made.send(unreadable(), { fin: false });
    await told;
    const [error] = await errorsOf((cb) => made.send('late', SEND, cb));
    assert.equal(error.message, 'unreadable');
  });

  it('continues after generateMask has thrown', async () => {
    let calls = 0;
    const { sender: made, wire } = sender({
      extensions: extensions(),
      generateMask() {
        calls++;
        if (calls === 2) throw new Error('thrown');
      },
    });
    const errors = await uncaught(async () => {
      const thrown = once(process, 'uncaughtException');
      made.send('first', { ...COMPRESS, mask: true });
      made.send('lost', { ...SEND, mask: true });
      made.send('last', { ...SEND, mask: true });
      await thrown;
    });
    assert.deepEqual(errors, ['thrown']);
    const [, last] = await wire.frames(2);
    assert.equal(last.text, 'last');
  });
});
