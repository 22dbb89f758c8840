'use strict';

// The targets of oxws, as ratios of figures of the same run. If a target is not
// reached, `limit` says what limits oxws, according to a profile.

const faster = (than, least) => ({ figure: 'perSecond', than, least });
const less = (figure, than, least) => ({ figure, than, least, isLess: true });

/** The servers for JavaScript programs other than oxws. */
const PEERS = ['ws8', 'ws2016', 'uws', 'bun'];

const each = (least) => PEERS.map((than) => faster(than, least));

const DEFLATE = [
  faster('ws8', 5),
  ...each(1).filter(({ than }) => than !== 'ws8'),
  less('wireBytes', 'ws8', 1 / 1.05),
];

// Limits that several targets share.

const KERNEL_OF_SMALL =
  'the kernel, which has 82 to 87 % of the processor time, with one call to receive a ' +
  'message and one to send it. Rust has 6 %, and 11 % where the state of 1,000 ' +
  'connections does not fit the cache; Node and JavaScript 5 %. Plain Rust, which runs ' +
  'no JavaScript, was measured as 1.00 and 1.27 times as fast within an hour.';

const KERNEL_OF_MANY =
  'the kernel has 58 % of the processor time, with one call to receive and one to send ' +
  'for 16 messages; Node 20 %, nearly all of it making a string of each message and ' +
  'bytes of each string; Rust 12 %, compiled JavaScript 6 to 8 %. The machine wavers ' +
  'most where most is done: an hour before it was 1.01 × Bun with 100 connections.';

const COMPRESSOR =
  'zlib-rs takes 85 % of the processor time, longest_match alone nearly half of it. At ' +
  'the size that is asked for it is about as fast as zlib.';

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
      'the kernel has 83 % of the processor time, for copying above all, and unmasking ' +
      '4 %. What is left goes to memory: each message has its own, since a program may ' +
      'keep it, and pages that are new to the process have to be cleared. ' +
      'uWebSockets.js takes its memory back when the handler returns.',
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
      'the kernel has 86 % of the processor time: 47 % to send, waking the other end ' +
      'above all, and 34 % to wait. A message costs two short calls more than with ws: ' +
      'libuv sees that the epoll of the engine is ready, which is then asked what is, ' +
      'and whether there is more. The CPU was 0.94 × that of ws 8 an hour before.',
  },
  {
    title: 'Deflate echo, 1 KiB, takeover',
    scenario: 'deflate-1k-takeover',
    asks: DEFLATE,
    limit:
      'deflate_slow and longest_match of zlib-rs take 58 % of the processor time, much of ' +
      'it to wait for the contexts of the other connections to come into the cache; the ' +
      'kernel has 14 %. uWebSockets.js keeps no context: its messages are 1.8 × as long.',
  },
  {
    title: 'Deflate echo, 1 KiB, no takeover',
    scenario: 'deflate-1k-no-takeover',
    asks: DEFLATE,
    limit:
      'zlib-rs takes 55 % of the processor time, a third of it to build the codes of each ' +
      'message; the kernel has 27 %, and clearing the table of hashes for each message, ' +
      '128 KiB, takes 8 %.',
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
      'the kernel has 89 % of the processor time: one call to send for each client.',
  },
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
];
