'use strict';

const assert = require('node:assert/strict');
const { execFileSync } = require('child_process');
const fs = require('fs');
const path = require('path');

const npm = require('./npm');
const Tarballs = require('./Tarballs');

/** What is installed under which name, and the programs that ask for it. */
const INSTALLED = [
  { title: 'oxws', asks: 'oxws', programs: 'app', as: { oxws: 'oxws' } },
  { title: 'oxws as ws', asks: 'ws', programs: 'app', as: { ws: 'oxws' } },
  {
    title: 'oxws, of which oxws/ws8 is asked for',
    asks: 'oxws/ws8',
    programs: 'app8',
    as: { oxws: 'oxws' },
  },
  {
    title: 'oxws8 as ws',
    asks: 'ws',
    programs: 'app8',
    as: { ws: 'oxws8', oxws: 'oxws' },
  },
];

describe('The published package', function () {
  this.timeout(120000);

  let tarballs;

  before(() => {
    tarballs = new Tarballs();
  });

  after(() => tarballs.remove());

  /** An app that has packages installed under these names. */
  function install({ asks, as, programs }, name) {
    const app = path.join(tarballs.folder, name);
    fs.cpSync(path.join(__dirname, programs), app, { recursive: true });
    for (const file of fs.readdirSync(app)) {
      const text = fs.readFileSync(path.join(app, file), 'utf8');
      fs.writeFileSync(path.join(app, file), text.replaceAll('NAME', asks));
    }
    const specs = Object.entries(as).map(
      ([alias, name]) => `${alias}@file:${tarballs[name]}`,
    );
    npm(
      [
        'install',
        '--ignore-scripts',
        '--no-save',
        '--prefer-offline',
        ...specs,
        tarballs.binary,
      ],
      app,
    );
    return app;
  }

  it('is three tarballs: oxws, its binary, and oxws8', () => {
    assert.equal(tarballs.files.length, 3);
    const { oxws, binary, oxws8 } = tarballs;
    assert.deepEqual(tarballs.files.sort(), [oxws, binary, oxws8].sort());
  });

  it('holds what is needed and no more', () => {
    const allowed =
      /^(index\.js|index\.d\.ts|wrapper\.mjs|wrapper\.d\.mts|package\.json|README\.md|LICENSE|lib\/.+\.js|ws8\/[^/]+)$/;
    const files = Tarballs.list(tarballs.oxws);
    for (const file of files) assert.match(file, allowed);
    assert.ok(files.includes('lib/native.js'));
  });

  it('has a binary of its own version, and nothing to run at installation', () => {
    const manifest = (file) => JSON.parse(Tarballs.read(file, 'package.json'));
    const oxws = manifest(tarballs.oxws);
    const binary = manifest(tarballs.binary);
    assert.equal(oxws.optionalDependencies[binary.name], oxws.version);
    assert.equal(binary.version, oxws.version);
    assert.equal(manifest(tarballs.oxws8).dependencies.oxws, oxws.version);
    assert.equal(oxws.scripts, undefined);
    assert.equal(binary.scripts, undefined);
  });

  it('oxws8 holds a few lines of its own', () => {
    assert.deepEqual(Tarballs.list(tarballs.oxws8), [
      'LICENSE',
      'README.md',
      'browser.js',
      'index.js',
      'package.json',
      'wrapper.mjs',
    ]);
  });

  INSTALLED.forEach((installed, number) => {
    describe(installed.title, () => {
      let app;

      before(() => {
        app = install(installed, `app-${number}`);
      });

      function run(args, cwd) {
        return execFileSync(process.execPath, args, { cwd, encoding: 'utf8' });
      }

      for (const file of ['app.js', 'app.mjs']) {
        it(`echoes in ${file}`, () => {
          assert.equal(run([file], app), 'Hello\n');
        });
      }

      if (installed.programs === 'app8') {
        it('says in a bundle for browsers that it is none for them', () => {
          const args = ['--conditions=browser', 'browser.js'];
          assert.equal(run(args, app), 'Hello\n');
        });
      }

      it('compiles and echoes in TypeScript, with the types that it brings', () => {
        run([require.resolve('typescript/bin/tsc')], app);
        const out = path.join(app, 'out');
        const compiled = fs
          .readdirSync(out)
          .filter((file) => /\.m?js$/.test(file));
        assert.ok(compiled.length >= 2);
        for (const file of compiled) {
          assert.equal(run([file], out), 'Hello\n', file);
        }
      });
    });
  });
});
