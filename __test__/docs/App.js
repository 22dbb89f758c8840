'use strict';

const { spawn } = require('child_process');
const { once } = require('events');
const fs = require('fs');
const net = require('net');
const os = require('os');
const path = require('path');

const Document = require('./Document');

const root = path.join(__dirname, '..', '..');

/** What the programs of the documents may require, and where it is. */
const MODULES = {
  oxws: root,
  oxws8: path.join(root, 'oxws8'),
  ws: path.join(root, 'oxws8'),
};

/** A TCP port of 127.0.0.1 that nobody listens to. */
async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/**
 * A folder with the files of a document, as in an app that has oxws installed. Documents
 * name plain ports, such as 8080; here each becomes one that is free.
 */
class App {
  /**
   * @param {string} document Its path, from the root.
   * @param {number[]} ports The ports that it names.
   * @param {string} [modules] A `node_modules` with packages of others, oxws among them.
   */
  static async create(document, ports = [8080], modules = null) {
    const app = new App();
    app.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'oxws-docs-'));
    app.ports = new Map();
    for (const port of ports) app.ports.set(port, await freePort());

    const { fences } = new Document(document);
    for (const { file, text } of fences) {
      if (file === null) continue;
      fs.writeFileSync(path.join(app.folder, file), app.#onFreePorts(text));
    }

    const own = path.join(app.folder, 'node_modules');
    if (modules !== null) {
      fs.symlinkSync(modules, own, 'junction');
      return app;
    }
    fs.mkdirSync(own);
    for (const [name, target] of Object.entries(MODULES)) {
      fs.symlinkSync(target, path.join(own, name), 'junction');
    }
    return app;
  }

  /** Whether a command of others is installed on this machine. */
  static has(command) {
    return (process.env.PATH || '')
      .split(path.delimiter)
      .some((folder) => fs.existsSync(path.join(folder, command)));
  }

  constructor() {
    /** The programs that run. */
    this.children = new Set();
  }

  #onFreePorts(text) {
    let changed = text;
    for (const [named, free] of this.ports) {
      changed = changed.replaceAll(new RegExp(`\\b${named}\\b`, 'g'), free);
    }
    return changed;
  }

  /** The port that stands for one that the document names. */
  port(named = 8080) {
    return this.ports.get(named);
  }

  /**
   * Changes what a file says of another machine, or what takes too long for a test: each
   * text that is named, which has to be there, becomes another.
   */
  edit(file, changes) {
    const target = path.join(this.folder, file);
    let text = fs.readFileSync(target, 'utf8');
    for (const [before, after] of Object.entries(changes)) {
      if (!text.includes(before)) throw new Error(`${file} has no ${before}`);
      text = text.replaceAll(before, after);
    }
    fs.writeFileSync(target, text);
  }

  /** Makes a package of the repository's node_modules known to the programs. */
  link(name) {
    const target = path.join(root, 'node_modules', name);
    const link = path.join(this.folder, 'node_modules', name);
    fs.mkdirSync(path.dirname(link), { recursive: true });
    fs.symlinkSync(target, link, 'junction');
  }

  /** Starts a program; what it prints is gathered in `output`. */
  start(file, { args = [], env = {}, command = process.execPath } = {}) {
    const child = spawn(command, [...(file ? [file] : []), ...args], {
      cwd: this.folder,
      // Programs resolve `oxws` from their own folder, not from where its link points.
      env: { ...process.env, NODE_OPTIONS: '--preserve-symlinks', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.children.add(child);
    child.output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (text) => {
        child.output += text;
        child.emit('output');
      });
    }
    child.once('close', () => this.children.delete(child));
    return child;
  }

  /** Runs a program to its end; what it printed. Fails if its exit code is not 0. */
  async run(file, options) {
    const child = this.start(file, options);
    const [code, signal] = await once(child, 'close');
    if (code !== 0) {
      throw new Error(`${file}: ${signal || code}\n${child.output}`);
    }
    return child.output;
  }

  /** Waits until a program that was started has printed what the pattern says. */
  async printed(child, pattern) {
    while (!pattern.test(child.output)) {
      if (child.exitCode !== null || child.signalCode !== null) {
        throw new Error(`ended before it printed ${pattern}:\n${child.output}`);
      }
      await Promise.race([once(child, 'output'), once(child, 'close')]);
    }
  }

  /** Ends a program, and waits for its end. */
  async stop(child, signal = 'SIGKILL') {
    if (!this.children.has(child)) return;
    child.kill(signal);
    await once(child, 'close');
  }

  /** Ends what still runs, and removes the folder. */
  async close() {
    for (const child of [...this.children]) await this.stop(child);
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}

module.exports = App;
