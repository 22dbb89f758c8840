'use strict';

// Checks everything that the demo does, over http and https, with the client of oxws.
// Prints a line for each step. The exit code is 0 if all steps succeed, otherwise 1.

const assert = require('assert');
const crypto = require('crypto');
const { once } = require('events');
const fs = require('fs');
const http = require('http');
const https = require('https');
const path = require('path');

const WebSocket = require('..'); // in your app: require('oxws')

const { createApp } = require('./app');
const { FILES } = require('./files');

// In milliseconds.
const STEP_TIMEOUT = 5000;
const TOTAL_TIMEOUT = 30000;

const TEXT = 'Größe, 大小, размер, 🦀\n'.repeat(2000);
// Random bytes, which cannot be compressed, and zeros, which can.
const BINARY = Buffer.concat([
  crypto.randomBytes(512 * 1024),
  Buffer.alloc(512 * 1024),
]);

let done = 0;
let failed = 0;

async function check() {
  // In case something hangs despite the timeouts of the steps.
  setTimeout(() => {
    console.log(`failed  everything took longer than ${TOTAL_TIMEOUT} ms`);
    process.exit(1);
  }, TOTAL_TIMEOUT).unref();

  await step('certificate for localhost and 127.0.0.1', readCertificate);
  await checkApp('http', 'ws');
  await checkApp('https', 'wss', await readCertificate().catch(() => ({})));

  console.log(failed ? `${failed} of ${done} failed` : `all ${done} ok`);
  process.exit(failed ? 1 : 0);
}

async function checkApp(page, scheme, tls) {
  const ca = tls && tls.cert;
  let app;

  await step(`${page}: the server starts`, async () => {
    app = await createApp({ port: 0, tls });
  });
  if (!app) return;

  const address = app.url.replace(page, scheme);
  const open = (name, options) => connect(address + name, { ca, ...options });

  await step(`${page}: the page is served`, async () => {
    for (const name of FILES.keys()) {
      const { status, body } = await get(app.url + name.slice(1), ca);
      assert.strictEqual(status, 200, `${name}: status ${status}`);
      assert.ok(body.length > 0, `${name} is empty`);
    }
  });
  await step(`${page}: other paths are not found`, async () => {
    const { status } = await get(`${app.url}server.js`, ca);
    assert.strictEqual(status, 404);
  });
  await step(`${scheme}: the stats feed sends`, () => readFeed(open));

  for (const perMessageDeflate of [false, true]) {
    const how = perMessageDeflate ? 'with' : 'without';
    const type = `${how} permessage-deflate`;
    const options = { perMessageDeflate };

    await step(`${scheme}: text comes back, ${type}`, () =>
      roundTrip(open, options, TEXT),
    );
    await step(`${scheme}: 1 MiB of binary comes back, ${type}`, () =>
      roundTrip(open, options, BINARY),
    );
  }

  await step(`${scheme}: other paths are refused`, async () => {
    await assert.rejects(open('other'), /404/);
  });
  await step(`${scheme}: the server stops and says so (1001)`, async () => {
    const ws = await open('echo');
    const closed = once(ws, 'close');
    await app.close();
    assert.strictEqual((await closed)[0], 1001);
  });
}

async function readCertificate() {
  const read = (name) =>
    fs.promises.readFile(path.join(__dirname, 'certificate', name));
  return { key: await read('key.pem'), cert: await read('cert.pem') };
}

async function readFeed(open) {
  const ws = await open('stats');
  const samples = [];

  await new Promise((resolve, reject) => {
    ws.on('error', reject);
    ws.on('message', (data) => {
      const message = JSON.parse(data);
      if (message.type !== 'sample') return;
      samples.push(message);
      if (samples.length === 2) resolve();
    });
  });
  await close(ws);

  assert.ok(samples[0].connections >= 1, 'it does not count its connection');
  assert.ok(samples[1].time > samples[0].time, 'time stands still');
}

async function roundTrip(open, options, data) {
  const ws = await open('echo', options);
  const answer = once(ws, 'message');

  assert.strictEqual(
    Boolean(ws.extensions['permessage-deflate']),
    options.perMessageDeflate,
    'permessage-deflate was not negotiated as asked',
  );
  ws.send(data);

  const [echoed, flags] = await answer;
  assert.strictEqual(Boolean(flags.binary), typeof data !== 'string');
  assert.ok(Buffer.from(data).equals(Buffer.from(echoed)), 'the data differs');
  await close(ws);
}

async function connect(address, options) {
  const ws = new WebSocket(address, options);
  await once(ws, 'open');
  return ws;
}

async function close(ws) {
  const closed = once(ws, 'close');
  ws.close(1000);
  assert.strictEqual((await closed)[0], 1000, 'not a clean close');
}

function get(address, ca) {
  const { get } = address.startsWith('https:') ? https : http;

  return new Promise((resolve, reject) => {
    get(address, { ca, agent: false }, (res) => {
      const chunks = [];
      res.on('data', (chunk) => chunks.push(chunk));
      res.on('error', reject);
      res.on('end', () =>
        resolve({ status: res.statusCode, body: Buffer.concat(chunks) }),
      );
    }).on('error', reject);
  });
}

async function step(name, run) {
  const start = Date.now();
  let timer;

  done++;
  try {
    await Promise.race([
      run(),
      new Promise((resolve, reject) => {
        const late = new Error(`no result within ${STEP_TIMEOUT} ms`);
        timer = setTimeout(reject, STEP_TIMEOUT, late);
      }),
    ]);
    console.log(`ok      ${name} (${Date.now() - start} ms)`);
  } catch (err) {
    failed++;
    console.log(`failed  ${name}: ${err.message}`);
  } finally {
    clearTimeout(timer);
  }
}

module.exports = { check };
