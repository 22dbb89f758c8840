'use strict';

// One contract for all transports: for each way in which a connection can end, in each
// state, at each end, the same events are emitted in the same order, and nothing is
// left.

const assert = require('node:assert/strict');
const { randomBytes } = require('crypto');

const WebSocket = require('..');
const { startedEngine } = require('../lib/transports/engine');
const { descriptors } = require('./fixtures-engine/descriptors');
const { frame, ledger, listen, uncaught, turn } = require('./support');

const IS_STREAM = process.env.OXWS_TRANSPORT === 'stream';
const DEFLATE = 'Sec-WebSocket-Extensions: permessage-deflate\r\n';

/** How long each step may take, in milliseconds. */
const LIMIT = 1000;

/** Resolves when a condition is true. Fails if that takes longer than LIMIT. */
async function until(condition, what) {
  const end = Date.now() + LIMIT;
  while (!condition()) {
    assert.ok(Date.now() < end, `${what} within ${LIMIT} ms`);
    await turn();
  }
}

/** Returns the payload of a close frame. */
function closing(code) {
  const payload = Buffer.alloc(2);
  payload.writeUInt16BE(code);
  return payload;
}

/**
 * The states in which a connection ends. `enter` brings the connection into the state.
 * `closes` is the code of the close frame that was sent before. `holds` is true if a
 * received message waits for `resume`.
 */
const STATES = {
  open: {},
  paused: { enter: ({ ws }) => ws.pause(), isPaused: true },
  'paused with a message behind': {
    isPaused: true,
    holds: true,
    async enter({ ws, peer }) {
      ws.pause();
      peer.write('held');
      await turn();
    },
  },
  closing: { enter: ({ ws }) => ws.close(4003), closes: 4003 },
  'within a message': {
    async enter({ peer }) {
      const half = frame(1, 'half of it', { fin: false, key: peer.key });
      // The ping behind it is answered when all has been read.
      peer.socket.write(Buffer.concat([half, frame(9, '', { key: peer.key })]));
      await until(() => peer.pongs === 1, 'half a message');
    },
  },
  compressing: {
    enter({ ws, callback }) {
      ws.send(randomBytes(1 << 19), callback());
    },
  },
  streaming: {
    enter({ ws, callback }) {
      ws.stream(() => {});
      ws.send('behind it', callback());
    },
  },
  'with listeners that throw': { throws: true },
};

/**
 * The ways in which a connection ends. `run` ends it, and `code` returns the code of
 * 'close'. During a pause, an end that is `received` waits for `resume`. An end that is
 * `behind` waits only if a message waits before it. All others do not wait.
 */
const ENDS = {
  'a close frame': {
    received: true,
    run({ peer }) {
      peer.socket.write(frame(8, closing(4001), { key: peer.key }));
      peer.endsToo = true;
    },
    code: ({ closes }) => closes || 4001,
  },
  'a close frame and a reset': {
    // During a pause, versions of Node differ in whether they read the data or only the
    // failure.
    unless: ({ isPaused }) => isPaused && IS_STREAM,
    run({ peer }) {
      peer.socket.write(frame(8, closing(4001), { key: peer.key }), () =>
        peer.socket.resetAndDestroy(),
      );
    },
    code: ({ closes, isPaused }) => (isPaused ? 1006 : closes || 4001),
  },
  'close()': {
    run({ ws, peer }) {
      ws.close(4002);
      peer.answers = true;
    },
    code: ({ closes }) => closes || 4002,
  },
  'close() and the end of the peer': {
    run({ ws, peer }) {
      ws.close(4002);
      peer.socket.end();
    },
    code: () => 1006,
  },
  'terminate()': { run: ({ ws }) => ws.terminate(), code: () => 1006 },
  'a violation': {
    received: true,
    errors: ['WS_ERR_UNEXPECTED_RSV_2_3'],
    run: ({ peer }) =>
      peer.socket.write(frame(2, 'x', { rsv: 1, key: peer.key })),
    code: () => 1006,
  },
  'the end of the peer': {
    behind: true,
    run: ({ peer }) => peer.socket.end(),
    code: () => 1006,
  },
  'a reset': {
    run: ({ peer }) => peer.socket.resetAndDestroy(),
    code: () => 1006,
  },
  'a reset while much waits to be sent': {
    async run({ ws, peer, callback }) {
      peer.socket.pause();
      if (ws.readyState === WebSocket.OPEN && ws._queue === null) {
        for (let i = 0; i < 4; i++) ws.send(Buffer.alloc(4 << 20), callback());
      }
      await turn();
      peer.socket.resetAndDestroy();
    },
    code: () => 1006,
  },
  'its socket destroyed': {
    run: ({ ws }) => ws._socket.destroy(),
    code: () => 1006,
  },
  'its socket ended': {
    behind: true,
    run: ({ ws }) => ws._socket.end(),
    code: () => 1006,
  },
  'its server closed': {
    only: 'server',
    run: ({ wss }) => wss.close(),
    code: () => 1006,
  },
  'the engine lost': {
    isNative: true,
    run: () => startedEngine().native.panic(),
    code: () => 1006,
  },
};

/**
 * A peer without oxws. If `answers` is set, it answers a close frame and ends. If
 * `endsToo` is set, it ends after a close frame.
 */
class Peer {
  constructor({ socket, wire }, key) {
    Object.assign(this, { socket, key, answers: false, endsToo: false });
    this.pongs = 0;
    socket.on('error', () => {});
    // Data that was written is sent before a reset.
    socket.setNoDelay();
    this._read(wire);
  }

  write(data) {
    this.socket.write(frame(1, data, { key: this.key }));
  }

  async _read(wire) {
    for (let seen; (seen = await wire.frame()) !== undefined;) {
      if (seen.opcode === 10) this.pongs++;
      if (seen.opcode !== 8) continue;
      if (this.answers) {
        this.socket.write(frame(8, seen.payload, { key: this.key }));
      }
      if (this.answers || this.endsToo) this.socket.end();
    }
  }
}

const SIDES = {
  'a server': { side: 'server', readsSocket: false },
  'a server whose socket is read': { side: 'server', readsSocket: true },
  'a client': { side: 'client', readsSocket: true },
};

describe('The contract of the transports', () => {
  const { track, bareClient, bareServer } = ledger();

  async function connect({ side }) {
    const wss = track(await listen({ perMessageDeflate: true }));
    if (side === 'server') {
      const bare = await bareClient(wss, {
        'Sec-WebSocket-Extensions': 'permessage-deflate',
      });
      return { wss, ws: bare.server, peer: new Peer(bare) };
    }
    const bare = await bareServer({ perMessageDeflate: true }, DEFLATE);
    return { wss, ws: bare.client, peer: new Peer(bare, null) };
  }

  async function check(side, end, state) {
    const connection = await connect(side);
    const { wss, ws } = connection;
    // An accepted connection has a socket of Node only if the program reads `_socket`.
    const socket = side.readsSocket ? ws._socket : null;
    const { listener } = WebSocket.diagnostics(ws);
    const before = descriptors();
    const events = [];
    const errors = [];
    const calls = [];
    const fail = (what) => {
      if (state.throws) throw new Error(`on purpose: ${what}`);
    };
    connection.callback = () => {
      const number = calls.push(0) - 1;
      return (error) => {
        calls[number]++;
        assert.ok(error === null || error instanceof Error);
        fail('callback');
      };
    };
    ws.on('message', (data) => {
      events.push(data);
      fail('message');
    });
    ws.on('error', (error) => {
      errors.push(error.code);
      fail('error');
    });
    ws.on('close', (code, reason) => {
      events.push(code);
      assert.equal(reason, '');
      assert.equal(ws.readyState, WebSocket.CLOSED);
      assert.equal(ws.bufferedAmount, 0);
      assert.equal(ws.writableNeedDrain, false);
      fail('close');
    });

    const thrown = await uncaught(async () => {
      ws.send('before', connection.callback());
      connection.peer.write('first');
      await until(() => events.length === 1, 'the first message');
      if (state.enter) await state.enter(connection);
      await end.run(connection);
      const waits = end.received || (end.behind && state.holds);
      if (state.isPaused && waits) {
        for (let i = 0; i < 20; i++) await turn();
        assert.equal(events.length, 1, 'nothing comes while it is paused');
        ws.resume();
      }
      await until(() => ws.readyState === WebSocket.CLOSED, "'close'");
      await until(() => calls.every((count) => count === 1), 'the callbacks');
      if (socket) await until(() => socket.destroyed, 'the end of the socket');
      connection.peer.socket.destroy();
      // Both ends of the connection had descriptors before. If there is a socket of
      // Node, the engine had one of its own.
      const isShared = !IS_STREAM && (socket || listener === 'node');
      const own = isShared ? 3 : 2;
      await until(() => descriptors() <= before - own, 'all descriptors');
      await turn();
    });

    const isHeld = end.behind || end.received;
    const held = state.holds && isHeld;
    assert.deepEqual(events, [
      'first',
      ...(held ? ['held'] : []),
      end.code(state),
    ]);
    assert.deepEqual(errors, end.errors || []);
    assert.equal(wss.clients.size, 0);
    assert.equal(ws.bufferedAmount, 0);
    assert.equal(ws.writableNeedDrain, false);
    for (const each of thrown) assert.match(each, /^on purpose/);
    assert.equal(
      thrown.length,
      state.throws ? calls.length + 2 + errors.length : 0,
    );
  }

  for (const [title, side] of Object.entries(SIDES)) {
    describe(title, () => {
      for (const [how, end] of Object.entries(ENDS)) {
        if (end.only && end.only !== side.side) continue;
        if (end.isNative && IS_STREAM) continue;
        for (const [name, state] of Object.entries(STATES)) {
          if (end.unless && end.unless(state)) continue;
          it(`${name}: ${how}`, () => check(side, end, state));
        }
      }
    });
  }
});
