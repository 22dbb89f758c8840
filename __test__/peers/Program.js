'use strict';

const { spawn } = require('child_process');
const { once } = require('events');

/** A peer that runs in a process of its own, and what it has printed. */
class Program {
  output = '';

  constructor(command, args, options = {}) {
    this.child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      ...options,
      env: { ...process.env, ...options.env },
    });
    this.ended = once(this.child, 'close');
    // A command that cannot be started has no output; `printed` fails.
    this.ended.catch((error) => (this.output += error));
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (text) => this.print(text));
    }
  }

  /** Adds what the peer has printed, or has told in another way. */
  print(text) {
    this.output += text;
    this.child.emit('output');
  }

  get hasEnded() {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** Resolves to the match, once the peer has printed what the pattern says. */
  async printed(pattern) {
    for (;;) {
      const found = pattern.exec(this.output);
      if (found !== null) return found;
      if (this.hasEnded) {
        throw new Error(`ended before it printed ${pattern}:\n${this.output}`);
      }
      await Promise.race([once(this.child, 'output'), this.ended]);
    }
  }

  /** The port that a server prints. */
  async port() {
    return Number((await this.printed(/^port: (\d+)$/m))[1]);
  }

  async stop() {
    this.child.kill('SIGKILL');
    await this.ended;
  }
}

module.exports = Program;
