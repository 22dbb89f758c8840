'use strict';

// What oxws is to reach, as ratios within one run, and what limits it where it does
// not: from a profile, not a guess.

const faster = (than, least) => ({ figure: 'perSecond', than, least });
const less = (figure, than, least) => ({ figure, than, least, isLess: true });

/** Every other server that JavaScript programs can have. */
const PEERS = ['ws8', 'ws2016', 'uws', 'bun'];

const each = (least) => PEERS.map((than) => faster(than, least));

const DEFLATE = [
  faster('ws8', 5),
  ...each(1).filter(({ than }) => than !== 'ws8'),
  less('wireBytes', 'ws8', 1 / 1.05),
];

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
  },
  {
    title: 'Echo, 100 connections, 64 B, 16 in flight',
    scenario: 'echo-100-64b-16-text',
    asks: [faster('ws8', 12), faster('uws', 1.5), faster('bun', 1)],
  },
  {
    title: 'Echo, 1,000 connections, 64 B, 1 in flight',
    scenario: 'echo-1000-64b-1-text',
    asks: [faster('ws8', 1.8), ...each(1).slice(1)],
  },
  {
    title: 'Echo, 1,000 connections, 64 B, 16 in flight',
    scenario: 'echo-1000-64b-16-text',
    asks: [faster('ws8', 1.8), ...each(1).slice(1)],
  },
  {
    title: 'Echo, 10 connections, 1 MiB',
    scenario: 'echo-10-1m-1-binary',
    asks: [...each(1.2), faster('limit', 0.9)],
  },
  {
    title: 'Round trip, one connection, 64 B',
    scenario: 'echo-1-64b-1-text',
    asks: [
      less('p50', 'ws8', 1),
      less('cpu', 'ws8', 1),
      less('p50', 'uws', 1 / 1.1),
    ],
  },
  {
    title: 'Deflate echo, 1 KiB, takeover',
    scenario: 'deflate-1k-takeover',
    asks: DEFLATE,
  },
  {
    title: 'Deflate echo, 1 KiB, no takeover',
    scenario: 'deflate-1k-no-takeover',
    asks: DEFLATE,
  },
  {
    title: 'Deflate echo, 64 KiB, takeover',
    scenario: 'deflate-64k-takeover',
    asks: DEFLATE,
  },
  {
    title: 'Deflate echo, 64 KiB, no takeover',
    scenario: 'deflate-64k-no-takeover',
    asks: DEFLATE,
  },
  {
    title: 'Broadcast to 1,000 clients, 64 B',
    scenario: 'broadcast-64b',
    asks: [faster('ws8', 4)],
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
