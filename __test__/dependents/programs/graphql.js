'use strict';

// graphql-ws: its server (`use/ws`), and its client with a subclass of WebSocket as
// `webSocketImpl`. It checks subprotocols strictly, and has a close code for each
// fault.

const assert = require('node:assert/strict');
const { once } = require('events');
const { buildSchema } = require('graphql');
const { createClient } = require('graphql-ws');
const { useServer } = require('graphql-ws/use/ws');
const { setImmediate } = require('timers/promises');
const { WebSocket, WebSocketServer } = require('ws');

const { at, closing, run } = require('../support');

const PROTOCOL = 'graphql-transport-ws';

/** The time between two pings of the server, and for each pong, in milliseconds. */
const KEEP_ALIVE = 300;

/** The first message of a client, which the server acknowledges. */
const INIT = { type: 'connection_init' };

const schema = buildSchema(`
  type Query { hello: String }
  type Subscription { count(to: Int!): Int, forever: Int }
`);

/** Returns a subclass of WebSocket that adds its instances to `sockets`. */
function tapped(sockets) {
  return class Tapped extends WebSocket {
    constructor(...args) {
      super(...args);
      sockets.push(this);
    }
  };
}

/**
 * Returns the options of the server. The end of its endless subscription is recorded.
 */
function options(ended) {
  const subscription = {
    async *count({ to }) {
      for (let i = 1; i <= to; i++) yield { count: i };
    },
    async *forever() {
      try {
        for (let i = 1; ; i++) yield await setImmediate({ forever: i });
      } finally {
        ended.push('forever');
      }
    },
  };
  return {
    schema,
    roots: { query: { hello: 'world' }, subscription },
    onConnect: ({ connectionParams }) =>
      !(connectionParams && connectionParams.stranger),
    onSubscribe: ({ extra }, id, { operationName }) => {
      if (operationName === 'Leave') extra.socket.close(4123, 'as you wish');
    },
  };
}

async function start(serverOptions, keepAlive) {
  const wss = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  await once(wss, 'listening');
  const { dispose } = useServer(serverOptions, wss, keepAlive);
  return { dispose, url: `ws://127.0.0.1:${wss.address().port}` };
}

function client(url, settings) {
  return createClient({
    retryAttempts: 0,
    url,
    webSocketImpl: WebSocket,
    ...settings,
  });
}

/** Resolves to all results of an operation. */
async function results(from, query) {
  const all = [];
  for await (const { data } of from.iterate({ query })) all.push(data);
  return all;
}

/** Resolves to the close event that ends an operation of a client. */
async function closeEvent(from, operation) {
  try {
    for await (const result of from.iterate(operation)) void result;
  } catch ({ code, reason, wasClean }) {
    return { code, reason, wasClean };
  }
  throw new Error('the operation ended well');
}

async function operations(url, ended) {
  at('operations');
  const graphql = client(url);
  const counted = await results(graphql, 'subscription { count(to: 50) }');
  assert.deepEqual(
    counted.map(({ count }) => count),
    Array.from({ length: 50 }, (_, i) => i + 1),
  );
  assert.deepEqual(await results(graphql, '{ hello }'), [{ hello: 'world' }]);

  at('a bad subscription');
  const bad = results(graphql, 'subscription { nothing }');
  await assert.rejects(bad, ([error]) => /nothing/.test(error.message));

  at('a subscription that is left');
  const query = 'subscription { forever }';
  for await (const { data } of graphql.iterate({ query })) {
    if (data.forever === 3) break;
  }
  assert.deepEqual(await results(graphql, '{ hello }'), [{ hello: 'world' }]);
  assert.deepEqual(ended, ['forever']);
  await graphql.dispose();
  return counted.length;
}

/**
 * Checks the pings of both ends. Those of the server are frames, the client's messages.
 */
async function keepAlive(serverOptions) {
  at('keep-alive');
  const { dispose, url } = await start(serverOptions, KEEP_ALIVE);
  const sockets = [];
  const graphql = client(url, {
    keepAlive: KEEP_ALIVE / 3,
    lazy: false,
    onNonLazyError: () => {},
    webSocketImpl: tapped(sockets),
  });
  const pongs = [];
  graphql.on('pong', (received) => pongs.push(received));
  const closed = new Promise((resolve) => graphql.on('closed', resolve));
  await new Promise((resolve) => graphql.on('connected', resolve));

  const [ws] = sockets;
  await once(ws, 'ping');
  await once(ws, 'ping');
  assert.ok(pongs.length > 0 && pongs.every((received) => received));

  at('a client that is mute');
  ws.pong = () => {};
  const { code, wasClean } = await closed;
  assert.equal(code, 1006);
  assert.equal(wasClean, false);
  await graphql.dispose();
  await dispose();
  return code;
}

/**
 * Connects without graphql-ws and sends messages. Resolves to the code and the reason.
 */
async function bare(url, messages) {
  const ws = new WebSocket(url, PROTOCOL);
  const closed = closing(ws);
  await once(ws, 'open');
  assert.equal(ws.protocol, PROTOCOL);
  for (const message of messages) {
    ws.send(JSON.stringify(message));
    if (message === INIT) await Promise.race([once(ws, 'message'), closed]);
  }
  return closed;
}

async function faults(url, serverOptions) {
  at('faults of clients');
  const forever = {
    id: '1',
    type: 'subscribe',
    payload: { query: 'subscription { forever }' },
  };
  const stranger = client(url, { connectionParams: { stranger: true } });
  const guest = client(url);
  const codes = {
    forbidden: await closeEvent(stranger, { query: '{ hello }' }),
    leave: await closeEvent(guest, {
      query: 'query Leave { hello }',
      operationName: 'Leave',
    }),
    invalid: await bare(url, ['nonsense']),
    unauthorized: await bare(url, [forever]),
    twice: await bare(url, [INIT, INIT]),
    duplicate: await bare(url, [INIT, forever, forever]),
    noProtocol: await closing(new WebSocket(url)),
  };
  await Promise.all([stranger.dispose(), guest.dispose()]);
  assert.deepEqual(
    Object.values(codes).map(({ code }) => code),
    [4403, 4123, 4400, 4401, 4429, 4409, 4406],
  );
  assert.equal(codes.forbidden.wasClean, true);
  assert.equal(codes.leave.reason, 'as you wish');

  at('a subprotocol that the server has not');
  await assert.rejects(
    once(new WebSocket(url, 'other'), 'open'),
    /Server sent no subprotocol/,
  );

  at('a client that says nothing');
  const hasty = await start({ ...serverOptions, connectionInitWaitTimeout: 1 });
  codes.silent = await bare(hasty.url, []);
  assert.equal(codes.silent.code, 4408);
  await hasty.dispose();
  return codes;
}

run(async () => {
  const ended = [];
  const serverOptions = options(ended);
  const { dispose, url } = await start(serverOptions);
  const result = {
    counted: await operations(url, ended),
    faults: await faults(url, serverOptions),
    mute: await keepAlive(serverOptions),
  };

  at('disposing of the server');
  const last = new WebSocket(url, PROTOCOL);
  await once(last, 'open');
  const closed = closing(last);
  await dispose();
  result.disposed = await closed;
  assert.deepEqual(result.disposed, { code: 1001, reason: 'Going away' });
  return result;
});
