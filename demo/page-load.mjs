// The load: opens many sockets and echoes messages on each for a few seconds.

import {
  formatBytes,
  formatCount,
  formatMs,
  percentile,
} from './page-format.mjs';
import { urlOf } from './page-socket.mjs';

// The number of messages in flight on each socket.
const PIPELINE = 4;
// The number of round-trip times kept for the percentiles.
const TIMES = 1e5;

const $ = (id) => document.getElementById(id);

export function startLoad() {
  const form = $('load');
  const button = form.querySelector('button');
  let stop = null;

  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (stop) return stop();

    const { sockets, size, seconds } = Object.fromEntries(new FormData(form));
    const stopped = new Promise((resolve) => {
      stop = resolve;
    });

    button.textContent = 'Stop';
    await run(Number(sockets), Number(size), Number(seconds), stopped);
    button.textContent = 'Generate load';
    stop = null;
  });
}

async function run(count, size, seconds, stopped) {
  const payload = crypto.getRandomValues(new Uint8Array(size));
  const state = { messages: 0, failed: 0, times: [], running: true };
  const start = performance.now();
  const elapsed = () => (performance.now() - start) / 1000;
  const show = () => {
    $('load-progress').value = Math.min(1, elapsed() / seconds);
    $('load-result').textContent = describe(state, size, elapsed());
  };

  const sockets = Array.from({ length: count }, () => open(payload, state));
  const ticker = setInterval(show, 250);

  await Promise.race([
    stopped,
    new Promise((resolve) => setTimeout(resolve, seconds * 1000)),
    // Stop when the server has closed all sockets.
    Promise.all(sockets.map(({ closed }) => closed)),
  ]);

  state.running = false;
  clearInterval(ticker);
  show();
  $('load-progress').value = 0;
  for (const { socket } of sockets) socket.close(1000);
}

function open(payload, state) {
  const socket = new WebSocket(urlOf('/echo'));
  const sent = []; // the send times of the messages in flight

  const send = () => {
    sent.push(performance.now());
    socket.send(payload);
  };

  socket.binaryType = 'arraybuffer';
  socket.onopen = () => {
    for (let i = 0; i < PIPELINE; i++) send();
  };
  socket.onmessage = () => {
    if (!state.running) return;
    state.times[state.messages++ % TIMES] = performance.now() - sent.shift();
    if (socket.readyState === WebSocket.OPEN) send();
  };

  const closed = new Promise((resolve) => {
    socket.onclose = () => {
      if (state.running) state.failed++;
      resolve();
    };
  });

  return { socket, closed };
}

function describe({ messages, failed, times }, size, seconds) {
  const rate = messages / seconds;
  const parts = [
    `${formatCount(messages)} messages echoed`,
    `${formatCount(Math.round(rate))}/s`,
    `${formatBytes(rate * size)}/s each way`,
    `round trip p50 ${formatMs(percentile(times, 50))}`,
    `p99 ${formatMs(percentile(times, 99))}`,
  ];

  if (failed) parts.push(`${failed} sockets lost`);
  return parts.join(' · ');
}
