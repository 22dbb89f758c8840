'use strict';

// Packs what is published for this machine into a folder: the package itself, the one
// with the binary of this platform, and oxws8, which stands in for ws 8.
//
//   npm run pack -- FOLDER
//
// The package that is published differs from the repository's package.json: it asks
// for the platforms' packages, which are not there to install while it is developed,
// and has no scripts, since there is nothing to build.

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

/** Packs a folder; the path of the tarball. */
function pack(folder, destination) {
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

/** The package itself, as it is published. */
function packRoot(staging, destination) {
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
  for (const field of ['devDependencies', 'napi', 'scripts']) {
    delete published[field];
  }
  fs.writeFileSync(
    path.join(folder, 'package.json'),
    JSON.stringify(published, null, 2),
  );
  return pack(folder, destination);
}

/** The package with the binary of this platform. */
function packPlatform(staging, destination) {
  const built = (name) => path.join(root, `${manifest.name}.${name}.node`);
  const name = platforms.find((platform) => fs.existsSync(built(platform)));
  if (!name) throw new Error('there is no binary: npm run build');
  const folder = path.join(staging, name);
  fs.cpSync(path.join(root, 'npm', name), folder, { recursive: true });
  fs.copyFileSync(built(name), path.join(folder, path.basename(built(name))));
  return pack(folder, destination);
}

/** The package that stands in for ws 8. */
function packWs8(staging, destination) {
  const folder = path.join(staging, 'oxws8');
  fs.cpSync(path.join(root, 'oxws8'), folder, { recursive: true });
  fs.copyFileSync(path.join(root, 'LICENSE'), path.join(folder, 'LICENSE'));
  const asked = read(path.join(folder, 'package.json')).dependencies.oxws;
  if (asked !== manifest.version) {
    throw new Error(`oxws8 asks for oxws ${asked}, not ${manifest.version}`);
  }
  return pack(folder, destination);
}

function main() {
  const destination = path.resolve(process.argv[2] || 'dist');
  fs.mkdirSync(destination, { recursive: true });
  const staging = fs.mkdtempSync(path.join(os.tmpdir(), 'oxws-pack-'));
  try {
    console.log(packRoot(staging, destination));
    console.log(packPlatform(staging, destination));
    console.log(packWs8(staging, destination));
  } finally {
    fs.rmSync(staging, { recursive: true });
  }
}

main();
