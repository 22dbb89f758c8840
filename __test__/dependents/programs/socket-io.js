'use strict';

// socket.io: its server and its client, with WebSocket from the start, after an upgrade
// from polling, and with compression.

const assert = require('node:assert/strict');
const { once } = require('events');
const http = require('http');
const { io: connect } = require('socket.io-client');
const { Server } = require('socket.io');

const { at, listen, pattern, run } = require('../support');

const CLIENTS = 100;

/** Adds the server's handlers for the events of clients. */
function serve(io) {
  io.on('connection', (socket) => {
    socket.on('join', (room, done) => {
      socket.join(room);
      done();
    });
    socket.on('echo', (value, done) => done(value));
    socket.on('cut', () => socket.conn.transport.socket.terminate());
  });
}

/**
 * Resolves when a client is connected by WebSocket, also if it started with polling.
 */
async function settle(client) {
  if (!client.connected) await once(client, 'connect');
  const { engine } = client.io;
  if (engine.transport.name !== 'websocket') await once(engine, 'upgrade');
}

async function join(url, transports) {
  const client = connect(url, {
    forceNew: true,
    reconnectionDelay: 10,
    transports,
  });
  await settle(client);
  return client;
}

/** Resolves to the names of all events that a client receives up to `end`. */
function record(client) {
  const seen = [];
  return new Promise((resolve) => {
    client.onAny((name) => {
      seen.push(name);
      if (name === 'end') resolve(seen);
    });
  });
}

async function rooms(io, [a, b, c]) {
  const records = [a, b, c].map(record);
  await a.emitWithAck('join', 'room');
  await b.emitWithAck('join', 'room');
  io.to('room').emit('to the room');
  io.except('room').emit('to the others');
  io.emit('end');
  const seen = await Promise.all(records);
  for (const client of [a, b, c]) client.offAny();
  assert.deepEqual(seen, [
    ['to the room', 'end'],
    ['to the room', 'end'],
    ['to the others', 'end'],
  ]);
  return seen;
}

async function binary(io, [client]) {
  const value = {
    text: 'äöü €',
    bytes: [Buffer.from([0, 1, 254, 255]), pattern(200000)],
  };
  const echoed = await client.emitWithAck('echo', value);
  assert.equal(echoed.text, value.text);
  assert.ok(echoed.bytes.every((each, i) => value.bytes[i].equals(each)));
  return echoed.bytes.map((each) => each.length);
}

/**
 * Broadcasts texts and bytes. socket.io frames a text once for all clients, and bytes
 * for each client.
 */
async function broadcast(io, clients) {
  const heard = clients.map(() => []);
  clients.forEach((client, i) => {
    client.on('news', (value) => heard[i].push(value));
    client.on('heard', (done) => done(heard[i].length));
  });
  const bytes = pattern(5000);
  io.emit('news', 'short');
  io.emit('news', 'long '.repeat(20000));
  io.emit('news', bytes);
  const counts = await io.timeout(20000).emitWithAck('heard');
  assert.deepEqual(counts, Array(clients.length).fill(3));
  for (const [short, long, raw] of heard) {
    assert.equal(short, 'short');
    assert.equal(long, 'long '.repeat(20000));
    assert.ok(bytes.equals(raw));
  }
  return counts.length;
}

async function acknowledgement(io, [client]) {
  const peer = io.sockets.sockets.get(client.id);
  client.once('question', (number, done) => done(number + 1));
  const there = await peer.timeout(20000).emitWithAck('question', 41);
  const back = await client.emitWithAck('echo', there);
  assert.equal(back, 42);
  client.once('unanswered', () => {});
  await assert.rejects(peer.timeout(20).emitWithAck('unanswered'), /timed out/);
  return back;
}

async function reconnect(io, [client]) {
  const before = client.id;
  const disconnected = once(client, 'disconnect');
  client.emit('cut');
  const [reason] = await disconnected;
  await settle(client);
  assert.equal(reason, 'transport close');
  assert.notEqual(client.id, before);
  assert.equal(await client.emitWithAck('echo', 'again'), 'again');
  return reason;
}

/** Runs all checks with these transports and this compression. */
async function drive(transports, perMessageDeflate) {
  const server = http.createServer();
  const io = new Server(server, { perMessageDeflate, transports });
  serve(io);
  const url = `http://127.0.0.1:${await listen(server)}`;

  at(`connecting by ${transports}`);
  const clients = await Promise.all(
    Array.from({ length: CLIENTS }, () => join(url, transports)),
  );
  const { socket } = io.sockets.sockets.get(clients[0].id).conn.transport;
  const extension = perMessageDeflate ? 'permessage-deflate' : '';
  assert.equal(socket.extensions, extension);

  const result = { extension };
  for (const check of [rooms, binary, broadcast, acknowledgement, reconnect]) {
    at(`${check.name} by ${transports}`);
    result[check.name] = await check(io, clients);
  }

  at(`closing by ${transports}`);
  const gone = clients.map((client) => once(client, 'disconnect'));
  io.disconnectSockets(true);
  const reasons = (await Promise.all(gone)).map(([reason]) => reason);
  assert.deepEqual(new Set(reasons), new Set(['io server disconnect']));
  await io.close();
  return result;
}

run(async () => ({
  websocket: await drive(['websocket']),
  upgrade: await drive(['polling', 'websocket']),
  deflate: await drive(['websocket'], { threshold: 100 }),
}));
