'use strict';

// MQTT.js and aedes: a broker and its clients, with `createWebSocketStream` at both
// ends.

const assert = require('node:assert/strict');
const { Aedes } = require('aedes');
const { once } = require('events');
const mqtt = require('mqtt');
const { createWebSocketStream, WebSocketServer } = require('ws');

const { at, pattern, run } = require('../support');

const LARGE = pattern(1 << 20);

/** Starts a broker, and a server that passes each connection to it as a stream. */
async function start() {
  const broker = await Aedes.createBroker();
  const wss = new WebSocketServer({
    handleProtocols: (protocols) => protocols.has('mqtt') && 'mqtt',
    host: '127.0.0.1',
    port: 0,
  });
  wss.on('connection', (ws, request) => {
    broker.handle(createWebSocketStream(ws), request);
  });
  await once(wss, 'listening');
  return { broker, wss, url: `ws://127.0.0.1:${wss.address().port}/mqtt` };
}

/**
 * Resolves to the next message of a topic: payload, QoS, and whether it was retained.
 */
function next(client, topic) {
  return new Promise((resolve) => {
    client.on('message', function listener(name, payload, { qos, retain }) {
      if (name !== topic) return;
      client.removeListener('message', listener);
      resolve({ payload, qos, retain });
    });
  });
}

async function qualities(sender, receiver) {
  const all = [];
  for (const qos of [0, 1, 2]) {
    at(`QoS ${qos}`);
    const topic = `qos/${qos}`;
    await receiver.subscribeAsync(topic, { qos });
    const received = next(receiver, topic);
    await sender.publishAsync(topic, `${qos}`, { qos });
    const message = await received;
    assert.equal(String(message.payload), `${qos}`);
    assert.equal(message.qos, qos);
    all.push(message.qos);
  }
  return all;
}

/** Checks that many messages that are sent at once arrive once each, and in order. */
async function many(sender, receiver) {
  at('many messages');
  await receiver.subscribeAsync('many', { qos: 1 });
  const seen = [];
  const received = new Promise((resolve) => {
    receiver.on('message', (topic, payload) => {
      if (topic === 'many' && seen.push(Number(payload)) === 500) resolve();
    });
  });
  const numbers = Array.from({ length: 500 }, (_, i) => i);
  await Promise.all(
    numbers.map((i) => sender.publishAsync('many', `${i}`, { qos: 1 })),
  );
  await received;
  assert.deepEqual(seen, numbers);
  return seen.length;
}

async function large(sender, receiver) {
  at('a large payload');
  await receiver.subscribeAsync('large', { qos: 1 });
  const received = next(receiver, 'large');
  await sender.publishAsync('large', LARGE, { qos: 1 });
  const { payload } = await received;
  assert.ok(LARGE.equals(payload));
  return payload.length;
}

async function retained(sender, receiver) {
  at('a message that is retained');
  await sender.publishAsync('kept', 'for later', { qos: 1, retain: true });
  const received = next(receiver, 'kept');
  await receiver.subscribeAsync('kept');
  const { payload, retain } = await received;
  assert.equal(String(payload), 'for later');
  assert.equal(retain, true);
  return String(payload);
}

/** Checks that the last will of a client is published when its connection is lost. */
async function will(url, receiver, cut) {
  const topic = `will/${cut.name}`;
  at(`a last will: ${topic}`);
  const client = await mqtt.connectAsync(url, {
    clientId: topic,
    reconnectPeriod: 0,
    will: { topic, payload: 'gone', qos: 1 },
  });
  await receiver.subscribeAsync(topic, { qos: 1 });
  const received = next(receiver, topic);
  const closed = once(client, 'close');
  cut(client);
  const { payload } = await received;
  await closed;
  assert.equal(String(payload), 'gone');
  return String(payload);
}

run(async () => {
  const { broker, wss, url } = await start();
  const sender = await mqtt.connectAsync(url, { clientId: 'sender' });
  const receiver = await mqtt.connectAsync(url, { clientId: 'receiver' });
  const result = {
    qualities: await qualities(sender, receiver),
    many: await many(sender, receiver),
    large: await large(sender, receiver),
    retained: await retained(sender, receiver),
    byClient: await will(url, receiver, function byClient(client) {
      client.stream.destroy();
    }),
    byServer: await will(url, receiver, function byServer() {
      [...wss.clients].pop().terminate();
    }),
  };

  at('a client that goes');
  const gone = once(broker, 'clientDisconnect');
  await sender.endAsync();
  const [{ id }] = await gone;
  assert.equal(id, 'sender');

  at('the end of the broker');
  const closed = once(receiver, 'close');
  receiver.options.reconnectPeriod = 0;
  wss.close();
  await new Promise((resolve) => broker.close(resolve));
  await closed;
  await receiver.endAsync();
  return result;
});
