'use strict';

// The targets of oxws: ratios of figures of the same run, and figures of oxws alone. If a
// target is not reached, `limit` says what limits oxws, according to a profile.

const faster = (than, least) => ({ figure: 'perSecond', than, least });
const less = (figure, than, least) => ({ figure, than, least, isLess: true });

/** A figure of oxws alone, at most `most`. */
const atMost = (figure, most) => ({ figure, most });

/** The ratio of two figures of oxws, at most `most`. */
const grown = (figure, from, most) => ({ figure, from, most });

/** The servers for JavaScript programs other than oxws. */
const PEERS = ['ws8', 'ws2016', 'uws', 'bun'];

const each = (least) => PEERS.map((than) => faster(than, least));

const DEFLATE = [
  faster('ws8', 5),
  ...each(1).filter(({ than }) => than !== 'ws8'),
  less('wireBytes', 'ws8', 1 / 1.05),
];

/** The targets of broadcasts that are framed once. */
const PREPARED = [
  { size: '64 B', id: 'prepared-64b', asks: each(1) },
  { size: '1 KiB', id: 'prepared-1k', asks: each(1) },
  {
    size: '1 KiB, permessage-deflate',
    id: 'prepared-1k-deflate',
    asks: [faster('ws8', 20), faster('uws', 1), faster('bun', 1)],
  },
];

/** The targets of accepting connections, for one API. */
const listening = (name, of, adopted) => [
  {
    title: `Handshakes, ${name}`,
    scenario: 'handshakes',
    of,
    asks: [faster('ws8', 3)],
  },
  {
    title: `Handshakes beside idle connections, ${name}`,
    scenario: 'handshakes-held',
    of,
    asks: [faster('ws8', 3)],
  },
  {
    title: `Idle connection, ${name}`,
    scenario: 'idle',
    of,
    asks: [
      atMost('memory', 3 * 1024),
      grown('memoryAfterChurn', 'memory', 1.05),
      atMost('descriptors', 1),
      atMost('descriptorsAfterChurn', 1),
    ],
  },
  {
    title: `Handshakes with an http.Server, ${name}`,
    scenario: 'handshakes',
    of: adopted,
    asks: [less('cpu', 'ws8-http', 1)],
  },
  {
    title: `Handshakes with an http.Server beside idle connections, ${name}`,
    scenario: 'handshakes-held',
    of: adopted,
    asks: [less('cpu', 'ws8-http', 1)],
  },
  {
    title: `Idle connection with an http.Server, ${name}`,
    scenario: 'idle',
    of: adopted,
    asks: [
      less('memory', 'ws8-http', 1),
      less('memoryAfterChurn', 'ws8-http', 1),
      atMost('descriptors', 1),
    ],
  },
];

/** The scenarios over TLS, which Node reads and writes. */
const SECURE = {
  'wss-64b-1': 'Echo over TLS, text, 64 B, 1 in flight',
  'wss-64b-16': 'Echo over TLS, text, 64 B, 16 in flight',
  'wss-64k-1': 'Echo over TLS, text, 64 KiB',
  'wss-64b-1-binary': 'Echo over TLS, binary, 64 B, 1 in flight',
  'wss-64b-16-binary': 'Echo over TLS, binary, 64 B, 16 in flight',
  'wss-64k-1-binary': 'Echo over TLS, binary, 64 KiB',
  'wss-deflate-1k-takeover': 'Echo over TLS, deflate, 1 KiB',
  'wss-client-64b-1': 'Clients over TLS, text, 64 B, 1 in flight',
  'wss-client-64b-16': 'Clients over TLS, text, 64 B, 16 in flight',
  'wss-client-64k-1': 'Clients over TLS, text, 64 KiB',
};

/** The targets of connections over TLS, for one API. */
const secure = (name, of) =>
  Object.entries(SECURE).map(([scenario, title]) => ({
    title: `${title}, ${name}`,
    scenario,
    of,
    asks: [faster('ws8', 1), less('cpu', 'ws8', 1)],
  }));

// Limits that several targets share.

const KERNEL_OF_SMALL =
  'The kernel takes 82 to 87 % of the processor time: one call to receive a message, and ' +
  'one to send it. Rust takes 6 %, or 11 % with 1,000 connections, whose state does not ' +
  'fit the cache. Node and JavaScript take 5 %.';

const KERNEL_OF_MANY =
  'The kernel takes 58 % of the processor time: one call to receive 16 messages, and one ' +
  'to send them. Node takes 20 %, nearly all of it to convert between bytes and strings. ' +
  'Rust takes 12 %, and compiled JavaScript 6 to 8 %.';

const COMPRESSOR =
  'zlib-rs takes 85 % of the processor time, and longest_match alone nearly half of it. ' +
  'At the required size of the output it is about as fast as zlib.';

module.exports = [
  {
    title: 'Echo, 100 connections, 64 B, 1 in flight',
    scenario: 'echo-100-64b-1-text',
    asks: [
      faster('ws8', 1.8),
      faster('uws', 1),
      faster('bun', 1),
      faster('limit', 0.95),
    ],
    limit: KERNEL_OF_SMALL,
  },
  {
    title: 'Echo, 100 connections, 64 B, 16 in flight',
    scenario: 'echo-100-64b-16-text',
    asks: [faster('ws8', 12), faster('uws', 1.5), faster('bun', 1)],
    limit: KERNEL_OF_MANY,
  },
  {
    title: 'Echo, 1,000 connections, 64 B, 1 in flight',
    scenario: 'echo-1000-64b-1-text',
    asks: [faster('ws8', 1.8), ...each(1).slice(1)],
    limit: KERNEL_OF_SMALL,
  },
  {
    title: 'Echo, 1,000 connections, 64 B, 16 in flight',
    scenario: 'echo-1000-64b-16-text',
    asks: [faster('ws8', 1.8), ...each(1).slice(1)],
    limit: KERNEL_OF_MANY,
  },
  {
    title: 'Echo, 10 connections, 1 MiB',
    scenario: 'echo-10-1m-1-binary',
    asks: [...each(1.2), faster('limit', 0.9)],
    limit:
      'The kernel takes 83 % of the processor time, mostly to copy. Unmasking takes 4 %. ' +
      'The rest is memory: a program may keep a message, so each has its own memory, and ' +
      'the system clears new pages. uWebSockets.js reuses the memory of a message when ' +
      'its handler returns.',
  },
  {
    title: 'Round trip, one connection, 64 B',
    scenario: 'echo-1-64b-1-text',
    asks: [
      less('p50', 'ws8', 1),
      less('cpu', 'ws8', 1),
      less('p50', 'uws', 1 / 1.1),
    ],
    limit:
      'The kernel takes 86 % of the processor time: 47 % to send, which wakes the peer, ' +
      'and 34 % to wait. A message needs two system calls more than with ws. libuv finds ' +
      'that the epoll descriptor of the engine is ready. The engine then asks it which ' +
      'socket is ready, and asks again whether there is more.',
  },
  {
    title: 'Deflate echo, 1 KiB, takeover',
    scenario: 'deflate-1k-takeover',
    asks: DEFLATE,
    limit:
      'deflate_slow and longest_match of zlib-rs take 58 % of the processor time. Much of ' +
      'it is cache misses, because each connection has its own context. The kernel takes ' +
      '14 %. uWebSockets.js keeps no context, and its messages are 1.8 × as long.',
  },
  {
    title: 'Deflate echo, 1 KiB, no takeover',
    scenario: 'deflate-1k-no-takeover',
    asks: DEFLATE,
    limit:
      'zlib-rs takes 55 % of the processor time, a third of it to build the Huffman codes ' +
      'of each message. The kernel takes 27 %. Clearing the hash table of 128 KiB for ' +
      'each message takes 8 %.',
  },
  {
    title: 'Deflate echo, 64 KiB, takeover',
    scenario: 'deflate-64k-takeover',
    asks: DEFLATE,
    limit: COMPRESSOR,
  },
  {
    title: 'Deflate echo, 64 KiB, no takeover',
    scenario: 'deflate-64k-no-takeover',
    asks: DEFLATE,
    limit: COMPRESSOR,
  },
  {
    title: 'Broadcast to 1,000 clients, 64 B',
    scenario: 'broadcast-64b',
    asks: [faster('ws8', 4)],
    limit:
      'The kernel takes 89 % of the processor time: one call to send for each client.',
  },
  ...PREPARED.flatMap(({ size, id, asks }) =>
    [
      ['oxws', 'oxws-inline'],
      ['oxws/ws8', 'oxws-ws8'],
    ].map(([name, of]) => ({
      title: `Broadcast, framed once, ${size}, ${name}`,
      scenario: id,
      of,
      asks,
    })),
  ),
  {
    title: 'Clients, 100 connections, 64 B, 1 in flight',
    scenario: 'client-100-1',
    asks: [faster('ws8', 1.5)],
  },
  {
    title: 'Clients, 100 connections, 64 B, 16 in flight',
    scenario: 'client-100-16',
    asks: [faster('ws8', 1.5)],
  },
  {
    title: "Thread host: the JS thread's CPU per message",
    scenario: 'echo-100-64b-16-text',
    of: 'oxws-thread',
    asks: [less('mainCpu', 'oxws-inline', 2)],
  },
  ...secure('oxws', 'oxws-inline'),
  ...secure('oxws/ws8', 'oxws-ws8'),
  ...listening('oxws', 'oxws-inline', 'oxws-http'),
  ...listening('oxws/ws8', 'oxws-ws8', 'oxws-ws8-http'),
];
