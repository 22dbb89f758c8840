'use strict';

const { execFileSync } = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');

const platform = require('../../lib/platform');

const root = path.join(__dirname, '..', '..');

/** Packs what is published into a folder; the paths of the tarballs. */
function pack(folder) {
  const script = path.join(root, 'scripts', 'pack.js');
  const output = execFileSync(process.execPath, [script, folder], {
    encoding: 'utf8',
  });
  return output.trim().split('\n');
}

/** The tarballs in a folder. */
function find(folder) {
  return fs
    .readdirSync(folder)
    .filter((file) => file.endsWith('.tgz'))
    .map((file) => path.join(folder, file));
}

/**
 * What is published for this platform, packed. OXWS_TARBALLS names a folder that has it;
 * without it, it is packed here.
 */
class Tarballs {
  constructor() {
    const { OXWS_TARBALLS: packed } = process.env;
    /** A folder for a test, which `remove` removes. */
    this.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'oxws-packed-'));
    this.files = packed ? find(path.resolve(packed)) : pack(this.folder);
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

  /** Packs a package's folder as it is; the path of the tarball. */
  static pack(from, folder) {
    fs.mkdirSync(folder, { recursive: true });
    const staging = fs.mkdtempSync(path.join(folder, 'staging-'));
    const file = `${staging}.tgz`;
    const copy = path.join(staging, 'package');
    fs.cpSync(from, copy, { recursive: true, dereference: true });
    execFileSync('tar', ['-czf', file, '-C', staging, 'package']);
    fs.rmSync(staging, { recursive: true });
    return file;
  }

  remove() {
    fs.rmSync(this.folder, { recursive: true });
  }
}

module.exports = Tarballs;
