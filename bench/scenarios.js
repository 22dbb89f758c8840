'use strict';

// The scenarios. Each has a plan for the load generator, the peers that it measures,
// and its ID, group and title.

const { connections: possible, limit } = require('./descriptors');

const KIB = 1024;
const MIB = 1024 * 1024;

const OXWS = ['oxws-inline', 'oxws-thread', 'oxws-stream'];
/** The peers with the API of ws 8. */
const APIS_OF_8 = ['oxws-ws8', 'ws8'];
const SERVERS = [...OXWS, 'oxws-ws8', 'ws8', 'ws2016', 'uws', 'bun'];
/** The peers that differ in who accepts connections. */
const LISTENERS = [
  'oxws-inline',
  'oxws-node',
  'oxws-http',
  'oxws-ws8',
  'oxws-ws8-node',
  'oxws-ws8-http',
  'ws8',
  'ws8-http',
  'uws',
  'bun',
];
/** With TLS, all connections of oxws are carried as streams. */
const SECURE = ['oxws-inline', 'oxws-ws8', 'ws8', 'ws2016', 'uws', 'bun'];
const CLIENTS = [...OXWS, 'oxws-ws8', 'ws8', 'ws2016', 'undici'];

/** How many connections should be idle, and how many can be. */
const WANTED = 10000;
const IDLE = possible(WANTED);

/** Formats 65536 as `64 KiB`. */
function inWords(bytes) {
  if (bytes >= MIB) return `${bytes / MIB} MiB`;
  return bytes >= KIB ? `${bytes / KIB} KiB` : `${bytes} B`;
}

/** Formats 65536 as `64k`. */
const inShort = (bytes) =>
  inWords(bytes)
    .replace(/ (.).*/, '$1')
    .toLowerCase();

const counted = (count, noun) =>
  `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`;

const BASE = {
  peers: SERVERS,
  unit: 'messages/s',
  plan: { depth: 1, binary: false, deflate: null, tls: false },
};

function scenario(id, group, title, changes) {
  const plan = Object.assign({}, BASE.plan, changes.plan);
  return Object.assign({ id, group, title }, BASE, changes, { plan });
}

function echo(connections, size, depth, binary) {
  const kind = binary ? 'binary' : 'text';
  return scenario(
    `echo-${connections}-${inShort(size)}-${depth}-${kind}`,
    `Echo, ${kind}`,
    `${counted(connections, 'connection')}, ${inWords(size)}, ${depth} in flight`,
    {
      peers: [...SERVERS, 'limit'],
      plan: { scenario: 'echo', connections, size, depth, binary },
    },
  );
}

function deflate(size, takeover) {
  const how = takeover ? 'takeover' : 'no-takeover';
  return scenario(
    `deflate-${inShort(size)}-${how}`,
    'Echo, permessage-deflate, text',
    `50 connections, ${inWords(size)}, context takeover ${takeover ? 'on' : 'off'}`,
    { plan: { scenario: 'echo', connections: 50, size, deflate: how } },
  );
}

function client(connections, depth) {
  return scenario(
    `client-${connections}-${depth}`,
    'Clients, text',
    `${counted(connections, 'connection')}, 64 B, ${depth} in flight`,
    {
      peers: CLIENTS,
      role: 'client',
      plan: { scenario: 'echo', connections, size: 64, depth },
    },
  );
}

function secureClient(size, depth, binary) {
  const kind = binary ? 'binary' : 'text';
  return scenario(
    `wss-client-${inShort(size)}-${depth}${binary ? '-binary' : ''}`,
    `Clients over TLS (wss:), ${kind}`,
    `100 connections, ${inWords(size)}, ${depth} in flight`,
    {
      peers: SECURE.slice(0, 4),
      role: 'client',
      plan: {
        scenario: 'echo',
        connections: 100,
        size,
        depth,
        binary,
        tls: true,
      },
    },
  );
}

const broadcast = (size) =>
  scenario(
    `broadcast-${inShort(size)}`,
    'Broadcast by a loop of `send`',
    `one message to 1,000 clients, ${inWords(size)}`,
    {
      unit: 'deliveries/s',
      plan: { scenario: 'broadcast', connections: 1000, size, depth: 4 },
    },
  );

/** oxws has a method for it, uWebSockets.js and Bun publish. ws has only the loop. */
const prepared = (size, how) =>
  scenario(
    `prepared-${inShort(size)}${how ? '-deflate' : ''}`,
    'Broadcast of a message that is framed once',
    `one message to 1,000 clients, ${inWords(size)}${how ? ', permessage-deflate' : ''}`,
    {
      unit: 'deliveries/s',
      server: { mode: 'prepared' },
      plan: {
        scenario: 'broadcast',
        connections: 1000,
        size,
        depth: 4,
        deflate: how ? 'takeover' : null,
      },
    },
  );

const framed = (size) =>
  scenario(
    `framed-${inShort(size)}`,
    'Broadcast by `Sender.frame` once and a loop of `sendFrame`',
    `one message to 1,000 clients, ${inWords(size)}`,
    {
      peers: APIS_OF_8,
      unit: 'deliveries/s',
      server: { mode: 'framed' },
      plan: { scenario: 'broadcast', connections: 1000, size, depth: 4 },
    },
  );

const stepwise = () =>
  scenario(
    'stepwise-100-64b-16',
    'Echo, text, allowSynchronousEvents: false',
    '100 connections, 64 B, 16 in flight',
    {
      peers: APIS_OF_8,
      server: { isStepwise: true },
      plan: { scenario: 'echo', connections: 100, size: 64, depth: 16 },
    },
  );

const fanIn = () =>
  scenario('fan-in', 'Fan-in', '100 connections, 64 B, no reply', {
    plan: { scenario: 'fan-in', connections: 100, size: 64 },
  });

/** `held` connections are open and idle meanwhile. */
const handshakes = (held) =>
  scenario(
    `handshakes${held > 0 ? '-held' : ''}`,
    'Handshakes',
    `open and close, 50 at a time${held > 0 ? `, beside ${counted(held, 'idle connection')}` : ''}`,
    {
      peers: held > 0 ? LISTENERS : [...new Set([...SERVERS, ...LISTENERS])],
      unit: 'connections/s',
      held,
      plan: { scenario: 'handshakes', connections: 50, size: 64 },
    },
  );

/** Half of the connections are dropped and opened again, `churn` times. */
const idle = (connections, churn) =>
  scenario('idle', 'Memory of an idle connection', 'plain', {
    unit: 'bytes',
    peers: LISTENERS,
    isMemory: true,
    // A server has 60,000 connections in a round, which takes most of a minute.
    maxRounds: 2,
    plan: { scenario: 'idle', connections, size: KIB, churn },
  });

const idleDeflate = (connections, churn) =>
  scenario(
    'idle-deflate',
    'Memory of an idle connection',
    'with permessage-deflate',
    {
      unit: 'bytes',
      peers: [...OXWS, 'oxws-ws8', 'ws8', 'uws', 'bun'],
      isMemory: true,
      plan: {
        scenario: 'idle',
        connections,
        size: KIB,
        messages: 10,
        churn,
        deflate: 'takeover',
      },
    },
  );

function secure(size, depth, binary) {
  const kind = binary ? 'binary' : 'text';
  return scenario(
    `wss-${inShort(size)}-${depth}${binary ? '-binary' : ''}`,
    `Echo over TLS (wss:), ${kind}`,
    `100 connections, ${inWords(size)}, ${depth} in flight`,
    {
      peers: [...SECURE, 'tls'],
      plan: {
        scenario: 'echo',
        connections: 100,
        size,
        depth,
        binary,
        tls: true,
      },
    },
  );
}

const secureDeflate = (size) =>
  scenario(
    `wss-deflate-${inShort(size)}-takeover`,
    'Echo over TLS (wss:), permessage-deflate, text',
    `50 connections, ${inWords(size)}, context takeover on`,
    {
      peers: SECURE,
      plan: {
        scenario: 'echo',
        connections: 50,
        size,
        deflate: 'takeover',
        tls: true,
      },
    },
  );

/** Returns all scenarios. */
function full() {
  const list = [];
  for (const binary of [false, true]) {
    for (const connections of [1, 10, 100, 1000]) {
      for (const size of [64, KIB, 64 * KIB, MIB]) {
        for (const depth of [1, 16]) {
          // The largest would have 16 GiB in flight.
          if (connections * size * depth > 2048 * MIB) continue;
          list.push(echo(connections, size, depth, binary));
        }
      }
    }
  }
  return list.concat(REST);
}

const REST = [
  ...[KIB, 64 * KIB].flatMap((size) => [
    deflate(size, true),
    deflate(size, false),
  ]),
  broadcast(64),
  broadcast(KIB),
  prepared(64, false),
  prepared(KIB, false),
  prepared(KIB, true),
  framed(64),
  framed(KIB),
  stepwise(),
  fanIn(),
  handshakes(0),
  handshakes(IDLE),
  idle(IDLE, 10),
  idleDeflate(IDLE, 2),
  client(1, 1),
  client(100, 1),
  client(100, 16),
  ...[false, true].flatMap((binary) => [
    secure(64, 1, binary),
    secure(64, 16, binary),
    secure(64 * KIB, 1, binary),
  ]),
  secureDeflate(KIB),
  secureDeflate(64 * KIB),
  ...[false, true].flatMap((binary) => [
    secureClient(64, 1, binary),
    secureClient(64, 16, binary),
    secureClient(64 * KIB, 1, binary),
  ]),
];

/** Returns the most important scenarios. */
function quick() {
  const peers = ['oxws-inline', 'oxws-thread', 'oxws-ws8', 'ws8', 'uws', 'bun'];
  const list = [
    echo(1, 64, 1, false),
    echo(100, 64, 1, false),
    echo(100, 64, 16, false),
    echo(1000, 64, 1, false),
    echo(10, MIB, 1, true),
    deflate(KIB, true),
    deflate(KIB, false),
    deflate(64 * KIB, true),
    deflate(64 * KIB, false),
    broadcast(64),
    broadcast(KIB),
    prepared(64, false),
    prepared(KIB, false),
    prepared(KIB, true),
    framed(64),
    client(100, 1),
    client(100, 16),
    // Its own ID, as the targets are for more connections.
    Object.assign(idle(1000, 2), { id: 'idle-1000' }),
  ];
  return list.map((each) =>
    Object.assign({}, each, {
      peers: each.peers.filter(
        (id) => peers.includes(id) || id === 'limit' || each.role === 'client',
      ),
    }),
  );
}

/** Returns a small scenario of each kind, to check that everything works. */
function smoke() {
  return [
    echo(2, KIB, 2, false),
    echo(1, 64 * KIB, 1, true),
    deflate(KIB, true),
    broadcast(64),
    prepared(64, false),
    prepared(KIB, true),
    framed(64),
    stepwise(),
    fanIn(),
    handshakes(0),
    handshakes(10),
    idle(10, 2),
    idleDeflate(10, 2),
    client(1, 1),
    secure(64, 1, false),
    secureDeflate(KIB),
    secureClient(64, 1, true),
  ].map((each) =>
    Object.assign({}, each, {
      plan: Object.assign({}, each.plan, {
        connections: Math.min(each.plan.connections, 10),
      }),
    }),
  );
}

/** Says why fewer connections are idle than should be; null if there are as many. */
const shortage =
  IDLE < WANTED
    ? `${counted(IDLE, 'idle connection')} instead of ${WANTED.toLocaleString('en')}: ulimit -n is at most ${limit}`
    : null;

module.exports = { full, quick, shortage, smoke };
