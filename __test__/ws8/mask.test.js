'use strict';

const assert = require('node:assert/strict');
const { once } = require('events');

const { BINARY, CLOSE, PING, PONG, TEXT, closePayload } = require('./support');
const { closing, ledger } = require('./support');

const KEY = Buffer.from([1, 2, 3, 4]);

describe('Masks', () => {
  const { bare, pair } = ledger();

  it('differ from frame to frame', async () => {
    const { ws, wire } = await bare('client');
    for (let i = 0; i < 20; i++) ws.send('text');
    const keys = (await wire.frames(20)).map(({ key }) => key.toString('hex'));
    assert.ok(new Set(keys).size > 15);
  });

  it('are used only by the client', async () => {
    for (const [side, masked] of [
      ['client', true],
      ['server', false],
    ]) {
      const { ws, wire } = await bare(side);
      ws.send('text');
      ws.close();
      const frames = await wire.frames(2);
      assert.deepEqual(
        frames.map((each) => each.masked),
        [masked, masked],
      );
    }
  });

  it('may be left out, which the server refuses', async () => {
    const { client, server } = await pair();
    const failed = once(server, 'error');
    client.send('text', { mask: false });
    assert.equal((await failed)[0].code, 'WS_ERR_EXPECTED_MASK');
    assert.deepEqual(await closing(client), [1002, '']);
  });

  it('may be used by the server, which the client refuses', async () => {
    const { client, server } = await pair();
    const failed = once(client, 'error');
    server.send('text', { mask: true });
    assert.equal((await failed)[0].code, 'WS_ERR_UNEXPECTED_MASK');
    assert.deepEqual(await closing(server), [1002, '']);
  });

  describe('of generateMask', () => {
    it('are requested with a Buffer for each frame', async () => {
      const asked = [];
      const generateMask = (buffer) => {
        asked.push(Buffer.isBuffer(buffer) && buffer.length);
        KEY.copy(buffer);
      };
      const { ws, wire } = await bare('client', { generateMask });
      ws.send('text');
      ws.send(Buffer.from('bytes'));
      ws.ping('ping');
      ws.pong('');
      ws.close(1000);
      const frames = await wire.frames(5);
      assert.deepEqual(
        frames.map(({ opcode, key, text }) => [opcode, key, text]),
        [
          [TEXT, KEY, 'text'],
          [BINARY, KEY, 'bytes'],
          [PING, KEY, 'ping'],
          [PONG, KEY, ''],
          [CLOSE, KEY, closePayload(1000).toString()],
        ],
      );
      assert.deepEqual(asked, [4, 4, 4, 4, 4]);
    });

    it('may be zero, which leaves the data unchanged', async () => {
      const generateMask = (buffer) => buffer.fill(0);
      const { ws, wire } = await bare('client', { generateMask });
      ws.send('text');
      ws.send(Buffer.from('bytes'));
      const frames = await wire.frames(2);
      assert.deepEqual(
        frames.map(({ masked, raw }) => [masked, raw.toString()]),
        [
          [true, 'text'],
          [true, 'bytes'],
        ],
      );
    });

    it('are understood by the server', async () => {
      const generateMask = (buffer) => KEY.copy(buffer);
      const { client, server } = await pair({}, { generateMask });
      const text = 'text'.repeat(20000);
      client.send(text);
      assert.equal(String((await once(server, 'message'))[0]), text);
    });

    it('may be used with compression', async () => {
      const generateMask = (buffer) => KEY.copy(buffer);
      const options = { perMessageDeflate: true };
      const { client, server } = await pair(options, { generateMask });
      client.send('text'.repeat(1000));
      const [data] = await once(server, 'message');
      assert.equal(data.toString(), 'text'.repeat(1000));
    });
  });
});
