'use strict';

const { spawn, spawnSync } = require('child_process');
const { once } = require('events');
const fs = require('fs');
const os = require('os');
const path = require('path');

const root = path.join(__dirname, '..', '..');
const requirements = path.join(__dirname, 'requirements.txt');

/** Python's packages are installed here, as those of a user. */
const base = path.join(root, 'target', 'autobahn', 'python');

const SUITE = 'autobahntestsuite==25.10.1';

/** Python looks here for packages, and prints what it has without delay. */
const environment = {
  ...process.env,
  PYTHONUSERBASE: base,
  PYTHONUNBUFFERED: '1',
  PYTHONWARNINGS: 'ignore',
};
// It would name wheels for other versions of Python.
delete environment.PIP_FIND_LINKS;

/** Returns the binaries that may be a Python 2.7: of the system, and of pyenv. */
function candidates() {
  const pyenv = process.env.PYENV_ROOT || path.join(os.homedir(), '.pyenv');
  const versions = path.join(pyenv, 'versions');
  const names = fs.existsSync(versions) ? fs.readdirSync(versions) : [];
  return [
    ...['python2.7', 'python2', 'python'],
    ...names
      .filter((name) => name.startsWith('2.7'))
      .map((name) => path.join(versions, name, 'bin', 'python2.7')),
  ];
}

/** Returns a Python 2.7 that can install packages, or undefined. */
function findPython() {
  const test = 'import pip, ssl, sys; sys.exit(sys.version_info[:2] != (2, 7))';
  return candidates().find(
    (python) => spawnSync(python, ['-c', test]).status === 0,
  );
}

/** Resolves to the port that a program prints. */
function portOf(child) {
  let output = '';
  return new Promise((resolve, reject) => {
    child.stdout.on('data', (text) => {
      output += text;
      const [, port] = /^port: (\d+)\n/m.exec(output) || [];
      if (port !== undefined) resolve(port);
    });
    child.on('close', () => reject(new Error(`has no port:\n${output}`)));
  });
}

/** Autobahn's test suite, installed in `target/`. */
class Suite {
  /** Why the suite cannot run, or null. */
  missing = null;

  /** Installs the suite if needed. */
  constructor() {
    this.python = findPython();
    if (this.python === undefined) {
      this.missing = 'there is no Python 2.7 with pip';
      return;
    }
    this.version = this.#version();
    if (this.version !== null) return;

    console.log(`Installing ${SUITE}`);
    const { status, stderr } = this.#pip(['--requirement', requirements]);
    const installed = status === 0 && this.#pip(['--no-deps', SUITE]);
    if (installed === false) {
      const lines = stderr.trim().split('\n');
      const error = lines.find((line) => /ERROR/.test(line));
      this.missing = `it cannot be installed (${error || lines.pop()})`;
      return;
    }
    this.version = this.#version();
    if (this.version === null) this.missing = `${SUITE} cannot be installed`;
  }

  #run(args) {
    return spawnSync(this.python, args, { encoding: 'utf8', env: environment });
  }

  #pip(args) {
    return this.#run(['-m', 'pip', 'install', '--user', '--quiet', ...args]);
  }

  /** Returns the version of the suite that is installed, or null. */
  #version() {
    const code = `import autobahntestsuite; print(autobahntestsuite.version)`;
    const { status, stdout } = this.#run(['-c', code]);
    return status === 0 ? stdout.trim() : null;
  }

  #wstest(mode, spec) {
    const file = path.join(spec.outdir, 'spec.json');
    fs.writeFileSync(file, JSON.stringify(spec));
    const args = ['-m', mode, '-s', file, '--webport=0'];
    return spawn(this.python, [path.join(__dirname, 'wstest.py'), ...args], {
      env: environment,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
  }

  /**
   * Runs cases, such as `1.*`, with a server or a client of oxws.
   *
   * @param {object} way The API, the role and the environment variables of oxws.
   * @param {string[]} cases
   * @returns {Promise<object>} Each case that has run, with its results.
   */
  async run({ api, role, env }, cases) {
    const outdir = fs.mkdtempSync(path.join(os.tmpdir(), 'oxws-autobahn-'));
    const children = [];
    const started = (child) => {
      children.push(child);
      child.ended = once(child, 'close');
      if (child.stdout) child.stdout.setEncoding('utf8');
      return child;
    };
    const node = (file, ...args) =>
      started(
        spawn(process.execPath, [path.join(__dirname, file), api, ...args], {
          env: { ...process.env, ...env },
          stdio: ['ignore', 'pipe', 'inherit'],
        }),
      );
    const wstest = (mode, spec) =>
      started(this.#wstest(mode, { outdir, cases, ...spec }));

    try {
      let last;
      if (role === 'server') {
        const port = await portOf(node('server.js'));
        const servers = [{ agent: 'oxws', url: `ws://127.0.0.1:${port}` }];
        last = wstest('fuzzingclient', { servers });
        last.stdout.resume();
      } else {
        const server = wstest('fuzzingserver', { url: 'ws://127.0.0.1:0' });
        last = node('client.js', await portOf(server));
      }
      await last.ended;
      const file = path.join(outdir, 'index.json');
      return JSON.parse(fs.readFileSync(file, 'utf8')).oxws;
    } finally {
      for (const child of children) {
        child.kill();
        await child.ended;
      }
      fs.rmSync(outdir, { recursive: true });
    }
  }
}

module.exports = Suite;
