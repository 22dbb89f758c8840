'use strict';

// puppeteer-core controls a Chromium through a WebSocket to its debugging port. A page
// in the browser connects to a WebSocketServer.

const assert = require('node:assert/strict');
const { createHash } = require('crypto');
const fs = require('fs');
const http = require('http');
const path = require('path');
const puppeteer = require('puppeteer-core');
const { WebSocketServer } = require('ws');

const { at, close, listen, pattern, run } = require('../support');

const BROWSERS = ['chromium', 'chromium-browser', 'google-chrome'];

/** A message for the page, so long that it needs several reads. */
const BYTES = pattern(1 << 20);

const PAGE = `<!doctype html>
<title>A page with a WebSocket</title>
<script>
  const ws = new WebSocket(location.href.replace('http', 'ws'), 'echo');
  ws.binaryType = 'arraybuffer';
  const next = (type) =>
    new Promise((resolve, reject) => {
      ws.addEventListener(type, resolve, { once: true });
      ws.addEventListener('error', () => reject(new Error('it failed')));
    });
  const exchange = (data) => {
    ws.send(data);
    return next('message').then((event) => event.data);
  };
  const opened = next('open');

  async function drive() {
    await opened;
    const text = await exchange('text äöü €');
    const long = await exchange('long '.repeat(100000));
    const empty = await exchange('');
    const bytes = new Uint8Array(await exchange(new Uint8Array([0, 1, 255])));
    const large = await exchange('bytes');
    const hash = await crypto.subtle.digest('SHA-256', large);
    const digest = Array.from(new Uint8Array(hash), (byte) =>
      byte.toString(16).padStart(2, '0'),
    );
    ws.send('close');
    const { code, reason, wasClean } = await next('close');
    return {
      protocol: ws.protocol,
      extensions: ws.extensions,
      text,
      long: long === 'long '.repeat(100000),
      empty,
      bytes: [...bytes],
      digest: digest.join(''),
      code,
      reason,
      wasClean,
    };
  }
</script>`;

/** Returns the path of the first browser that is found, or undefined. */
function find() {
  const named = process.env.PUPPETEER_EXECUTABLE_PATH;
  if (named) return named;
  const folders = (process.env.PATH || '').split(path.delimiter);
  return folders
    .flatMap((folder) => BROWSERS.map((name) => path.join(folder, name)))
    .find((file) => fs.existsSync(file));
}

/** Creates the server for the page and its WebSocket. */
function serve() {
  const server = http.createServer((request, response) => {
    response.setHeader('Content-Type', 'text/html; charset=utf-8');
    response.setHeader('Connection', 'close');
    response.end(PAGE);
  });
  const wss = new WebSocketServer({ perMessageDeflate: true, server });
  wss.on('connection', (ws) => {
    ws.on('message', (data, isBinary) => {
      if (String(data) === 'bytes') ws.send(BYTES);
      else if (String(data) === 'close') ws.close(4000, 'enough: äöü');
      else ws.send(data, { binary: isBinary });
    });
  });
  return server;
}

/** Opens the page in the browser, and checks what it has received. */
async function visit(browser, url) {
  at('the page');
  const page = await browser.newPage();
  await page.goto(url);
  assert.equal(await page.title(), 'A page with a WebSocket');
  const seen = await page.evaluate('drive()');
  const digest = createHash('sha256').update(BYTES).digest('hex');
  assert.deepEqual(seen, {
    protocol: 'echo',
    extensions: 'permessage-deflate',
    text: 'text äöü €',
    long: true,
    empty: '',
    bytes: [0, 1, 255],
    digest,
    code: 4000,
    reason: 'enough: äöü',
    wasClean: true,
  });

  at('long messages of the debugging port');
  const echoed = await page.evaluate((text) => text + text, 'a'.repeat(5e6));
  assert.equal(echoed.length, 1e7);
  const picture = await page.screenshot({ type: 'png' });
  assert.equal(Buffer.from(picture).toString('latin1', 1, 4), 'PNG');
  await page.close();
  return { ...seen, echoed: echoed.length };
}

run(async () => {
  const executablePath = find();
  if (!executablePath) return { skipped: 'there is no Chromium' };
  const server = serve();
  const port = await listen(server);

  at('the start of the browser');
  const browser = await puppeteer.launch({
    args: process.getuid && process.getuid() === 0 ? ['--no-sandbox'] : [],
    executablePath,
    headless: true,
  });
  try {
    const seen = await visit(browser, `http://127.0.0.1:${port}/`);

    at('a second connection to the browser');
    const browserWSEndpoint = browser.wsEndpoint();
    const second = await puppeteer.connect({ browserWSEndpoint });
    assert.equal(await second.version(), await browser.version());
    const disconnected = new Promise((resolve) => {
      second.once('disconnected', resolve);
    });
    await second.disconnect();
    await disconnected;
    return seen;
  } finally {
    at('the end of the browser');
    await browser.close();
    await close(server);
  }
});
