'use strict';

// Packages that depend on ws, each driven by a program: with ws itself, which shows that
// the program is right, and with the packed package that takes its place.

const assert = require('node:assert/strict');
const { execFile } = require('child_process');
const fs = require('fs');
const path = require('path');
const { promisify } = require('util');

const {
  installAlias,
  installOriginal,
  read,
} = require('../dependents/install');
const Tarballs = require('./Tarballs');

const programs = fs
  .readdirSync(path.join(__dirname, '..', 'dependents', 'programs'))
  .map((file) => path.basename(file, '.js'));

/** The packages of the tree that ask for ws. */
const DEPENDENTS = [
  '@fastify/websocket',
  '@hocuspocus/provider',
  '@hocuspocus/server',
  'engine.io',
  'engine.io-client',
  'graphql-ws',
  'isomorphic-ws',
  'mqtt',
  'puppeteer-core',
  'socket.io-adapter',
];

/**
 * The major versions of Node.js, first and last, that a program's dependents run on, where
 * not on all. aedes is an ES module that is required; and it takes `read()` for all that a
 * stream has, which is one piece of it from 26 on.
 */
const RUNS_ON = { mqtt: [20, 25] };

const WAYS = [
  { OXWS_TRANSPORT: 'stream' },
  { OXWS_HOST: 'inline' },
  { OXWS_HOST: 'thread' },
];

/** Who asks for ws in an installed tree, and where its copies are. */
function inspect(app) {
  const { packages } = read(app, 'node_modules', '.package-lock.json');
  const places = Object.keys(packages);
  const asks = ({ dependencies, peerDependencies }) =>
    'ws' in Object.assign({}, dependencies, peerDependencies);
  return {
    copies: places.filter((place) => /(^|\/)node_modules\/ws$/.test(place)),
    dependents: places.filter((place) => asks(packages[place])),
  };
}

/** Runs a program; what it tells. */
async function run(app, program, way) {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [path.join('programs', `${program}.js`)],
    {
      cwd: app,
      env: { ...process.env, ...way },
      killSignal: 'SIGKILL',
      timeout: 50000,
    },
  );
  return JSON.parse(stdout);
}

describe('Packages that depend on ws', function () {
  this.timeout(60000);

  let tarballs;
  let original;
  let alias;

  /** What the programs tell with ws, each of which runs once. */
  const known = {};
  function withOriginal(program) {
    known[program] = known[program] || run(original, program);
    return known[program];
  }

  before('install them', function () {
    this.timeout(180000);
    tarballs = new Tarballs();
    original = path.join(tarballs.folder, 'ws');
    alias = path.join(tarballs.folder, 'oxws8');
    installOriginal(original);
  });

  after(() => tarballs.remove());

  /** A test of a program that may be skipped. */
  function test(program, body) {
    it(program, async function () {
      const major = Number.parseInt(process.versions.node);
      const [first, last] = RUNS_ON[program] || [major, major];
      if (major < first || major > last) this.skip();
      const result = await body();
      if (result.skipped) this.skip();
    });
  }

  /** One copy of ws is in the tree, and all who ask for it find that one. */
  function findsOne(app, name) {
    const { copies, dependents } = inspect(app);
    assert.deepEqual(copies, ['node_modules/ws']);
    const names = dependents.map(
      (place) => read(app, place, 'package.json').name,
    );
    assert.deepEqual(names.sort(), DEPENDENTS);
    for (const place of ['', ...dependents]) {
      const file = require.resolve('ws/package.json', {
        paths: [path.join(app, place)],
      });
      assert.equal(read(file).name, name);
    }
  }

  describe('with ws', () => {
    it('find one, and it is ws', () => findsOne(original, 'ws'));

    for (const program of programs) {
      test(program, () => withOriginal(program));
    }
  });

  describe('with oxws8 in its place', () => {
    before('install it', function () {
      this.timeout(180000);
      fs.cpSync(original, alias, {
        recursive: true,
        verbatimSymlinks: true,
      });
      installAlias(alias, tarballs);
    });

    it('find one, and it is oxws8', () => findsOne(alias, 'oxws8'));

    for (const way of WAYS) {
      describe(String(Object.values(way)), () => {
        for (const program of programs) {
          test(program, async () => {
            const result = await run(alias, program, way);
            assert.deepEqual(result, await withOriginal(program));
            return result;
          });
        }
      });
    }
  });
});
