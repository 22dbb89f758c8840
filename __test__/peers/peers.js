'use strict';

// The peers: how each is installed and started, what it offers, and what it can do.

const { spawnSync } = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');

const Installation = require('./Installation');
const Program = require('./Program');
const Proxy = require('./Proxy');

/** Without context takeover, each message is compressed by itself (RFC 7692, 7.1.1). */
const NO_TAKEOVER = {
  serverNoContextTakeover: true,
  clientNoContextTakeover: true,
};

/**
 * The negotiations: `ours` is the option `perMessageDeflate` of oxws, `theirs` are the
 * parameters of the peer, and `agreed` matches the header of the response.
 */
const NEGOTIATIONS = {
  'not compressed': {
    ours: false,
    theirs: { deflate: false },
    agreed: /^$/,
  },
  compressed: {
    ours: { threshold: 0 },
    theirs: { deflate: true },
    agreed: /^permessage-deflate/,
  },
  'no context takeover': {
    ours: { threshold: 0, ...NO_TAKEOVER },
    theirs: { deflate: true, noTakeover: true },
    agreed: /(server|client)_no_context_takeover/,
  },
  'window of 9 bits': {
    ours: { threshold: 0, serverMaxWindowBits: 9, clientMaxWindowBits: 9 },
    theirs: { deflate: true, bits: 9 },
    agreed: /(server|client)_max_window_bits=9/,
  },
};

const ALL = Object.keys(NEGOTIATIONS);
const PLAIN = ['not compressed'];
const ON_OFF = ['not compressed', 'compressed'];

const file = (name) => path.join(__dirname, 'programs', name);

/** Returns the path of the first of these commands that is installed, or undefined. */
function find(...names) {
  return (process.env.PATH || '')
    .split(path.delimiter)
    .flatMap((folder) => names.map((name) => path.join(folder, name)))
    .find((command) => fs.existsSync(command));
}

/** Returns the browser that puppeteer has installed, or one of the system. */
function findChromium() {
  const cache =
    process.env.PUPPETEER_CACHE_DIR ||
    path.join(os.homedir(), '.cache', 'puppeteer');
  const chrome = path.join(cache, 'chrome');
  const versions = fs.existsSync(chrome) ? fs.readdirSync(chrome) : [];
  return (
    versions
      .map((name) => path.join(chrome, name, 'chrome-linux64', 'chrome'))
      .find((command) => fs.existsSync(command)) ||
    find('chromium', 'chromium-browser', 'google-chrome')
  );
}

/** Returns the first number of a version that a command prints, or ''. */
function versionOf(command, ...args) {
  const { stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  const [version] = /\d+(\.\d+)+/.exec(`${stdout}${stderr}`) || [''];
  return version;
}

/** A peer that is a command with the arguments `server PARAMETERS`, and so on. */
class Peer {
  /** What it can do: send a message in fragments, send a ping and tell of its pong. */
  can = { fragments: true, ping: true };
  /** Its roles: it is a client of a server of oxws, and the other way round. */
  roles = ['client', 'server'];
  /** The longest messages that it sends and receives in these tests, in bytes. */
  maxSize = Infinity;
  /** The code of its answer to a close frame with 4001. */
  answer = 4001;
  /** What differs from NEGOTIATIONS, by the role and the name. */
  differs = {};
  parameters = {};
  environment = {};

  constructor(name, fields) {
    Object.assign(this, { name }, fields);
  }

  negotiation(role, name) {
    return { ...NEGOTIATIONS[name], ...this.differs[`${role}, ${name}`] };
  }

  #start(args, theirs) {
    const [command, ...rest] = this.command();
    const parameters = JSON.stringify({ ...theirs, ...this.parameters });
    return new Program(command, [...rest, ...args, parameters], {
      env: this.environment,
    });
  }

  /** Starts a client, which connects to a port. */
  async startClient(port, theirs) {
    return this.#start(['client', `ws://127.0.0.1:${port}/`], theirs);
  }

  /** Starts a server. Resolves to it and its port when it listens. */
  async startServer(theirs) {
    const program = this.#start(['server'], theirs);
    return { program, port: await program.port() };
  }
}

/** A package of PyPI, with a program in Python. */
function pythonPeer(name, module, fields) {
  return new Peer(name, {
    install: () => Installation.pypi(module),
    command: () => [Installation.python, file(`${fields.program}_peer.py`)],
    version: () =>
      versionOf(
        Installation.python,
        '-c',
        `import importlib.metadata as m; print(m.version('${module}'))`,
      ),
    ...fields,
  });
}

/** The framing of an implementation, played by a program of ours. */
function habit(name, key, fields) {
  return new Peer(name, {
    install: () => null,
    command: () => [process.execPath, file('habits.mjs')],
    version: () => '',
    parameters: { habit: key },
    negotiations: ALL,
    ...fields,
  });
}

/** oxws/ws8 with a proxy in between. */
class Proxied extends Peer {
  constructor(name, kind) {
    super(name, {
      install: () => (find(kind) ? null : `${kind} is not installed`),
      command: () => [process.execPath, file('oxws.mjs')],
      version: () => versionOf(kind, '-v'),
      negotiations: ON_OFF,
      can: { fragments: false, ping: true },
    });
    this.kind = kind;
  }

  async startClient(port, theirs) {
    const proxy = await Proxy.start(this.kind, port);
    const program = await super.startClient(proxy.port, theirs);
    return this.#together(program, proxy);
  }

  async startServer(theirs) {
    const { program, port } = await super.startServer(theirs);
    const proxy = await Proxy.start(this.kind, port);
    return { program: this.#together(program, proxy), port: proxy.port };
  }

  /** Has the proxy stop with the program. */
  #together(program, proxy) {
    const stop = program.stop.bind(program);
    program.stop = async () => {
      await stop();
      await proxy.stop();
    };
    return program;
  }
}

/** Chromium, with a page that the server of the test has. */
class Chromium extends Peer {
  async startClient(port) {
    const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'oxws-chromium-'));
    const program = new Program(findChromium(), [
      ...['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic'],
      ...['--no-first-run', '--disable-background-networking'],
      ...['--disable-component-update', '--disable-sync'],
      `--user-data-dir=${profile}`,
      `http://127.0.0.1:${port}/chromium.html`,
    ]);
    const stop = program.stop.bind(program);
    program.stop = async () => {
      await stop();
      fs.rmSync(profile, { recursive: true, force: true, maxRetries: 10 });
    };
    return program;
  }
}

const bun = () => Installation.binary('@oven', 'bin', 'bun');
const deno = () => Installation.binary('@deno', 'deno');

const [NODE_MAJOR] = process.versions.node.split('.').map(Number);

const PEERS = [
  pythonPeer('websockets', 'websockets', {
    program: 'websockets',
    negotiations: ALL,
  }),
  pythonPeer('aiohttp', 'aiohttp', {
    program: 'aiohttp',
    negotiations: ALL,
    answer: 1000,
    // Its answer has no client_max_window_bits. A client with that option ends the
    // connection then, in the API of 2016.
    differs: {
      'server, window of 9 bits': {
        ours: { threshold: 0, serverMaxWindowBits: 9 },
      },
    },
    can: { fragments: false, ping: true },
  }),
  pythonPeer('picows', 'picows', { program: 'picows', negotiations: PLAIN }),
  pythonPeer('libcurl', 'curl_cffi', {
    program: 'curl',
    negotiations: ALL,
    roles: ['client'],
    version: () =>
      versionOf(
        Installation.python,
        '-c',
        'import curl_cffi; print(curl_cffi.__curl_version__)',
      ),
  }),
  new Peer('undici', {
    install: () =>
      NODE_MAJOR < 20 ? 'it needs Node.js 20.18' : Installation.npm(),
    command: () => [process.execPath, file('undici.mjs')],
    version: () => require('undici/package.json').version,
    negotiations: ALL,
    roles: ['client'],
    can: { fragments: false, ping: true },
  }),
  new Peer('Bun', {
    install: Installation.npm,
    command: () => [bun(), file('bun.mjs')],
    version: () => versionOf(bun(), '--version'),
    negotiations: ALL,
    // It declines such an offer.
    differs: { 'server, window of 9 bits': { agreed: /^$/ } },
    can: { fragments: false, ping: true },
  }),
  new Peer('Deno', {
    install: Installation.npm,
    command: () => [
      deno(),
      ...['run', '--quiet', '--no-config', '--allow-net', file('deno.mjs')],
    ],
    version: () => versionOf(deno(), '--version'),
    environment: { DENO_NO_UPDATE_CHECK: '1' },
    negotiations: PLAIN,
    can: { fragments: false, ping: false },
  }),
  new Peer('tungstenite', {
    install: Installation.cargo,
    command: () => [Installation.tungstenite],
    version: () => '0.30.0',
    negotiations: PLAIN,
  }),
  new Chromium('Chromium', {
    install: () => (findChromium() ? null : 'it is not installed'),
    version: () => versionOf(findChromium(), '--version'),
    negotiations: ALL.filter((name) => name !== 'not compressed'),
    roles: ['client'],
    can: { fragments: false, ping: false },
  }),
  new Proxied('behind nginx', 'nginx'),
  new Proxied('behind HAProxy', 'haproxy'),
  habit('as Go frames', 'go'),
  habit('as .NET frames', 'dotnet'),
  habit('byte by byte', 'bytes', { maxSize: 65536 }),
];

module.exports = PEERS;
