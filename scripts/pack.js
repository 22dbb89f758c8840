'use strict';

// Packs the packages that are published, into a folder: those with binaries, oxws, and
// oxws8. The binaries have to be built before: npm run build makes that of this
// platform. Prints the path of each tarball.
//
//   npm run pack -- FOLDER           packs the binaries that exist, at least one
//   npm run pack -- FOLDER --all     fails unless all platforms have a binary
//
// The published package.json of oxws differs from that of the repository. It lists the
// packages with binaries as optional dependencies, which the repository could not
// install before they are published. It has no scripts, since there is nothing to
// build.

const { execFileSync } = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');

const root = path.join(__dirname, '..');
const manifest = read(path.join(root, 'package.json'));
const platforms = fs.readdirSync(path.join(root, 'npm'));

function read(file) {
  return JSON.parse(fs.readFileSync(file, 'utf8'));
}

/** Packs a folder with this package.json. Returns the path of the tarball. */
function pack(folder, published, destination) {
  const { GITHUB_REPOSITORY, GITHUB_SERVER_URL } = process.env;
  if (GITHUB_REPOSITORY) {
    // The provenance of a package has to name the repository that it comes from.
    published.repository = {
      type: 'git',
      url: `git+${GITHUB_SERVER_URL}/${GITHUB_REPOSITORY}.git`,
    };
  }
  fs.writeFileSync(
    path.join(folder, 'package.json'),
    JSON.stringify(published, null, 2),
  );
  const output = execFileSync(
    'npm',
    ['pack', '--json', '--ignore-scripts', '--pack-destination', destination],
    {
      cwd: folder,
      encoding: 'utf8',
      shell: process.platform === 'win32',
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  );
  const [{ filename }] = JSON.parse(output);
  return path.join(destination, filename);
}

/** Packs `oxws`. Returns the path of the tarball. */
function packOxws(staging, destination) {
  const folder = path.join(staging, 'root');
  for (const file of [...manifest.files, 'README.md', 'LICENSE']) {
    fs.cpSync(path.join(root, file), path.join(folder, file), {
      recursive: true,
    });
  }
  const published = Object.assign({}, manifest, {
    optionalDependencies: Object.fromEntries(
      platforms.map((name) => [`${manifest.name}-${name}`, manifest.version]),
    ),
  });
  for (const field of ['devDependencies', 'napi', 'overrides', 'scripts']) {
    delete published[field];
  }
  return pack(folder, published, destination);
}

/** Packs another folder of the repository, together with `files` of the root. */
function packFolder(name, files, staging, destination) {
  const folder = path.join(staging, name);
  fs.cpSync(path.join(root, name), folder, { recursive: true });
  for (const file of files) {
    fs.copyFileSync(path.join(root, file), path.join(folder, file));
  }
  return pack(folder, read(path.join(folder, 'package.json')), destination);
}

/** Returns the platforms that have a binary. With `isAll`, throws unless all have. */
function built(isAll) {
  const there = (name) => fs.existsSync(path.join(root, binaryOf(name)));
  const missing = platforms.filter((name) => !there(name)).map(binaryOf);
  if (isAll && missing.length > 0) {
    throw new Error(`there is no ${missing.join(', ')}`);
  }
  if (missing.length === platforms.length) {
    throw new Error('there is no binary: npm run build');
  }
  return platforms.filter(there);
}

function binaryOf(platform) {
  return `${manifest.name}.${platform}.node`;
}

function main() {
  const args = process.argv.slice(2);
  const [folder = 'dist'] = args.filter((arg) => arg !== '--all');
  const destination = path.resolve(folder);
  fs.mkdirSync(destination, { recursive: true });
  const staging = fs.mkdtempSync(path.join(os.tmpdir(), 'oxws-pack-'));
  try {
    for (const name of built(args.includes('--all'))) {
      const files = [binaryOf(name), 'LICENSE'];
      console.log(packFolder(`npm/${name}`, files, staging, destination));
    }
    console.log(packOxws(staging, destination));
    console.log(packFolder('oxws8', ['LICENSE'], staging, destination));
  } finally {
    fs.rmSync(staging, { recursive: true });
  }
}

main();
