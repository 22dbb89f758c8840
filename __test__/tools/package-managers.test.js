'use strict';

// Package managers install what is published, as docs/bundlers.md says, and put oxws8 in the
// place of ws by the entries of docs/moving-from-ws.md.

const assert = require('node:assert/strict');
const { execFile } = require('child_process');
const fs = require('fs');
const path = require('path');
const { promisify } = require('util');

const Document = require('../docs/Document');
const Registry = require('./Registry');
const tools = require('./tools');

const fixtures = path.join(__dirname, 'package-managers');

const PNPM = [
  process.execPath,
  path.join(tools.folder('pnpm'), 'bin', 'pnpm.cjs'),
];

const YARN = [
  process.execPath,
  path.join(tools.folder('@yarnpkg/cli-dist'), 'bin', 'yarn.js'),
];

/** The text of a fence of docs/bundlers.md. */
function fence(language) {
  const fences = new Document('docs/bundlers.md').fencesOf('Other platforms');
  return fences.find((fence) => fence.language === language).text;
}

/** The entries that put oxws8 in the place of ws: of which package manager, and files. */
function overrides() {
  const rows = new Document('docs/moving-from-ws.md').table(
    'Packages that ask for ws themselves',
  );
  return rows.map(([manager, where, what]) => {
    const [file] = Document.code(where);
    const lines = Document.code(what);
    const text = file === 'package.json' ? `{${lines}}` : lines.join('\n  ');
    return { manager, files: { [file]: text } };
  });
}

/** What has yarn install to node_modules. */
const NODE_MODULES = 'nodeLinker: node-modules\n';

/** What the program prints when its dependency has oxws8. */
const REPLACED = 'oxws8: Hello\n';

describe('Package managers', function () {
  this.timeout(60000);

  before(tools.install);

  let registry;
  let env;
  let count = 0;

  before(async () => {
    registry = await Registry.open();
    registry.publish(path.join(fixtures, 'dependent'));
    env = {
      ...process.env,
      ...registry.environment,
      XDG_CACHE_HOME: registry.folder('cache'),
      XDG_CONFIG_HOME: registry.folder('config'),
      XDG_DATA_HOME: registry.folder('data'),
      XDG_STATE_HOME: registry.folder('state'),
      YARN_ENABLE_TELEMETRY: '0',
      YARN_GLOBAL_FOLDER: registry.folder('yarn'),
      YARN_NPM_REGISTRY_SERVER: registry.url,
      YARN_UNSAFE_HTTP_WHITELIST: '127.0.0.1',
    };
  });

  after(() => registry && registry.close());

  /** A folder with files, of which package.json gets dependencies in addition. */
  function create(dependencies, files = {}) {
    const app = registry.folder(`app-${count++}`);
    fs.mkdirSync(app);
    const manifest = JSON.parse(files['package.json'] || '{}');
    const all = { ...manifest.dependencies, ...dependencies };
    const text = JSON.stringify({
      ...manifest,
      name: 'app',
      dependencies: all,
    });
    for (const [name, content] of Object.entries({
      ...files,
      'package.json': text,
    })) {
      fs.writeFileSync(path.join(app, name), content);
    }
    return app;
  }

  /** A folder with the program, whose dependency requires ws. */
  function createDependent(files) {
    const app = create({ 'asks-for-ws': '1.0.0' }, files);
    fs.copyFileSync(path.join(fixtures, 'app.js'), path.join(app, 'app.js'));
    return app;
  }

  /** Runs a command in a folder; what it printed. */
  async function run(cwd, [command, ...first], ...args) {
    const shell = command === 'npm' && process.platform === 'win32';
    const options = { cwd, env, shell };
    try {
      const all = [...first, ...args];
      return (await promisify(execFile)(command, all, options)).stdout;
    } catch ({ stdout, stderr }) {
      throw new Error(stdout + stderr);
    }
  }

  const npm = (app, ...args) =>
    run(app, ['npm'], ...args, '--no-audit', '--no-fund');
  const pnpm = (app, ...args) =>
    run(app, PNPM, 'install', '--no-frozen-lockfile', ...args);
  const yarn = (app) => run(app, YARN, 'install', '--no-immutable');
  const node = (app, ...args) => run(app, [process.execPath], ...args);

  const exists = (app, ...names) => fs.existsSync(path.join(app, ...names));

  describe('put oxws8 in the place of ws:', () => {
    for (const { manager, files } of overrides()) {
      if (manager.startsWith('npm')) {
        it(manager, async () => {
          const app = createDependent(files);
          await npm(app, 'install');
          assert.equal(await node(app, 'app.js'), REPLACED);
        });
      } else if (manager.startsWith('pnpm')) {
        it(`${manager}: ${Object.keys(files)}`, async () => {
          const app = createDependent(files);
          await pnpm(app);
          assert.ok(!exists(app, 'node_modules', 'oxws'));
          assert.equal(await node(app, 'app.js'), REPLACED);
        });
      } else {
        assert.equal(manager, 'yarn');

        it("yarn, with Plug'n'Play", async () => {
          const app = createDependent(files);
          await yarn(app);
          assert.ok(exists(app, '.pnp.cjs'));
          assert.ok(!exists(app, 'node_modules'));
          assert.equal(await run(app, YARN, 'node', 'app.js'), REPLACED);
        });

        it('yarn, with node-modules', async () => {
          const configuration = { '.yarnrc.yml': NODE_MODULES };
          const app = createDependent({ ...files, ...configuration });
          await yarn(app);
          assert.ok(exists(app, 'node_modules', 'ws'));
          assert.equal(await node(app, 'app.js'), REPLACED);
        });
      }
    }
  });

  it('npm installs from a lock file, and without scripts', async () => {
    const app = create({ oxws: '*' });
    await npm(app, 'install', '--package-lock-only');
    assert.ok(!exists(app, 'node_modules'));
    await npm(app, 'ci', '--ignore-scripts');
    await node(app, '-e', 'require("oxws")');
  });

  describe('can leave the binary out:', () => {
    /** oxws throws an error that says what to do. */
    async function assertAdvises(app) {
      const { platform } = registry.tarballs;
      const loads = node(app, '-e', 'require("oxws")');
      await assert.rejects(loads, ({ message }) => {
        assert.match(message, /ERR_OXWS_NO_BINARY/);
        assert.match(message, new RegExp(`${platform} is not installed`));
        assert.match(message, /--omit=optional/);
        return true;
      });
    }

    it('npm', async () => {
      const app = create({});
      await npm(app, 'install', 'oxws', '--omit=optional');
      await assertAdvises(app);
    });

    it('pnpm', async () => {
      const app = create({ oxws: '*' });
      await pnpm(app, '--no-optional');
      await assertAdvises(app);
    });
  });

  describe('install for another platform:', () => {
    const OTHER = 'oxws-linux-arm64-gnu';

    it('npm', async () => {
      const app = create({ oxws: '*' });
      const [name, ...args] = fence('sh').trim().split(' ');
      assert.equal(name, 'npm');
      await npm(app, ...args);
      assert.ok(exists(app, 'node_modules', OTHER));
    });

    it('pnpm', async () => {
      const app = create(
        { oxws: '*' },
        { 'pnpm-workspace.yaml': fence('yaml') },
      );
      await pnpm(app);
      const found = fs
        .readdirSync(path.join(app, 'node_modules', '.pnpm'))
        .filter((name) => name.startsWith('oxws-'))
        .map((name) => name.split('@')[0]);
      const expected = new Set([registry.tarballs.platform, OTHER]);
      assert.deepEqual(new Set(found), expected);
    });

    it('yarn', async () => {
      const configuration = `${fence('yaml')}${NODE_MODULES}`;
      const app = create({ oxws: '*' }, { '.yarnrc.yml': configuration });
      await yarn(app);
      for (const name of [registry.tarballs.platform, OTHER]) {
        assert.ok(exists(app, 'node_modules', name), name);
      }
    });
  });
});
