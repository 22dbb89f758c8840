'use strict';

const assert = require('node:assert/strict');
const { execFileSync, spawnSync } = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');

const root = path.join(__dirname, '..', '..');

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

function npm(args, cwd) {
  return execFileSync('npm', args, {
    cwd,
    encoding: 'utf8',
    shell: process.platform === 'win32',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

describe('The published package', function () {
  this.timeout(120000);

  let folder;
  let tarballs;

  before(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'oxws-package-'));
    execFileSync(process.execPath, [
      path.join(root, 'scripts', 'pack.js'),
      folder,
    ]);
    tarballs = fs
      .readdirSync(folder)
      .filter((name) => name.endsWith('.tgz'))
      .sort() // Digits come before letters: the package itself is the first.
      .map((name) => path.join(folder, name));
  });

  after(() => fs.rmSync(folder, { recursive: true }));

  /** An app that has packages installed under these names. */
  function install({ asks, as, programs }, name) {
    const app = path.join(folder, name);
    fs.cpSync(path.join(__dirname, programs), app, { recursive: true });
    for (const file of fs.readdirSync(app)) {
      const text = fs.readFileSync(path.join(app, file), 'utf8');
      fs.writeFileSync(path.join(app, file), text.replaceAll('NAME', asks));
    }
    const [oxws, platform, oxws8] = tarballs;
    const files = { oxws, oxws8 };
    const specs = Object.entries(as).map(
      ([alias, name]) => `${alias}@file:${files[name]}`,
    );
    npm(['install', '--prefer-offline', '--no-save', ...specs, platform], app);
    return app;
  }

  it('is three tarballs: oxws, its binary, and oxws8', () => {
    const names = tarballs.map((file) => path.basename(file));
    assert.match(names[0], /^oxws-\d/);
    assert.match(names[1], /^oxws-[a-z]/);
    assert.match(names[2], /^oxws8-8\./);
    assert.equal(names.length, 3);
  });

  it('holds what is needed and no more', () => {
    const list = execFileSync('tar', ['-tzf', tarballs[0]], {
      encoding: 'utf8',
    });
    const allowed =
      /^package\/(index\.js|index\.d\.ts|wrapper\.mjs|wrapper\.d\.mts|native\.js|package\.json|README\.md|LICENSE|lib\/.+\.js|ws8\/[^/]+)$/;
    for (const file of list.trim().split('\n')) assert.match(file, allowed);
  });

  it('oxws8 holds a few lines of its own', () => {
    const list = execFileSync('tar', ['-tzf', tarballs[2]], {
      encoding: 'utf8',
    });
    const files = list.trim().split('\n').sort();
    assert.deepEqual(
      files.map((file) => file.replace('package/', '')),
      [
        'LICENSE',
        'README.md',
        'browser.js',
        'index.js',
        'package.json',
        'wrapper.mjs',
      ],
    );
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

  it('says what is wrong if no binary loads', () => {
    const app = install(INSTALLED[0], 'broken');
    fs.rmSync(
      path.join(
        app,
        'node_modules',
        fs
          .readdirSync(path.join(app, 'node_modules'))
          .find((name) => name.startsWith('oxws-')),
      ),
      { recursive: true },
    );
    const { status, stderr } = spawnSync(process.execPath, ['app.js'], {
      cwd: app,
      encoding: 'utf8',
    });
    assert.notEqual(status, 0);
    assert.match(
      stderr,
      new RegExp(
        `oxws has no native binary that loads on ${process.platform}-${process.arch}`,
      ),
    );
    assert.match(stderr, /Cannot find module/);
    assert.match(stderr, /npm install oxws-/);
    assert.match(stderr, /npm run build/);
  });
});
