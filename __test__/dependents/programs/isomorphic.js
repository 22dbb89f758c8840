'use strict';

// isomorphic-ws, for programs that run in browsers and Node.js. They use only the API
// of browsers.

const assert = require('node:assert/strict');
const { once } = require('events');
const WebSocket = require('isomorphic-ws');

const { at, pattern, run } = require('../support');

const BYTES = pattern(70000);

/** Resolves to the next event of a type, or rejects on an error. */
function next(target, type) {
  return new Promise((resolve, reject) => {
    target.addEventListener(type, resolve, { once: true });
    if (type !== 'error') target.addEventListener('error', reject);
  });
}

/** Sends a message. Resolves to the data of the next message that is received. */
async function exchange(ws, data) {
  const answered = next(ws, 'message');
  ws.send(data);
  const { data: answer, target } = await answered;
  assert.equal(target, ws);
  return answer;
}

async function echo(ws) {
  assert.equal(await exchange(ws, 'text äöü €'), 'text äöü €');

  ws.binaryType = 'arraybuffer';
  const view = new Uint16Array([1, 2, 65535]);
  const array = await exchange(ws, view);
  assert.ok(array instanceof ArrayBuffer);
  assert.deepEqual(new Uint16Array(array), view);

  ws.binaryType = 'blob';
  const blob = await exchange(ws, new Blob([BYTES]));
  assert.ok(blob instanceof Blob);
  assert.ok(BYTES.equals(Buffer.from(await blob.arrayBuffer())));
  return blob.size;
}

/** Resolves to what the `on…` properties are called with, in order. */
function handlers(url) {
  return new Promise((resolve) => {
    const seen = [];
    const ws = new WebSocket(url, ['one', 'two']);
    assert.equal(ws.readyState, WebSocket.CONNECTING);
    ws.onopen = ({ type }) => {
      seen.push(type, ws.protocol);
      ws.send('leave');
    };
    ws.onmessage = ({ data }) => seen.push(data);
    ws.onerror = ({ message }) => seen.push(message);
    ws.onclose = ({ code, reason, wasClean }) => {
      seen.push(code, reason, wasClean);
      resolve(seen);
    };
  });
}

run(async () => {
  const wss = new WebSocket.Server({ host: '127.0.0.1', port: 0 });
  await once(wss, 'listening');
  const { port } = wss.address();
  const url = `ws://127.0.0.1:${port}/`;
  wss.on('connection', (ws) => {
    ws.on('message', (data, isBinary) => {
      ws.send(data, { binary: isBinary });
      if (String(data) === 'leave') ws.close(4000, 'left');
    });
  });

  at('the echo');
  const ws = new WebSocket(url);
  await next(ws, 'open');
  assert.equal(ws.url, url);
  const size = await echo(ws);
  const closed = next(ws, 'close');
  ws.close(3000, 'enough');
  const { code, reason, wasClean } = await closed;
  assert.deepEqual([code, reason, wasClean], [3000, 'enough', true]);

  at('the handlers');
  const seen = await handlers(url);
  assert.deepEqual(seen, ['open', 'one', 'leave', 4000, 'left', true]);

  at('the end of the server');
  wss.close();
  await once(wss, 'close');
  const failed = await next(new WebSocket(url), 'error');
  assert.equal(failed.error.code, 'ECONNREFUSED');
  return { size, seen, failed: failed.error.code };
});
