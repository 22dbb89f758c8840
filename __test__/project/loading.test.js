'use strict';

const assert = require('node:assert/strict');
const { spawnSync } = require('child_process');
const fs = require('fs');
const path = require('path');

const platform = require('../../lib/platform');
const Tarballs = require('./Tarballs');

const NODE = Number(process.versions.node.split('.')[0]);

/** What a program prints that could load oxws. */
const LOADED = 'loaded\n';

const PROGRAM = `require('oxws'); console.log('loaded');`;

describe('Loading the addon', function () {
  this.timeout(60000);

  let tarballs;
  let app;
  /** The folder of the package with the binary. */
  let binary;
  let file;

  before(() => {
    tarballs = new Tarballs();
  });

  after(() => tarballs.remove());

  beforeEach(() => {
    app = fs.mkdtempSync(path.join(tarballs.folder, 'app-'));
    binary = path.join(app, 'node_modules', tarballs.platform);
    file = path.join(binary, `oxws.${platform()}.node`);
    Tarballs.unpack(tarballs.oxws, path.join(app, 'node_modules', 'oxws'));
    Tarballs.unpack(tarballs.binary, binary);
    fs.writeFileSync(path.join(app, 'app.js'), PROGRAM);
  });

  function run(args = [], options = {}) {
    return spawnSync(process.execPath, [...args, 'app.js'], {
      cwd: app,
      encoding: 'utf8',
      ...options,
    });
  }

  /** Runs a program before the app: it makes the process seem to be another. */
  function runAs(program, args = []) {
    fs.writeFileSync(path.join(app, 'as.js'), program);
    return run(['--require', './as.js', ...args]);
  }

  /** What a process reads that runs on another system. */
  const pretend = (system, arch, maps) => `
    const fs = require('fs');
    Object.defineProperty(process, 'platform', { value: '${system}' });
    Object.defineProperty(process, 'arch', { value: '${arch}' });
    const { readFileSync } = fs;
    fs.readFileSync = (path, ...rest) =>
      path === '/proc/self/maps' ? ${maps} : readFileSync(path, ...rest);
    process.report.getReport = () => ({ header: { ${
      maps.includes('throw') ? '' : `glibcVersionRuntime: '2.36'`
    } } });
  `;

  /** That the program failed, and what it said. */
  function assertFails({ status, stderr }, ...patterns) {
    assert.notEqual(status, 0, stderr);
    assert.match(stderr, /Error: oxws \S+ has no native binary that loads/);
    assert.match(stderr, new RegExp(`Node\\.js ${process.version}`));
    assert.match(stderr, /code: 'ERR_OXWS_NO_BINARY'/);
    for (const pattern of patterns) assert.match(stderr, pattern);
  }

  it('loads', () => {
    assert.equal(run().stdout, LOADED);
  });

  it('says that an optional dependency is not installed', () => {
    fs.rmSync(binary, { recursive: true });
    assertFails(
      run(),
      new RegExp(`platform: ${platform()}`),
      new RegExp(`tried: +${tarballs.platform}`),
      /answer: +Cannot find module/,
      /--omit=optional/,
      /npm\/cli\/issues\/4828/,
      new RegExp(`npm install ${tarballs.platform}@\\d`),
    );
  });

  it('says that node_modules is from another platform', () => {
    const other =
      platform() === 'darwin-arm64' ? 'oxws-darwin-x64' : 'oxws-darwin-arm64';
    fs.renameSync(binary, path.join(app, 'node_modules', other));
    assertFails(
      run(),
      new RegExp(`${tarballs.platform} is not installed, but ${other}`),
      /\.dockerignore/,
    );
  });

  it('says which platforms there are', () => {
    const other = pretend('freebsd', 'x64', `''`);
    assertFails(
      runAs(other),
      /platform: freebsd-x64/,
      /There are binaries for Linux/,
      /npm run build/,
    );
  });

  for (const [system, arch, maps, name] of [
    ['linux', 'x64', `'/lib/ld-musl-x86_64.so.1'`, 'linux-x64-musl'],
    ['linux', 'arm64', `'/lib/ld-musl-aarch64.so.1'`, 'linux-arm64-musl'],
    ['linux', 'arm64', `'/lib/libc.so.6'`, 'linux-arm64-gnu'],
    ['linux', 'riscv64', `'/lib/libc.so.6'`, 'linux-riscv64-gnu'],
    ['darwin', 'arm64', `''`, 'darwin-arm64'],
    ['win32', 'x64', `''`, 'win32-x64-msvc'],
    // Without /proc the report tells.
    ['linux', 'x64', `(() => { throw 0 })()`, 'linux-x64-musl'],
  ]) {
    it(`asks for the binary of ${name} (${maps})`, () => {
      fs.rmSync(binary, { recursive: true });
      assertFails(
        runAs(pretend(system, arch, maps)),
        new RegExp(`platform: ${name},`),
      );
    });
  }

  it('looks up no names of peers when it asks for a report', () => {
    const { stdout } = runAs(`
      const fs = require('fs');
      const { readFileSync } = fs;
      fs.readFileSync = (path, ...rest) => {
        if (path === '/proc/self/maps') throw new Error('there is no /proc');
        return readFileSync(path, ...rest);
      };
      const { getReport } = process.report;
      process.report.getReport = function () {
        console.log(process.report.excludeNetwork);
        return getReport.call(this);
      };
      process.on('exit', () => console.log(process.report.excludeNetwork));
    `);
    const before = process.report.excludeNetwork;
    const lines = platform().startsWith('linux') ? 'true\n' : '';
    assert.equal(stdout, `${lines}${LOADED}${before}\n`);
  });

  it('says that addons are not permitted', function () {
    const flag = NODE >= 23 ? '--permission' : '--experimental-permission';
    if (NODE < 20) return this.skip();
    assertFails(
      run([flag, '--allow-fs-read=*']),
      /run node with --allow-addons/i,
    );
    assert.match(
      run([flag, '--allow-fs-read=*', '--allow-addons']).stdout,
      /loaded/,
    );
  });

  it('says that addons are switched off', () => {
    assertFails(run(['--no-addons']), /without --no-addons/);
  });

  it('says that the binary is damaged', () => {
    fs.writeFileSync(file, 'no binary');
    assertFails(run(), /damaged/, /npm install --force/);
  });

  it('says that the binary is for another processor', function () {
    if (process.platform !== 'linux') this.skip();
    const bytes = fs.readFileSync(file);
    bytes.writeUInt16LE(0xf3, 0x12); // e_machine: RISC-V
    fs.writeFileSync(file, bytes);
    assertFails(run(), /for another processor/);
  });

  it('says that the glibc is too old', function () {
    if (!platform().endsWith('-gnu')) this.skip();
    const bytes = fs.readFileSync(file);
    const at = bytes.indexOf('GLIBC_2.14\0');
    assert.notEqual(at, -1);
    bytes.write('GLIBC_9.99', at);
    fs.writeFileSync(file, bytes);
    assertFails(run(), /GLIBC_9\.99' not found/, /needs glibc 2\.17/);
  });

  it('says that the binary is for another C library', function () {
    if (!platform().endsWith('-gnu')) this.skip();
    const bytes = fs.readFileSync(file);
    const library = 'ld-linux-x86-64.so.2\0';
    const at = bytes.indexOf(library);
    if (at === -1) this.skip();
    bytes.write('ld-musl-x86_64.so.1\0\0', at);
    fs.writeFileSync(file, bytes);
    assertFails(run(), /for another C library/);
  });

  it('says that the binary belongs to another version', () => {
    const manifest = path.join(app, 'node_modules', 'oxws', 'package.json');
    const text = fs.readFileSync(manifest, 'utf8');
    const { version } = JSON.parse(text);
    fs.writeFileSync(
      manifest,
      text.replace(`"version": "${version}"`, '"version": "77.0.0"'),
    );
    assertFails(
      run(),
      new RegExp(`is that of oxws ${version.replaceAll('.', '\\.')}`),
      new RegExp(`npm install ${tarballs.platform}@77\\.0\\.0`),
    );
  });

  it('says that a checkout is not built', () => {
    fs.rmSync(binary, { recursive: true });
    fs.writeFileSync(path.join(app, 'node_modules', 'oxws', 'Cargo.toml'), '');
    assertFails(run(), /checkout/, /npm run build/);
  });
});
