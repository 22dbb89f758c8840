'use strict';

const assert = require('node:assert/strict');
const { execFile, execFileSync } = require('child_process');
const { once } = require('events');
const fs = require('fs');
const http = require('http');
const os = require('os');
const path = require('path');

const root = path.join(__dirname, '..', '..');
const script = (name) => path.join(root, 'scripts', name);

const PLATFORMS = fs.readdirSync(path.join(root, 'npm'));
const NAMES = [...PLATFORMS.map((name) => `oxws-${name}`), 'oxws', 'oxws8'];

/** A registry of packages that takes what npm publishes, unless it is to refuse it. */
class Registry {
  constructor() {
    this.published = new Map();
    this.refused = null;
    this.tokens = new Set();
    this.server = http.createServer((req, res) => this.#answer(req, res));
  }

  async listen() {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    this.url = `http://127.0.0.1:${this.server.address().port}/`;
  }

  get names() {
    return [...this.published.keys()];
  }

  #answer(req, res) {
    const name = req.url.slice(1).split('?')[0];
    const reply = (status, body) => {
      res.writeHead(status, { 'Content-Type': 'application/json' });
      res.end(JSON.stringify(body));
    };
    if (req.method === 'GET') {
      const found = this.published.get(name);
      return reply(found ? 200 : 404, found || { error: 'not found' });
    }
    let body = '';
    req.setEncoding('utf8');
    req.on('data', (text) => (body += text));
    req.on('end', () => {
      this.tokens.add(req.headers.authorization);
      if (name === this.refused) return reply(500, { error: 'refused' });
      this.published.set(name, JSON.parse(body));
      reply(201, { ok: true });
    });
  }

  async close() {
    this.server.close();
    this.server.closeAllConnections();
    await once(this.server, 'close');
  }
}

/** Runs a script; its exit code, and what it printed. */
function run(file, args, env) {
  return new Promise((resolve) => {
    const options = { cwd: root, env: { ...process.env, ...env } };
    execFile(
      process.execPath,
      [file, ...args],
      options,
      (error, stdout, stderr) => {
        resolve({ code: error ? error.code : 0, output: stdout + stderr });
      },
    );
  });
}

describe('A release', function () {
  this.timeout(120000);

  let folder;
  let dist;

  /** A copy of what is packed, with files in place of the binaries. */
  let copy;

  before(async () => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'oxws-release-'));
    dist = path.join(folder, 'dist');
    copy = path.join(folder, 'copy');
    copyTracked(
      /^(index|lib|npm|oxws8|package|README|LICENSE|scripts|wrapper|ws8)/,
      copy,
    );
    for (const name of PLATFORMS) {
      fs.writeFileSync(path.join(copy, `oxws.${name}.node`), name);
    }
    const { code, output } = await pack(dist);
    assert.equal(code, 0, output);
  });

  after(() => fs.rmSync(folder, { recursive: true }));

  /** Copies the files of the repository that a pattern matches. */
  function copyTracked(pattern, target) {
    const files = execFileSync('git', ['ls-files', '-z'], { cwd: root });
    for (const file of files.toString().split('\0')) {
      if (!pattern.test(file)) continue;
      const to = path.join(target, file);
      fs.mkdirSync(path.dirname(to), { recursive: true });
      fs.copyFileSync(path.join(root, file), to);
    }
  }

  const pack = (to) =>
    run(path.join(copy, 'scripts', 'pack.js'), [to, '--all'], {
      GITHUB_REPOSITORY: 'somebody/oxws',
      GITHUB_SERVER_URL: 'https://github.com',
    });

  describe('is packed', () => {
    it('with the binaries of all platforms', () => {
      assert.equal(fs.readdirSync(dist).length, NAMES.length);
    });

    it('not without one of them', async () => {
      const binary = `oxws.${PLATFORMS[0]}.node`;
      fs.renameSync(path.join(copy, binary), path.join(copy, 'away'));
      const { code, output } = await pack(path.join(folder, 'none'));
      fs.renameSync(path.join(copy, 'away'), path.join(copy, binary));
      assert.equal(code, 1);
      assert.ok(output.includes(`there is no ${binary}`), output);
    });
  });

  describe('is published', () => {
    let registry;

    beforeEach(async () => {
      registry = new Registry();
      await registry.listen();
    });

    afterEach(() => registry.close());

    const publish = (from = dist, env = {}) =>
      run(script('publish.js'), [from], {
        GITHUB_ACTIONS: '',
        GITHUB_REF_TYPE: '',
        NPM_TOKEN: 'a-token',
        npm_config_registry: registry.url,
        npm_config_cache: path.join(folder, 'cache'),
        npm_config_fetch_retries: '0',
        ...env,
      });

    it('with the binaries first, and oxws8 last', async () => {
      const { code, output } = await publish();
      assert.equal(code, 0, output);
      assert.deepEqual(registry.names, NAMES);
      assert.deepEqual([...registry.tokens], ['Bearer a-token']);
      const { versions } = registry.published.get('oxws');
      const [{ optionalDependencies, repository }] = Object.values(versions);
      assert.equal(Object.keys(optionalDependencies).length, PLATFORMS.length);
      assert.equal(repository.url, 'git+https://github.com/somebody/oxws.git');
    });

    it('from where it stopped', async () => {
      registry.refused = NAMES[3];
      const failed = await publish();
      assert.equal(failed.code, 1);
      assert.match(failed.output, new RegExp(`${NAMES[3]} was not published`));
      assert.deepEqual(registry.names, NAMES.slice(0, 3));

      registry.refused = null;
      const { code, output } = await publish();
      assert.equal(code, 0, output);
      assert.match(output, new RegExp(`${NAMES[0]}@\\S+ is published already`));
      assert.deepEqual(registry.names, NAMES);
    });

    it('not if a package is missing', async () => {
      const less = path.join(folder, 'less');
      fs.cpSync(dist, less, { recursive: true });
      const name = fs
        .readdirSync(less)
        .find((file) => file.startsWith('oxws-darwin-arm64'));
      fs.rmSync(path.join(less, name));
      const { code, output } = await publish(less);
      assert.equal(code, 1);
      assert.match(output, /has no oxws-darwin-arm64/);
      assert.deepEqual(registry.names, []);
    });

    it('not under a tag of another version', async () => {
      const { code, output } = await publish(dist, {
        GITHUB_REF_TYPE: 'tag',
        GITHUB_REF_NAME: 'v77.0.0',
      });
      assert.equal(code, 1);
      assert.match(output, /the tag is v77\.0\.0/);
      assert.deepEqual(registry.names, []);
    });
  });

  describe('has a version', () => {
    /** The files of a checkout that have the version, and the script that writes it. */
    const FILES =
      /^(Cargo\.(toml|lock)|package(-lock)?\.json|(npm|oxws8)\/.*package\.json|scripts\/set-version\.js)$/;

    /** What each part of the project says that the version is. */
    function versions(at) {
      const read = (file) => fs.readFileSync(path.join(at, file), 'utf8');
      const json = (file) => JSON.parse(read(file));
      const lock = json('package-lock.json');
      return [
        json('package.json').version,
        lock.version,
        lock.packages[''].version,
        json('oxws8/package.json').dependencies.oxws,
        ...PLATFORMS.map((name) => json(`npm/${name}/package.json`).version),
        read('Cargo.toml').match(/^version = "(.+)"$/m)[1],
        ...Array.from(
          read('Cargo.lock').matchAll(/name = "oxws.*"\nversion = "(.+)"/g),
          ([, version]) => version,
        ),
      ];
    }

    it('that all parts have', () => {
      const [first, ...others] = versions(root);
      assert.deepEqual(new Set(others), new Set([first]));
    });

    it('that is written everywhere at once', async () => {
      const checkout = path.join(folder, 'versions');
      copyTracked(FILES, checkout);
      const { version } = require('../../oxws8/package.json');
      const { code, output } = await run(
        path.join(checkout, 'scripts', 'set-version.js'),
        ['77.1.0-beta.1'],
      );
      assert.equal(code, 0, output);
      assert.deepEqual(new Set(versions(checkout)), new Set(['77.1.0-beta.1']));
      const { version: next } = JSON.parse(
        fs.readFileSync(path.join(checkout, 'oxws8', 'package.json'), 'utf8'),
      );
      const [major, minor, patch] = version.split('.');
      assert.equal(next, `${major}.${minor}.${Number(patch) + 1}`);
    });
  });
});
