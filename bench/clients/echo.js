'use strict';

// Clients that send messages and wait for the echo: `node echo.js MODULE OPTIONS`.
// Prints the measurements as JSON, with the names of the load generator's reports.

const fs = require('fs');
const { createHistogram } = require('perf_hooks');

const [, , name, options] = process.argv;
const { port, connections, size, depth, binary, tls, warmUp, seconds } =
  JSON.parse(options);
const { WebSocket = require(name) } = require(name);

const message = binary ? Buffer.alloc(size, 'oxws') : 'oxws'.repeat(size / 4);
const times = createHistogram();
let isCounting = false;
let count = 0;

/** Connects a client. When it is open, resolves to a function that sends a message. */
function connect() {
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(`${tls ? 'wss' : 'ws'}://127.0.0.1:${port}`);
    const sentAt = [];
    const send = () => {
      sentAt.push(process.hrtime.bigint());
      ws.send(message);
    };
    const receive = (data) => {
      const length = data.length === undefined ? data.byteLength : data.length;
      if (length !== size) throw new Error('a message came back changed');
      const sent = sentAt.shift();
      if (isCounting) {
        times.record(Number(process.hrtime.bigint() - sent) || 1);
        count++;
      }
      send();
    };
    if (ws.on) {
      ws.on('open', () => resolve(send));
      ws.on('error', reject);
      ws.on('message', receive);
    } else {
      ws.binaryType = 'arraybuffer';
      ws.addEventListener('open', () => resolve(send));
      ws.addEventListener('error', reject);
      ws.addEventListener('message', ({ data }) => receive(data));
    }
  });
}

/** Returns the CPU time of this process and of its main thread, in microseconds. */
function usage() {
  const { user, system } = process.cpuUsage();
  let main = null;
  try {
    const stat = fs.readFileSync('/proc/self/schedstat', 'utf8');
    main = Number(stat.split(' ')[0]) / 1e3;
  } catch {
    // Only Linux has this file.
  }
  return { process: user + system, main };
}

async function main() {
  const senders = await Promise.all(
    Array.from({ length: connections }, connect),
  );
  for (const send of senders) for (let n = 0; n < depth; n++) send();
  await new Promise((resolve) => setTimeout(resolve, warmUp * 1000));

  const before = usage();
  const start = process.hrtime.bigint();
  isCounting = true;
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  isCounting = false;
  const elapsed = Number(process.hrtime.bigint() - start) / 1e9;
  const after = usage();

  const each = (kind) =>
    after[kind] === null ? null : (after[kind] - before[kind]) / count;
  console.log(
    JSON.stringify({
      seconds: elapsed,
      count,
      perSecond: count / elapsed,
      p50: times.percentile(50) / 1e3,
      p99: times.percentile(99) / 1e3,
      p999: times.percentile(99.9) / 1e3,
      cpu: each('process'),
      mainCpu: each('main'),
      peakMemory: process.resourceUsage().maxRSS * 1024,
    }),
  );
  process.exit();
}

main();
