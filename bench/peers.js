'use strict';

// The peers: oxws with each transport, host and listener, and the alternatives to it.

const { spawnSync } = require('child_process');
const fs = require('fs');
const path = require('path');

const OXWS = path.join(__dirname, '..');

/** The entry with the API of ws 8. */
const WS8 = path.join(OXWS, 'ws8');

/** The load generator, which is also the plain server. */
const LOAD = path.join(OXWS, 'target', 'release', 'oxws-bench-load');

const server = (name) => path.join(__dirname, 'servers', `${name}.js`);

/** Flags that hide bufferutil from the ws of 2016. */
const OLD = ['--require', path.join(__dirname, 'without-bufferutil.js')];

/**
 * Returns a function that returns the command of a server with the API of ws. `more` are
 * the peer's own options of the server.
 */
function wsServer(module, env = {}, flags = [], more = {}) {
  return (options) => ({
    command: process.execPath,
    args: [
      ...flags,
      '--expose-gc',
      server('ws'),
      module,
      JSON.stringify(Object.assign({}, options, more)),
    ],
    env,
  });
}

/** As `wsServer`, for clients with the API of ws or of browsers. */
function nodeClients(module, env = {}, flags = []) {
  return (options) => ({
    command: process.execPath,
    args: [
      ...flags,
      path.join(__dirname, 'clients', 'echo.js'),
      module,
      JSON.stringify(options),
    ],
    env,
  });
}

/**
 * As `wsServer`, for a program that creates the HTTP server and passes it in, as
 * programs with express do.
 */
const httpServer = (module, env) =>
  wsServer(module, env, [], { hasServer: true });

/** Returns the main file of a package; null if the package is not installed. */
function find(module) {
  try {
    return require.resolve(module, { paths: [__dirname] });
  } catch {
    return null;
  }
}

/** Returns why a module cannot be used; null if it can. */
function missing(module) {
  const file = find(module);
  if (file === null) return 'it is not installed';
  const { status, stderr } = spawnSync(process.execPath, [
    '-e',
    `require(${JSON.stringify(file)})`,
  ]);
  return status === 0 ? null : String(stderr).trim().split('\n').pop();
}

/** Why ws 8 cannot be used, or null. */
const missingWs8 = () => missing('ws') || missing('bufferutil');

const bun = path.join(__dirname, 'node_modules', '.bin', 'bun');

/**
 * The peers by ID: `title`; `serve` and `connect`, which return the command of the
 * server and of the clients, if there are any; `plan`, what the peer changes in the plan of
 * the load generator; `version`; and `missing`, which returns why the peer cannot be used,
 * or null.
 */
const PEERS = {
  'oxws-inline': {
    title: 'oxws',
    serve: wsServer(OXWS, { OXWS_HOST: 'inline' }),
    connect: nodeClients(OXWS, { OXWS_HOST: 'inline' }),
  },
  'oxws-ws8': {
    title: 'oxws/ws8',
    serve: wsServer(WS8, { OXWS_HOST: 'inline' }),
    connect: nodeClients(WS8, { OXWS_HOST: 'inline' }),
  },
  'oxws-thread': {
    title: 'oxws, thread host',
    serve: wsServer(OXWS, { OXWS_HOST: 'thread' }),
    connect: nodeClients(OXWS, { OXWS_HOST: 'thread' }),
  },
  'oxws-stream': {
    title: 'oxws, stream transport',
    serve: wsServer(OXWS, { OXWS_TRANSPORT: 'stream' }),
    connect: nodeClients(OXWS, { OXWS_TRANSPORT: 'stream' }),
  },
  'oxws-node': {
    title: "oxws, Node's listener",
    serve: wsServer(OXWS, { OXWS_HOST: 'inline', OXWS_LISTENER: 'node' }),
  },
  'oxws-ws8-node': {
    title: "oxws/ws8, Node's listener",
    serve: wsServer(WS8, { OXWS_HOST: 'inline', OXWS_LISTENER: 'node' }),
  },
  'oxws-http': {
    title: 'oxws, http.Server',
    serve: httpServer(OXWS, { OXWS_HOST: 'inline' }),
  },
  'oxws-ws8-http': {
    title: 'oxws/ws8, http.Server',
    serve: httpServer(WS8, { OXWS_HOST: 'inline' }),
  },
  ws8: {
    title: 'ws 8',
    missing: missingWs8,
    version: () => versionOf('ws'),
    serve: wsServer('ws'),
    connect: nodeClients('ws'),
  },
  'ws8-http': {
    title: 'ws 8, http.Server',
    missing: missingWs8,
    serve: httpServer('ws'),
  },
  ws2016: {
    title: 'ws of 2016',
    missing: () => missing('ws-2016'),
    version: () => versionOf('ws-2016'),
    serve: wsServer('ws-2016', {}, OLD),
    connect: nodeClients('ws-2016', {}, OLD),
  },
  uws: {
    title: 'uWebSockets.js',
    missing: () => missing('@based/uws'),
    version: () => `@based/uws ${versionOf('@based/uws')}`,
    serve: (options) => ({
      command: process.execPath,
      args: ['--expose-gc', server('uws'), JSON.stringify(options)],
    }),
  },
  bun: {
    title: 'Bun',
    missing: () => {
      const { status, error } = spawnSync(bun, ['--version']);
      return status === 0 ? null : String(error || `it exits with ${status}`);
    },
    version: () => String(spawnSync(bun, ['--version']).stdout).trim(),
    serve: (options) => ({
      command: bun,
      args: [server('bun'), JSON.stringify(options)],
    }),
  },
  undici: {
    title: 'undici',
    missing: () => missing('undici'),
    version: () => versionOf('undici'),
    connect: nodeClients('undici'),
  },
  tls: {
    title: 'TLS without WebSocket (the limit)',
    serve: (options) => ({
      command: process.execPath,
      args: [server('tls'), JSON.stringify(options)],
    }),
    // What it returns is then what a server sends.
    plan: { unmasked: true },
  },
  limit: {
    title: 'plain Rust (the limit)',
    serve: ({ key, cert } = {}) => ({
      command: LOAD,
      args: key ? ['limit', key, cert] : ['limit'],
    }),
  },
};

function versionOf(module) {
  const folder = path.join(__dirname, 'node_modules', module);
  return JSON.parse(fs.readFileSync(path.join(folder, 'package.json'))).version;
}

/** Returns the peers that can be used here. Prints which cannot. */
function available() {
  const found = {};
  for (const [id, peer] of Object.entries(PEERS)) {
    const reason = peer.missing ? peer.missing() : null;
    if (reason === null) {
      const version = peer.version ? peer.version() : null;
      found[id] = Object.assign({}, peer, { id, version });
    } else {
      console.log(`${peer.title} is left out: ${reason}`);
    }
  }
  return found;
}

module.exports = { LOAD, OXWS, available };
