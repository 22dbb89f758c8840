'use strict';

// Runs scenarios. All servers of a scenario run at the same time and are loaded one
// after the other, in several rounds, so that changes of the machine affect all of
// them.

const { spawn, spawnSync } = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');

const { LOAD, OXWS } = require('./peers');

const fixture = (name) => path.join(OXWS, '__test__', 'fixtures', name);
const TLS = { key: fixture('server-key.pem'), cert: fixture('server.pem') };
const AUTHORITY = fixture('ca.pem');

/** How long a server may take to start, and a load to end after its time, in ms. */
const PATIENCE = 60 * 1000;

/** With more bytes than this in flight, a scenario is measured for a longer time. */
const MANY_BYTES = 256 << 20;

const cores = os.cpus().length;

/** Whether processes can be restricted to some cores, which is usual on Linux. */
const canPin = cores > 1 && spawnSync('taskset', ['-V']).status === 0;

/**
 * Restricts a command to its own cores: the load to the last core, and what is measured
 * to all others.
 */
function pinned({ command, args, env }, isLoad) {
  if (!canPin) return { command, args, env };
  const list = isLoad ? String(cores - 1) : `0-${cores - 2}`;
  return { command: 'taskset', args: ['-c', list, command, ...args], env };
}

/** Starts a process, and collects its output. */
function start({ command, args, env }) {
  const child = spawn(command, args, {
    cwd: __dirname,
    env: Object.assign({}, process.env, env),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const started = { child, output: '', errors: '' };
  child.stdout.setEncoding('utf8').on('data', (text) => {
    started.output += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    started.errors += text;
  });
  started.ended = new Promise((resolve) => {
    child.on('error', (error) => resolve(String(error)));
    child.on('close', (code, signal) => resolve(code === null ? signal : code));
  });
  return started;
}

/** Returns why a process failed: the line with its error, if it wrote one. */
function reason({ errors }, status) {
  const lines = errors.split('\n');
  return lines.find((line) => line.includes('Error')) || `it ended: ${status}`;
}

/** Runs a process until it ends. Resolves to its output. */
async function output(command, milliseconds) {
  const started = start(command);
  const timer = setTimeout(() => started.child.kill('SIGKILL'), milliseconds);
  const status = await started.ended;
  clearTimeout(timer);
  if (status !== 0) {
    throw new Error(reason(started, status));
  }
  return started.output;
}

/** Starts a server. Resolves when it has printed its port. */
async function startServer(peer, options, isLoad = false) {
  const started = start(pinned(peer.serve(options), isLoad));
  const timer = setTimeout(() => started.child.kill('SIGKILL'), PATIENCE);
  timer.unref();
  const port = new Promise((resolve) => {
    started.child.stdout.on('data', () => {
      if (!started.output.includes('\n')) return;
      clearTimeout(timer);
      resolve(Number(started.output));
    });
  });
  const failed = started.ended.then((status) => {
    throw new Error(reason(started, status));
  });
  failed.catch(() => {});
  started.port = await Promise.race([port, failed]);
  return started;
}

async function stop(server) {
  server.child.kill('SIGKILL');
  await server.ended;
}

/** Measures one peer's server once. */
function loadServer({ plan }, server, times) {
  const { tls, ...rest } = plan;
  const full = Object.assign(rest, times, {
    port: server.port,
    pid: server.child.pid,
    authority: tls ? AUTHORITY : null,
  });
  const args = ['run', JSON.stringify(full)];
  return output(
    pinned({ command: LOAD, args }, true),
    PATIENCE + (times.warmUp + times.seconds) * 1000,
  );
}

/** Measures one peer's clients once, with the plain server. */
function loadClients({ plan }, peer, server, times) {
  const { connections, size, depth, binary } = plan;
  const options = { port: server.port, connections, size, depth, binary };
  return output(
    pinned(peer.connect(Object.assign(options, times)), false),
    PATIENCE + (times.warmUp + times.seconds) * 1000,
  );
}

/** Returns the options of a server for a scenario. */
function serverOptions({ plan, server }) {
  const { scenario: mode, deflate, tls } = plan;
  return Object.assign({ mode, deflate }, server, tls ? TLS : {});
}

/** Returns how long to warm up and to measure, in seconds. */
function timesOf({ plan, role }, { settle, warmUp, seconds }) {
  const bytes = plan.connections * plan.size * plan.depth;
  const isLong = plan.scenario === 'echo' && bytes > MANY_BYTES;
  const factor = isLong ? 4 : 1;
  return {
    // Clients are a new process each time, which has compiled nothing yet.
    warmUp: role === 'client' ? settle : factor * warmUp,
    seconds: factor * seconds,
  };
}

/** Starts a server, and loads it until its JavaScript is compiled. */
async function startSettled(scenario, peer, { settle, warmUp }) {
  const server = await startServer(peer, serverOptions(scenario));
  if (!scenario.isMemory) {
    const times = { warmUp: settle, seconds: warmUp };
    await loadServer(scenario, server, times).catch(async (error) => {
      await stop(server);
      throw error;
    });
  }
  return server;
}

/** Measures one peer once. Resolves to the figures. */
async function measureOnce(scenario, peer, servers, extent) {
  const times = timesOf(scenario, extent);
  let text;
  if (scenario.role === 'client') {
    text = await loadClients(scenario, peer, servers.limit, times);
  } else {
    const { id } = peer;
    // Memory is measured with a new server each time.
    if (scenario.isMemory && servers[id]) {
      await stop(servers[id]);
      delete servers[id];
    }
    servers[id] = servers[id] || (await startSettled(scenario, peer, extent));
    text = await loadServer(scenario, servers[id], times);
  }
  return JSON.parse(text);
}

/**
 * Measures a scenario. Resolves to an object with, for the ID of each peer, its `runs`,
 * and `error` if it failed.
 */
async function measure(scenario, peers, extent) {
  const present = scenario.peers.filter((id) => id in peers);
  const results = Object.fromEntries(present.map((id) => [id, { runs: [] }]));
  const servers = {};
  try {
    if (scenario.role === 'client') {
      // Here the clients are measured, so the server runs on the core of the load.
      servers.limit = await startServer(peers.limit, {}, true);
    }
    for (let round = 0; round < extent.rounds; round++) {
      for (const id of round % 2 === 0 ? present : [...present].reverse()) {
        if (results[id].error) continue;
        try {
          const peer = peers[id];
          const run = await measureOnce(scenario, peer, servers, extent);
          results[id].runs.push(run);
        } catch (error) {
          results[id].error = error.message;
        }
      }
    }
  } finally {
    await Promise.all(Object.values(servers).map(stop));
  }
  return results;
}

/** Describes the machine and the versions that the figures belong to. */
function machine() {
  const [cpu] = os.cpus();
  const git = path.join(OXWS, '.git');
  return {
    processor: cpu ? cpu.model.trim() : 'unknown',
    cores,
    memory: os.totalmem(),
    system: `${os.type()} ${os.release()}`,
    node: process.version,
    oxws: require(path.join(OXWS, 'package.json')).version,
    commit: fs.existsSync(git) ? commitOf(git) : null,
  };
}

function commitOf(git) {
  const read = (file) => fs.readFileSync(path.join(git, file), 'utf8').trim();
  try {
    const head = read('HEAD');
    return head.startsWith('ref: ') ? read(head.slice(5)) : head;
  } catch {
    return null;
  }
}

module.exports = { machine, measure };
