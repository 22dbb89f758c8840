'use strict';

const { createHash } = require('crypto');
const { once } = require('events');
const fs = require('fs');
const http = require('http');
const path = require('path');

const Tarballs = require('../project/Tarballs');

const root = path.join(__dirname, '..', '..');

/** The folder of a package that the repository, or another package, depends on. */
const folderOf = (name, dependent = root) =>
  path.dirname(require.resolve(`${name}/package.json`, { paths: [dependent] }));

/** The packages of others that oxws depends on: types. */
function types() {
  const node = folderOf('@types/node');
  return [node, folderOf('@types/ws'), folderOf('undici-types', node)];
}

/** The packages of all platforms, without the binaries. */
function platforms() {
  const folder = path.join(root, 'npm');
  return fs.readdirSync(folder).map((name) => path.join(folder, name));
}

/**
 * A registry on 127.0.0.1, from which package managers install by name. It has the
 * packages of oxws as they are published, and their dependencies.
 */
class Registry {
  static async open() {
    const registry = new Registry();
    for (const folder of [...types(), ...platforms()]) registry.publish(folder);
    // One of them is that of this platform, now with its binary.
    registry.tarballs.files.forEach((file) => registry.#add(file));
    registry.server.listen(0, '127.0.0.1');
    await once(registry.server, 'listening');
    return registry;
  }

  constructor() {
    this.tarballs = new Tarballs();
    /** The packages: manifest and bytes of the tarball, by name. Each has one version. */
    this.packages = new Map();
    this.server = http.createServer((request, response) => {
      const [name, file] = decodeURIComponent(request.url.slice(1)).split(
        '/-/',
      );
      const found = this.packages.get(name);
      if (!found) response.writeHead(404).end('{}');
      else if (file) response.end(found.bytes);
      else response.end(JSON.stringify(this.#document(found)));
    });
  }

  /** Publishes the package in a folder. */
  publish(folder) {
    this.#add(Tarballs.pack(folder, this.folder('published')));
  }

  #add(file) {
    const manifest = JSON.parse(Tarballs.read(file, 'package.json'));
    const bytes = fs.readFileSync(file);
    this.packages.set(manifest.name, { manifest, bytes });
  }

  /** What a registry answers when it is asked for a package. */
  #document({ manifest, bytes }) {
    const { name, version } = manifest;
    const hash = (algorithm) => createHash(algorithm).update(bytes);
    const file = `${path.posix.basename(name)}-${version}.tgz`;
    const dist = {
      tarball: `${this.url}${name}/-/${file}`,
      shasum: hash('sha1').digest('hex'),
      integrity: `sha512-${hash('sha512').digest('base64')}`,
    };
    return {
      name,
      'dist-tags': { latest: version },
      // Package managers can refuse versions that are new.
      time: { [version]: '2020-01-01T00:00:00.000Z' },
      versions: { [version]: { ...manifest, dist } },
    };
  }

  get url() {
    return `http://127.0.0.1:${this.server.address().port}/`;
  }

  /** A folder that is removed when the registry is closed. */
  folder(name) {
    return path.join(this.tarballs.folder, name);
  }

  /** The variables with which npm installs from this registry. */
  get environment() {
    return {
      NO_PROXY: '127.0.0.1',
      npm_config_registry: this.url,
      npm_config_cache: this.folder('npm-cache'),
    };
  }

  async close() {
    this.server.close();
    this.server.closeAllConnections();
    await once(this.server, 'close');
    this.tarballs.remove();
  }
}

module.exports = Registry;
