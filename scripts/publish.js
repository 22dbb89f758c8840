'use strict';

// Publishes the tarballs that `npm run pack -- FOLDER --all` made.
//
//   npm run publish:packed -- FOLDER
//
// Publishes nothing unless all packages exist and have the same version, which is that
// of the tag. The binaries are published first, and oxws and oxws8 last, so that the
// dependencies of a published version exist. After a failure, run it again: packages
// that are already published are skipped.
//
// NPM_TOKEN is an access token of npm. Without it, npm uses the account that is logged
// in, or the identity of the workflow, if npm trusts it.

const { execFileSync, spawnSync } = require('child_process');
const fs = require('fs');
const path = require('path');

const root = path.join(__dirname, '..');

/** Returns the content of the package.json in a tarball. */
function manifestOf(file) {
  const text = execFileSync('tar', ['-xzOf', file, 'package/package.json']);
  return JSON.parse(text);
}

/** Returns all packages, in the order in which they are published. */
function packages(folder) {
  const found = new Map();
  for (const name of fs.readdirSync(folder)) {
    if (!name.endsWith('.tgz')) continue;
    const file = path.resolve(folder, name);
    const manifest = manifestOf(file);
    if (found.has(manifest.name)) {
      throw new Error(`${folder} has ${manifest.name} twice`);
    }
    found.set(manifest.name, { file, manifest });
  }

  const platforms = fs.readdirSync(path.join(root, 'npm'));
  const names = [...platforms.map((name) => `oxws-${name}`), 'oxws', 'oxws8'];
  const missing = names.filter((name) => !found.has(name));
  if (missing.length > 0) {
    throw new Error(`${folder} has no ${missing.join(', ')}`);
  }
  return names.map((name) => found.get(name));
}

/**
 * Throws unless all packages have the same version, and the tag, if any, has it too.
 */
function verify(all) {
  const oxws = all.find(({ manifest }) => manifest.name === 'oxws').manifest;
  const { version } = oxws;
  for (const { manifest } of all) {
    const { name, dependencies = {} } = manifest;
    const found = name === 'oxws8' ? dependencies.oxws : manifest.version;
    if (found !== version) {
      throw new Error(`${name} belongs to oxws ${found}, not ${version}`);
    }
  }
  const { GITHUB_REF_TYPE, GITHUB_REF_NAME: tag } = process.env;
  if (GITHUB_REF_TYPE === 'tag' && tag !== `v${version}`) {
    throw new Error(`the tag is ${tag}, and the version ${version}`);
  }
}

function npm(args, options) {
  return spawnSync('npm', args, {
    encoding: 'utf8',
    shell: process.platform === 'win32',
    ...options,
  });
}

/** Returns the environment for npm. It contains the token, so that no file has to. */
function withToken() {
  const { NPM_TOKEN } = process.env;
  if (!NPM_TOKEN) return process.env;
  const registry = npm(['config', 'get', 'registry']).stdout.trim();
  const { host, pathname } = new URL(registry);
  const key = `npm_config_//${host}${pathname}:_authToken`;
  return { ...process.env, [key]: NPM_TOKEN };
}

function isPublished({ name, version }, env) {
  const { status, stdout } = npm(
    ['view', `${name}@${version}`, 'version', '--prefer-online'],
    { env },
  );
  return status === 0 && stdout.trim() === version;
}

function publish({ file, manifest }, env) {
  const args = ['publish', file, '--access', 'public'];
  if (manifest.version.includes('-')) args.push('--tag', 'next');
  if (process.env.GITHUB_ACTIONS) args.push('--provenance');
  const { status } = npm(args, { env, stdio: 'inherit' });
  if (status !== 0) throw new Error(`${manifest.name} was not published`);
}

function main() {
  const [folder] = process.argv.slice(2);
  if (!folder) {
    console.error('usage: npm run publish:packed -- FOLDER');
    process.exit(2);
  }
  const all = packages(folder);
  verify(all);
  const env = withToken();
  for (const each of all) {
    const { name, version } = each.manifest;
    if (isPublished(each.manifest, env)) {
      console.log(`${name}@${version} is published already`);
    } else {
      publish(each, env);
      console.log(`${name}@${version} is published`);
    }
  }
}

try {
  main();
} catch (error) {
  console.error(`oxws: ${error.message}`);
  process.exitCode = 1;
}
