'use strict';

// The address of a client, and what it checks in the response of the server.

const assert = require('node:assert/strict');
const { once } = require('events');
const fs = require('fs');
const http = require('http');
const os = require('os');
const path = require('path');

const WebSocket = require('..');
const { closing, ledger, listen, listenHttp, url } = require('./support');

const ACCEPTED = 'Sec-WebSocket-Extensions: permessage-deflate\r\n';

describe('An address', () => {
  const { track, bareServer } = ledger();

  /**
   * Resolves to the request of a client. `change` returns its address for a server's.
   */
  async function requestOf(change, options) {
    const wss = track(await listen());
    const connected = once(wss, 'connection');
    const client = track(new WebSocket(change(url(wss)), options));
    await once(client, 'open');
    const [{ upgradeReq }] = await connected;
    return upgradeReq;
  }

  const authorization = ({ headers }) => {
    const [, credentials] = /^Basic (.*)$/.exec(headers.authorization);
    return Buffer.from(credentials, 'base64').toString();
  };

  for (const [name, expected] of [
    ['user:secret', 'user:secret'],
    [':secret', ':secret'],
    ['user:', 'user:'],
    ['us%40er:se%3Acret', 'us@er:se:cret'],
    ['user:100%', 'user:100%'],
  ]) {
    it(`has a user that is sent as credentials: ${name}`, async () => {
      const request = await requestOf((address) =>
        address.replace('//', `//${name}@`),
      );
      assert.equal(authorization(request), expected);
    });
  }

  for (const [written, sent] of [
    ['', '/'],
    ['/', '/'],
    ['/a/../b/./c', '/a/../b/./c'],
    ['/%41?b=%2f&c=d#e', '/%41?b=%2f&c=d'],
    ['?a=b', '/?a=b'],
    ['/sp ace/é?"', '/sp%20ace/%C3%A9?%22'],
  ]) {
    it(`has a path that is not normalized: ${written}`, async () => {
      const request = await requestOf((address) => address + written);
      assert.equal(request.url, sent);
    });
  }

  it('may be a URL, or the result of url.parse', async () => {
    const { parse } = require('url');
    for (const make of [(text) => new URL(text), parse]) {
      const request = await requestOf((text) => make(`${text}/a?b`));
      assert.equal(request.url, '/a?b');
    }
  });

  for (const invalid of [
    '',
    'nothing',
    'ws://',
    'ws:///path',
    'ws://a b',
    'ws://a:port',
    null,
    undefined,
    42,
    {},
  ]) {
    it(`is invalid: ${JSON.stringify(invalid)}`, () => {
      assert.throws(() => new WebSocket(invalid), /^Error: invalid url$/);
    });
  }

  describe('of a Unix-domain socket', () => {
    let folder;

    beforeEach(() => {
      folder = fs.mkdtempSync(path.join(os.tmpdir(), 'oxws-'));
    });

    afterEach(() => fs.rmSync(folder, { recursive: true }));

    for (const [name, user] of [
      ['has its path as the path of the request', ''],
      ['may have a user', 'user:secret@'],
    ]) {
      it(name, async function () {
        if (process.platform === 'win32') this.skip();
        const file = path.join(folder, 'a.sock');
        const server = track(http.createServer());
        server.listen(file);
        await once(server, 'listening');
        const wss = new WebSocket.Server({ server });
        const connected = once(wss, 'connection');
        const client = new WebSocket(`ws+unix://${user}${file}?a=b`);
        await once(client, 'open');
        const [{ upgradeReq }] = await connected;
        assert.equal(upgradeReq.url, `${file}?a=b`);
        if (user) assert.equal(authorization(upgradeReq), 'user:secret');
        const closed = closing(client);
        client.close();
        await closed;
      });
    }
  });

  describe('whose server responds with an extension', () => {
    for (const [name, options, headers] of [
      ['that is unknown', {}, 'Sec-WebSocket-Extensions: x-other\r\n'],
      ['beside the one offered', {}, ACCEPTED.replace('\r', ', x-other\r')],
      ['twice', {}, ACCEPTED.repeat(2)],
      ['that was not offered', { perMessageDeflate: false }, ACCEPTED],
    ]) {
      it(`${name} is an error`, async () => {
        await assert.rejects(
          bareServer(options, headers),
          /extension that was not requested|invalid extension parameter/,
        );
      });
    }
  });

  describe('with any clientMaxWindowBits', () => {
    it('opens with any clientMaxWindowBits of the server', async function () {
      this.timeout(10000);
      const text = 'abcdefghijklmnopqrstuvwxyz'.repeat(200);
      for (let bits = 8; bits <= 15; bits++) {
        const deflate = { clientMaxWindowBits: bits, threshold: 0 };
        const wss = track(await listen({ perMessageDeflate: deflate }));
        wss.on('connection', (ws) => ws.on('message', (data) => ws.send(data)));
        for (let own = 8; own <= 15; own++) {
          const client = new WebSocket(url(wss), {
            perMessageDeflate: { clientMaxWindowBits: own, threshold: 0 },
          });
          await once(client, 'open');
          const { params } = client.extensions['permessage-deflate'];
          assert.equal(params.client_max_window_bits, Math.min(bits, own));
          client.send(text);
          assert.equal((await once(client, 'message'))[0], text);
          client.terminate();
        }
      }
    });
  });

  describe('whose client closes while connecting', () => {
    it('gets the close frame once it is connected', async () => {
      const wss = track(await listen());
      const connected = once(wss, 'connection');
      const client = new WebSocket(url(wss));
      client.on('open', () => assert.fail('it must not open'));
      const closed = closing(client);
      client.close(4000, 'changed my mind');
      assert.equal(client.readyState, WebSocket.CLOSED);
      const [server] = await connected;
      assert.deepEqual(await closing(server), [4000, 'changed my mind']);
      assert.deepEqual(await closed, [1006, 'changed my mind']);
      assert.equal(wss.clients.size, 0);
    });

    it('causes no error if the handshake fails then', async () => {
      const server = await listenHttp();
      const address = url(server);
      server.close();
      const client = new WebSocket(address);
      client.on('error', assert.fail);
      const closed = closing(client);
      client.close();
      assert.equal((await closed)[0], 1006);
    });

    it('makes terminate() close the client at once, also after close()', async () => {
      const wss = track(await listen());
      const client = new WebSocket(url(wss));
      const codes = [];
      client.on('close', (code) => codes.push(code));
      client.close();
      client.terminate();
      assert.deepEqual(codes, [1006]);
    });
  });
});
