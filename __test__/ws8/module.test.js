'use strict';

const assert = require('node:assert/strict');
const { EventEmitter, once } = require('events');
const { Writable } = require('stream');

const { SIDES, WebSocket, closing, each, ignore } = require('./support');
const { ledger, silent } = require('./support');

const STATES = ['CONNECTING', 'OPEN', 'CLOSING', 'CLOSED'];

/** The properties of the prototype, with their values before the connection is open. */
const PROPERTIES = {
  binaryType: 'nodebuffer',
  bufferedAmount: 0,
  extensions: '',
  isPaused: false,
  protocol: '',
  readyState: WebSocket.CONNECTING,
  url: 'ws://localhost/',
  onopen: null,
  onerror: null,
  onclose: null,
  onmessage: null,
};

const WRITABLE = ['binaryType', 'onopen', 'onerror', 'onclose', 'onmessage'];

/** The fields that programs read, with their values before the connection is open. */
const FIELDS = {
  _autoPong: true,
  _binaryType: 'nodebuffer',
  _closeCode: 1006,
  _closeFrameReceived: false,
  _closeFrameSent: false,
  _closeMessage: Buffer.alloc(0),
  _closeTimeout: 30000,
  _closeTimer: null,
  _errorEmitted: false,
  _extensions: {},
  _isServer: false,
  _paused: false,
  _protocol: '',
  _readyState: WebSocket.CONNECTING,
  _receiver: null,
  _redirects: 0,
  _sender: null,
  _socket: null,
};

describe('The module', () => {
  const { pair, track } = ledger();

  /** Creates a client that never connects. */
  function unconnected() {
    const createConnection = silent;
    return track(new WebSocket('ws://localhost', { createConnection }));
  }

  describe('exports', () => {
    for (const [name, same] of [
      ['WebSocket', WebSocket],
      ['WebSocketServer', WebSocket.Server],
    ]) {
      it(`${name}, which is a class`, () => {
        assert.equal(WebSocket[name], same);
        assert.equal(same.name, name);
        assert.ok(same.prototype instanceof EventEmitter);
        assert.throws(() => same(), { name: 'TypeError' });
      });
    }

    it('Receiver, a Writable', () => {
      assert.ok(WebSocket.Receiver.prototype instanceof Writable);
    });

    for (const [object, names] of [
      ['Sender', ['frame']],
      ['extension', ['parse', 'format']],
      ['subprotocol', ['parse']],
    ]) {
      it(`${object} with ${names.join(' and ')}`, () => {
        for (const name of names) {
          assert.equal(typeof WebSocket[object][name], 'function');
        }
      });
    }

    it('PerMessageDeflate with the name of the extension', () => {
      const { extensionName } = WebSocket.PerMessageDeflate;
      assert.equal(extensionName, 'permessage-deflate');
    });

    it('createWebSocketStream', () => {
      assert.equal(typeof WebSocket.createWebSocketStream, 'function');
    });

    it('a class that can be extended', async () => {
      class Own extends WebSocket {
        get own() {
          return true;
        }
      }
      const { wss } = await pair();
      const { port } = wss.address();
      const ws = track(new Own(`ws://127.0.0.1:${port}`));
      await once(ws, 'open');
      assert.ok(ws.own);
      assert.ok(ws instanceof WebSocket);
    });
  });

  describe('constants', () => {
    it('cannot be changed', () => {
      STATES.forEach((name, value) => {
        for (const holder of [WebSocket, WebSocket.prototype]) {
          assert.deepEqual(Object.getOwnPropertyDescriptor(holder, name), {
            configurable: false,
            enumerable: true,
            value,
            writable: false,
          });
        }
      });
    });
  });

  describe('properties', () => {
    it('are accessors with initial values', () =>
      each(Object.entries(PROPERTIES), (name, initial) => {
        const isReadOnly = !WRITABLE.includes(name);
        const { get, set, enumerable, configurable } =
          Object.getOwnPropertyDescriptor(WebSocket.prototype, name);
        assert.equal(typeof get, 'function');
        assert.equal(typeof set, isReadOnly ? 'undefined' : 'function');
        assert.ok(enumerable);
        assert.ok(configurable);
        const ws = unconnected();
        assert.equal(ws[name], initial);
        if (isReadOnly) {
          assert.throws(() => (ws[name] = 1), { name: 'TypeError' });
        }
      }));

    it('do not have a url at the server', async () => {
      const { server } = await pair();
      assert.equal(server.url, undefined);
    });

    it('show all states', async () => {
      const { client, server } = await pair();
      const closed = [client, server].map(
        (ws) =>
          new Promise((resolve) => {
            ws.on('close', () => resolve(ws.readyState));
          }),
      );
      const states = [client.readyState];
      client.close();
      states.push(client.readyState);
      assert.deepEqual(states, [WebSocket.OPEN, WebSocket.CLOSING]);
      const { CLOSED } = WebSocket;
      assert.deepEqual(await Promise.all(closed), [CLOSED, CLOSED]);
    });
  });

  describe('fields', () => {
    it('have initial values', () => {
      const ws = unconnected();
      return each(Object.entries(FIELDS), (name, initial) => {
        assert.deepEqual(ws[name], initial);
      });
    });

    it('_req is the request until there is a response', async () => {
      const { client } = await pair();
      assert.equal(client._req, null);
      assert.equal(typeof unconnected()._req.getHeader, 'function');
    });

    it('_isServer is true at the server', async () => {
      const { client, server } = await pair();
      assert.equal(client._isServer, false);
      assert.equal(server._isServer, true);
    });

    for (const [option, value, field, expected] of [
      ['closeTimeout', 1234, '_closeTimeout', 1234],
      ['autoPong', false, '_autoPong', undefined],
    ]) {
      it(`${field} follows the option ${option} at both ends`, async () => {
        const options = { [option]: value };
        const { client, server } = await pair(options, options);
        assert.equal(client[field], expected);
        assert.equal(server[field], expected);
      });
    }

    for (const side of SIDES) {
      it(`keep their values after the close of the ${side}, as do its listeners`, async () => {
        const { [side]: ws } = await pair();
        const { _socket, _receiver, _sender } = ws;
        ws.on('message', ignore);
        const closed = closing(ws);
        ws.close();
        await closed;
        assert.ok(_socket && _receiver && _sender);
        assert.equal(ws._socket, _socket);
        assert.equal(ws._receiver, _receiver);
        assert.equal(ws._sender, _sender);
        assert.deepEqual(ws.listeners('message'), [ignore]);
      });
    }

    it('show which close frames were sent and received', async () => {
      const { client } = await pair();
      const closed = closing(client);
      client.close(1000, 'done');
      await closed;
      assert.equal(client._closeFrameSent, true);
      assert.equal(client._closeFrameReceived, true);
      assert.equal(client._closeCode, 1000);
      assert.deepEqual(client._closeMessage, Buffer.from('done'));
    });
  });
});
