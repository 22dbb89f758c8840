'use strict';

const { execFileSync } = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');

const platform = require('../../lib/platform');

const root = path.join(__dirname, '..', '..');

/** What is published for this platform, packed. */
class Tarballs {
  constructor() {
    this.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'oxws-packed-'));
    const output = execFileSync(
      process.execPath,
      [path.join(root, 'scripts', 'pack.js'), this.folder],
      { encoding: 'utf8' },
    );
    this.files = output.trim().split('\n');
    /** The package `oxws`. */
    this.oxws = this.#find(/^oxws-\d/);
    /** The package `oxws8`. */
    this.oxws8 = this.#find(/^oxws8-\d/);
    /** The package with the binary, and its name. */
    this.platform = `oxws-${platform()}`;
    this.binary = this.#find(new RegExp(`^${this.platform}-\\d`));
  }

  #find(pattern) {
    return this.files.find((file) => pattern.test(path.basename(file)));
  }

  /** The files in a tarball, without the folder `package` that they are in. */
  static list(file) {
    const list = execFileSync('tar', ['-tzf', file], { encoding: 'utf8' });
    return list
      .trim()
      .split('\n')
      .map((name) => name.replace('package/', ''))
      .sort();
  }

  /** One file of a tarball. */
  static read(file, name) {
    return execFileSync('tar', ['-xzOf', file, `package/${name}`], {
      maxBuffer: 64 * 1024 * 1024,
    });
  }

  /** Lays a tarball's files into a folder, as an installation does. */
  static unpack(file, folder) {
    fs.mkdirSync(folder, { recursive: true });
    execFileSync('tar', ['-xzf', file, '-C', folder, '--strip-components=1']);
  }

  remove() {
    fs.rmSync(this.folder, { recursive: true });
  }
}

module.exports = Tarballs;
