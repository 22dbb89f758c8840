// The live view: connects to `/stats` and draws the samples that the server sends.

import { Chart } from './page-chart.mjs';
import { startEcho } from './page-echo.mjs';
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatMs,
  formatNumber,
  formatPercent,
} from './page-format.mjs';
import { startLoad } from './page-load.mjs';
import { keepConnected } from './page-socket.mjs';

const $ = (id) => document.getElementById(id);

const perSecond = (format) => (value) => `${format(value)}/s`;
const IN_OUT = (name) => [
  { key: `${name}In`, label: 'in' },
  // Dashed, so that an equal line of `in` stays visible below it.
  { key: `${name}Out`, label: 'out', dashed: true },
];

const charts = [
  new Chart({
    title: 'Messages',
    format: perSecond(formatNumber),
    lines: IN_OUT('messages'),
    least: 10,
  }),
  new Chart({
    title: 'Bytes',
    format: perSecond(formatBytes),
    lines: IN_OUT('bytes'),
    least: 4096,
    base: 1024,
  }),
  new Chart({
    title: 'Connections',
    format: formatNumber,
    lines: [{ key: 'connections', label: 'open' }],
    least: 4,
  }),
  new Chart({
    title: 'Event-loop delay',
    format: formatMs,
    lines: [
      { key: 'p50', label: 'p50' },
      { key: 'p99', label: 'p99' },
    ],
    least: 2,
  }),
  new Chart({
    title: 'Memory',
    format: formatBytes,
    lines: [
      { key: 'heap', label: 'heap' },
      { key: 'rss', label: 'rss' },
    ],
    least: 32 * 1024 * 1024,
    base: 1024,
  }),
  new Chart({
    title: 'CPU',
    format: formatPercent,
    lines: [
      { key: 'system', label: 'system' },
      { key: 'user', label: 'user' },
    ],
    least: 20,
  }),
];

let hello = { window: 60000 };
let samples = [];
let pointer = null; // its horizontal position on the charts, from 0 to 1, or null

const echo = startEcho();
startLoad();
$('charts').append(...charts.map(({ element }) => element));

keepConnected('/stats', {
  open() {
    setStatus('live', 'Live');
  },
  message(data) {
    const message = JSON.parse(data);

    if (message.type === 'hello') {
      hello = message;
      samples = message.history;
      echo.limit = message.maxPayload;
    } else {
      samples.push(message);
    }
    draw();
  },
  close() {
    setStatus('lost', 'Reconnecting');
  },
});

function draw() {
  const last = samples[samples.length - 1];

  if (!last) return;
  samples = samples.filter(({ time }) => time >= last.time - hello.window);
  drawCharts();
  drawTiles(last);
  drawFacts(last);
}

function drawCharts() {
  const last = samples[samples.length - 1];
  const time = last && last.time - (1 - pointer) * hello.window;
  const distance = (sample) => Math.abs(sample.time - time);
  const picked =
    pointer === null
      ? null
      : samples.reduce((a, b) => (distance(b) < distance(a) ? b : a), last);

  for (const chart of charts) chart.draw(samples, hello.window, picked);
}

function drawTiles({ connections, total, rss, uptime, diagnostics }) {
  $('tile-connections').textContent = formatCount(connections);
  $('tile-messagesIn').textContent = formatCount(total.messagesIn);
  $('tile-messagesOut').textContent = formatCount(total.messagesOut);
  $('tile-bytesIn').textContent = formatBytes(total.bytesIn);
  $('tile-bytesOut').textContent = formatBytes(total.bytesOut);
  $('tile-memory').textContent = formatBytes(rss);
  $('tile-uptime').textContent = formatDuration(uptime);

  const queued = diagnostics && diagnostics.queuedBytes;
  $('queued').hidden = queued === undefined;
  if (queued !== undefined) $('tile-queued').textContent = formatBytes(queued);
}

function drawFacts({ diagnostics }) {
  const facts = {
    Transport: diagnostics && diagnostics.transport,
    Host: diagnostics && diagnostics.host,
    Node: hello.node,
    System: hello.platform,
    Process: hello.pid,
  };
  const items = Object.entries(facts)
    .filter(([, value]) => value !== undefined && value !== null)
    .map(([name, value]) => [name, describe(value)]);
  const text = JSON.stringify(items);

  // Update only changed text, so that a selection in it is kept.
  if ($('facts').dataset.text === text) return;
  $('facts').dataset.text = text;
  $('facts').replaceChildren(
    ...items.map(([name, value]) => {
      const item = document.createElement('li');
      const strong = document.createElement('strong');
      strong.textContent = value;
      item.append(`${name} `, strong);
      return item;
    }),
  );
}

function describe(value) {
  if (typeof value !== 'object') return String(value);
  return Object.entries(value)
    .map(([name, part]) => `${name} ${part}`)
    .join(', ');
}

function setStatus(state, text) {
  $('status').dataset.state = state;
  $('status').textContent = text;
  document.body.classList.toggle('stale', state !== 'live');
}

$('charts').addEventListener('pointermove', (event) => {
  const plot = event.target.closest('.plot');

  if (plot) {
    const { left, width } = plot.getBoundingClientRect();
    pointer = Math.min(1, Math.max(0, (event.clientX - left) / width));
  } else {
    pointer = null;
  }
  drawCharts();
});

$('charts').addEventListener('pointerleave', () => {
  pointer = null;
  drawCharts();
});
