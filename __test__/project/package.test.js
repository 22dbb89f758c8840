'use strict';

const assert = require('node:assert/strict');
const { execFileSync, spawnSync } = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');

const root = path.join(__dirname, '..', '..');
const fixtures = path.join(__dirname, 'app');

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

  /** An app that has the package installed under `name`. */
  function install(name) {
    const app = path.join(folder, `app-${name}`);
    fs.cpSync(fixtures, app, { recursive: true });
    for (const file of fs.readdirSync(app)) {
      const text = fs.readFileSync(path.join(app, file), 'utf8');
      fs.writeFileSync(path.join(app, file), text.replaceAll('NAME', name));
    }
    const [main, platform] = tarballs;
    npm(
      [
        'install',
        '--prefer-offline',
        '--no-save',
        `${name}@file:${main}`,
        platform,
      ],
      app,
    );
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

  for (const name of ['oxws', 'ws']) {
    describe(`installed as ${name}`, () => {
      let app;

      before(() => {
        app = install(name);
      });

      for (const file of ['app.js', 'app.mjs']) {
        it(`echoes in ${file}`, () => {
          const output = execFileSync(process.execPath, [file], {
            cwd: app,
            encoding: 'utf8',
          });
          assert.equal(output, 'Hello\n');
        });
      }

      it('compiles and echoes in TypeScript, with the types that it brings', () => {
        execFileSync(
          process.execPath,
          [require.resolve('typescript/bin/tsc')],
          { cwd: app, encoding: 'utf8' },
        );
        for (const file of ['typed.js', 'typed-module.mjs', 'readme.js']) {
          const output = execFileSync(process.execPath, [file], {
            cwd: path.join(app, 'out'),
            encoding: 'utf8',
          });
          assert.equal(output, 'Hello\n');
        }
      });
    });
  }

  it('says what is wrong if no binary loads', () => {
    const app = install('broken');
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
