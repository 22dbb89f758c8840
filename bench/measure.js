'use strict';

// Runs scenarios. All servers of a scenario run at the same time and are loaded one
// after the other, in several rounds, so that changes of the machine affect all of
// them. Memory is measured of a new server each time, and of several servers at a time.

const { spawn, spawnSync } = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');

const { raised } = require('./descriptors');
const { LOAD, OXWS } = require('./peers');

const fixture = (name) => path.join(OXWS, '__test__', 'fixtures', name);
const TLS = { key: fixture('server-key.pem'), cert: fixture('server.pem') };
const AUTHORITY = fixture('ca.pem');

/** How long a server may take to start, and a load to end after its time, in ms. */
const PATIENCE = 60 * 1000;

/** How long a handshake may take when many connections are opened, in ms. */
const HANDSHAKE_PATIENCE = 10;

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
function start(given) {
  const { command, args, env } = raised(given);
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

/** Starts a process. Resolves when it has printed a line, which says that it is ready. */
async function startReady(command, milliseconds) {
  const started = start(command);
  const timer = setTimeout(() => started.child.kill('SIGKILL'), milliseconds);
  timer.unref();
  const ready = new Promise((resolve) => {
    started.child.stdout.on('data', () => {
      if (!started.output.includes('\n')) return;
      clearTimeout(timer);
      resolve();
    });
  });
  const failed = started.ended.then((status) => {
    throw new Error(reason(started, status));
  });
  failed.catch(() => {});
  started.failed = failed;
  await Promise.race([ready, failed]);
  return started;
}

/** Starts a server. Resolves when it has printed its port. */
async function startServer(command) {
  const started = await startReady(command, PATIENCE);
  started.port = Number(started.output);
  return started;
}

async function stop({ child, ended }) {
  child.kill('SIGKILL');
  await ended;
}

/** Stops a server, and the load generator that holds connections to it. */
async function stopServer(server) {
  await stop(server);
  if (server.holder) await stop(server.holder);
}

/** Returns the command of the load generator. */
function loadCommand(task, { tls, ...plan }, server, times) {
  const full = Object.assign({}, plan, times, {
    port: server.port,
    pid: server.child.pid,
    authority: tls ? AUTHORITY : null,
  });
  return { command: LOAD, args: [task, JSON.stringify(full)] };
}

/** Measures one peer's server once. */
function loadServer(scenario, peer, server, times) {
  const plan = Object.assign({}, scenario.plan, peer.plan);
  const loaded = output(
    pinned(loadCommand('run', plan, server, times), true),
    PATIENCE + (times.warmUp + times.seconds) * 1000,
  );
  // The figures do not count if a connection that is held is lost meanwhile.
  return server.holder ? Promise.race([loaded, server.holder.failed]) : loaded;
}

/** Opens `held` connections to a server, which stay open until the server is stopped. */
function hold({ plan, held }, server) {
  const full = Object.assign({}, plan, { connections: held });
  const times = { warmUp: 0, seconds: 0 };
  return startReady(
    pinned(loadCommand('hold', full, server, times), true),
    PATIENCE + held * HANDSHAKE_PATIENCE,
  );
}

/** Measures one peer's clients once, with the plain server. */
function loadClients({ plan }, peer, server, times) {
  const { connections, size, depth, binary, tls } = plan;
  const options = { port: server.port, connections, size, depth, binary, tls };
  const command = peer.connect(Object.assign(options, times));
  if (tls) {
    const env = { NODE_EXTRA_CA_CERTS: AUTHORITY };
    command.env = Object.assign(env, command.env);
  }
  return output(
    pinned(command, false),
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
  const isLong =
    plan.scenario === 'handshakes' ||
    (plan.scenario === 'echo' && bytes > MANY_BYTES);
  const factor = isLong ? 4 : 1;
  return {
    // Clients are a new process each time, which has compiled nothing yet.
    warmUp: role === 'client' ? settle : factor * warmUp,
    seconds: factor * seconds,
  };
}

/**
 * Starts a server, and loads it until its JavaScript is compiled. Then opens the
 * connections that are held.
 */
async function startSettled(scenario, peer, { settle, warmUp }) {
  const command = pinned(peer.serve(serverOptions(scenario)), false);
  const server = await startServer(command);
  try {
    const times = { warmUp: settle, seconds: warmUp };
    await loadServer(scenario, peer, server, times);
    if (scenario.held) server.holder = await hold(scenario, server);
    return server;
  } catch (error) {
    await stopServer(server);
    throw error;
  }
}

/** Measures the memory of one peer's server once. Resolves to the figures. */
async function measureMemory(scenario, peer) {
  const { plan } = scenario;
  const server = await startServer(peer.serve(serverOptions(scenario)));
  try {
    const times = { warmUp: 0, seconds: 0 };
    const opened = plan.connections * (1 + plan.churn / 2);
    const text = await output(
      loadCommand('run', plan, server, times),
      PATIENCE + opened * HANDSHAKE_PATIENCE,
    );
    return JSON.parse(text);
  } finally {
    await stopServer(server);
  }
}

/** Measures one peer once. Resolves to the figures. */
async function measureOnce(scenario, peer, servers, extent) {
  const times = timesOf(scenario, extent);
  let text;
  if (scenario.role === 'client') {
    text = await loadClients(scenario, peer, servers.limit, times);
  } else {
    const { id } = peer;
    servers[id] = servers[id] || (await startSettled(scenario, peer, extent));
    text = await loadServer(scenario, peer, servers[id], times);
  }
  return JSON.parse(text);
}

/** Calls `run` with one peer after the other, in an order that changes by the round. */
async function inRounds(rounds, ids, run) {
  for (let round = 0; round < rounds; round++) {
    for (const id of round % 2 === 0 ? ids : [...ids].reverse()) await run(id);
  }
}

/** Calls `run` with as many peers at a time as there are cores. */
async function inParallel(rounds, ids, run) {
  const waiting = Array.from({ length: rounds }, () => ids).flat();
  const worker = async () => {
    while (waiting.length > 0) await run(waiting.shift());
  };
  await Promise.all(Array.from({ length: cores }, worker));
}

/**
 * Measures a scenario. Resolves to an object with, for the ID of each peer, its `runs`,
 * and `error` if it failed.
 */
async function measure(scenario, peers, extent) {
  const present = scenario.peers.filter((id) => id in peers);
  const results = Object.fromEntries(present.map((id) => [id, { runs: [] }]));
  const servers = {};
  const run = async (id) => {
    if (results[id].error) return;
    try {
      const figures = scenario.isMemory
        ? await measureMemory(scenario, peers[id])
        : await measureOnce(scenario, peers[id], servers, extent);
      results[id].runs.push(figures);
    } catch (error) {
      results[id].error = error.message;
    }
  };
  const { maxRounds = Infinity, isMemory } = scenario;
  const rounds = Math.min(extent.rounds, maxRounds);
  try {
    if (scenario.role === 'client') {
      // Here the clients are measured, so the server runs on the core of the load.
      const command = peers.limit.serve(serverOptions(scenario));
      servers.limit = await startServer(pinned(command, true));
    }
    await (isMemory ? inParallel : inRounds)(rounds, present, run);
  } finally {
    await Promise.all(Object.values(servers).map(stopServer));
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
