'use strict';

// Formats the tables of README: the most important comparisons.

const { bytes, number, ratio } = require('./figures');
const { relation } = require('./markdown');
const table = require('./table');

/** The entry of oxws in these tables. */
const OURS = 'oxws-ws8';

/** The peers in these tables. */
const PEERS = ['ws8', 'uws', 'bun'];

/** The scenarios, and their names in README. */
const SPEED = {
  'echo-100-64b-1-text': 'Echo, 64 B, one message in flight',
  'echo-100-64b-16-text': 'Echo, 64 B, 16 messages in flight',
  'echo-100-64k-1-binary': 'Echo, 64 KiB, binary',
  'echo-10-1m-1-binary': 'Echo, 1 MiB, binary, 10 connections',
  'echo-1-64b-1-text': 'Echo, 64 B, a single connection',
  'deflate-1k-takeover': 'Echo with permessage-deflate, 1 KiB',
  'deflate-64k-takeover': 'Echo with permessage-deflate, 64 KiB',
  'wss-64b-1': 'Echo over TLS, 64 B',
  'wss-64k-1': 'Echo over TLS, 64 KiB',
  'broadcast-64b': 'Broadcast to 1,000 clients, 64 B',
  'broadcast-1k': 'Broadcast to 1,000 clients, 1 KiB',
  handshakes: 'Handshakes',
  'handshakes-held': 'Handshakes, beside idle connections',
};

const MEMORY = {
  idle: 'Plain',
  'idle-deflate': 'With permessage-deflate, after messages of 1 KiB',
};

const rows = (all, names, row) =>
  Object.entries(names).flatMap(([id, title]) => {
    const scenario = all.scenarios.find((each) => each.id === id);
    const ours = scenario && scenario.peers[OURS];
    return ours && !ours.error ? [[title, ...row(scenario, ours)]] : [];
  });

/** Formats the ratio of our figure to a peer's; bold if it is below 1. */
function comparison(scenario, ours, peer) {
  const theirs = scenario.peers[peer];
  if (!theirs || theirs.error) return '–';
  const value = relation(scenario, ours, theirs);
  return value < 1 ? `**${ratio(value)}**` : ratio(value);
}

function speed(all) {
  const titles = PEERS.map((id) => `× ${all.peers[id].title}`);
  return table(
    ['', 'a second', ...titles],
    rows(all, SPEED, (scenario, ours) => [
      number(ours.perSecond),
      ...PEERS.map((peer) => comparison(scenario, ours, peer)),
    ]),
  );
}

function memory(all) {
  const ids = [OURS, ...PEERS];
  return table(
    ['', ...ids.map((id) => all.peers[id].title)],
    rows(all, MEMORY, ({ peers }) =>
      ids.map((id) => (peers[id] ? bytes(peers[id].memory) : '–')),
    ),
  );
}

module.exports = { memory, speed };
