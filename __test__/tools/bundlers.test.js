'use strict';

// The recipes of docs/bundlers.md, as they stand there.

const assert = require('node:assert/strict');
const { exec } = require('child_process');
const fs = require('fs');
const path = require('path');
const { promisify } = require('util');

const Document = require('../docs/Document');
const Tarballs = require('../project/Tarballs');
const Recipe = require('./Recipe');
const Registry = require('./Registry');
const tools = require('./tools');

/** The programs that are bundled, and what each of them requires. */
const PROGRAMS = {
  oxws: { folder: 'app', requires: 'oxws' },
  'oxws-ws8': { folder: 'app8', requires: 'oxws/ws8' },
  ws: { folder: 'app8', requires: 'ws' },
};

/** What is installed where a bundle runs: the fences of the document, in their order. */
const [OXWS, WS, BINARY] = new Document('docs/bundlers.md')
  .fencesOf('Where the bundle runs')
  .map(({ text }) => text.trim());

/** The recipes, with their files and what they need where the bundle runs. */
const RECIPES = {
  esbuild: [
    { title: 'outside', beside: [OXWS, WS] },
    { title: 'outside, as an ECMAScript module', beside: [OXWS, WS] },
    { title: 'inside', beside: [] },
    { title: 'inside, as an ECMAScript module', beside: [] },
  ],
  webpack: [
    { title: 'outside', files: ['webpack.config.js'], beside: [OXWS, WS] },
    { title: 'inside', files: ['webpack.inside.js'], beside: [] },
  ],
  rollup: [
    { title: 'outside', files: ['rollup.config.mjs'], beside: [OXWS, WS] },
    {
      title: 'inside',
      files: ['rollup.inside.mjs'],
      beside: [BINARY],
      banner: /import { createRequire }[^;]+;\s+const require = [^;]+;/,
    },
  ],
  vite: [
    { title: 'outside', beside: [OXWS, WS] },
    {
      title: 'outside, where all is inside',
      files: ['vite.config.mjs'],
      beside: [OXWS, WS],
    },
    { title: 'inside', files: ['vite.inside.mjs'], beside: [BINARY] },
  ],
  ncc: [{ title: 'inside', beside: [] }],
};

/** What bundlers say to the binary when no recipe tells them what it is. */
const WITHOUT = {
  esbuild: {
    recipe: 2,
    less: ' --loader:.node=copy',
    says: /No loader is configured for "\.node" files/,
  },
  webpack: {
    recipe: 1,
    less: /{ test: [^}]+ }/,
    says: /You may need an appropriate loader to handle this file type/,
  },
  rollup: {
    recipe: 1,
    less: 'external: /^oxws-/,',
    says: /you need plugins to import files that are not JavaScript/,
  },
  vite: {
    recipe: 2,
    less: 'external: /^oxws-/',
    says: /Could not load node_modules.+\.node/,
  },
};

/** The first major version of Node.js that a bundler runs on, where it does not run on all. */
const RUNS_ON = { ncc: 20, vite: 20 };

/** What the loader says to a package or file that is not there. */
const LOST = /Cannot find module|cannot open|no such file/i;

const PATH = [path.dirname(process.execPath), tools.commands, process.env.PATH];

const env = {
  ...process.env,
  FORCE_COLOR: '0',
  NO_COLOR: '1',
  PATH: PATH.join(path.delimiter),
};

/** Runs a command line: what it printed, and whether it failed. */
async function run(command, cwd, more = {}) {
  const options = { cwd, env: { ...env, ...more } };
  try {
    return await promisify(exec)(command, options);
  } catch (error) {
    return error;
  }
}

/** Runs a command line that is not to fail; what it printed. */
async function succeed(command, cwd, more) {
  const { code, stdout, stderr } = await run(command, cwd, more);
  assert.equal(code, undefined, `${command}\n${stdout}${stderr}`);
  return stdout;
}

describe('Bundlers', function () {
  this.timeout(60000);

  before(tools.install);

  let registry;
  /** What is bundled: the programs, and the packages that they require. */
  let sources;
  let count = 0;

  before(async () => {
    registry = await Registry.open();
    const { tarballs } = registry;
    sources = folder();
    for (const [name, { folder, requires }] of Object.entries(PROGRAMS)) {
      for (const type of ['js', 'mjs']) {
        const file = path.join('..', 'project', folder, `app.${type}`);
        const text = fs.readFileSync(path.join(__dirname, file), 'utf8');
        const program = text.replaceAll('NAME', requires);
        fs.writeFileSync(path.join(sources, `${name}.${type}`), program);
      }
    }
    for (const [name, file] of [
      ['oxws', tarballs.oxws],
      ['ws', tarballs.oxws8],
      [tarballs.platform, tarballs.binary],
    ]) {
      Tarballs.unpack(file, path.join(sources, 'node_modules', name));
    }
  });

  after(() => registry && registry.close());

  /** An empty folder. */
  function folder() {
    const made = registry.folder(`bundle-${count++}`);
    fs.mkdirSync(made);
    fs.writeFileSync(path.join(made, 'package.json'), '{ "private": true }');
    return made;
  }

  /** A folder where a bundle can be made of some of the programs. */
  function prepare(recipe, programs) {
    const made = folder();
    fs.cpSync(sources, made, { recursive: true });
    for (const { file, text } of recipe.files) {
      fs.writeFileSync(path.join(made, file), text);
    }
    for (const tool of recipe.tools) tools.link(tool, made);
    const isModule = recipe.entry.endsWith('.mjs');
    const load = (name) =>
      isModule ? `import './${name}.mjs';` : `require('./${name}.js');`;
    const text = programs.map(load).join('\n');
    fs.writeFileSync(path.join(made, recipe.entry), text);
    return made;
  }

  /** Bundles programs by a recipe; the folder with the bundle. */
  async function bundle(recipe, programs = Object.keys(PROGRAMS)) {
    const made = prepare(recipe, programs);
    for (const command of recipe.commands) await succeed(command, made);
    return path.join(made, 'dist');
  }

  /** The folders that packages were installed in, by the command lines. */
  const installed = new Map();

  async function install(lines) {
    const made = folder();
    const { tarballs, environment } = registry;
    for (const line of lines) {
      const command = line.replace('oxws-linux-x64-gnu', tarballs.platform);
      await succeed(`${command} --no-audit --no-fund`, made, environment);
    }
    return made;
  }

  /** A folder with a copy of a bundle, and what command lines install beside it. */
  async function deploy(dist, lines) {
    const key = lines.join('\n');
    if (!installed.has(key)) installed.set(key, await install(lines));
    const made = installed.get(key);
    const copy = path.join(made, 'dist');
    fs.rmSync(copy, { recursive: true, force: true });
    fs.cpSync(dist, copy, { recursive: true });
    return made;
  }

  /** Runs a bundle. */
  function start(deployed) {
    const file = fs
      .readdirSync(path.join(deployed, 'dist'))
      .find((name) => /^(app|index)\.m?js$/.test(name));
    return run(`node ${path.join('dist', file)}`, deployed);
  }

  /** Removes the copies of the binary that a bundler made. */
  function loseBinaries(deployed) {
    const dist = path.join(deployed, 'dist');
    for (const name of fs.readdirSync(dist)) {
      if (name.endsWith('.node')) fs.rmSync(path.join(dist, name));
    }
  }

  async function assertEchoes(deployed, times) {
    const { stdout, stderr } = await start(deployed);
    assert.equal(stdout, 'Hello\n'.repeat(times), stderr);
  }

  /** That a bundle fails to load the addon, and says what to do about it. */
  async function assertAdvises(deployed, answer) {
    const { code, stderr } = await start(deployed);
    assert.equal(code, 1);
    assert.match(stderr, /ERR_OXWS_NO_BINARY/);
    const [, answered] = stderr.match(/^ {2}answer: +(.+)$/m) || [];
    assert.match(answered, answer);
    assert.match(stderr, /^oxws runs from a bundle, and its binary cannot be/m);
  }

  for (const [bundler, expected] of Object.entries(RECIPES)) {
    describe(bundler, () => {
      const recipes = Recipe.of(bundler);

      before(function () {
        const major = Number.parseInt(process.versions.node);
        if (major < RUNS_ON[bundler]) this.skip();
      });

      it('has these recipes', () => {
        const files = recipes.map(({ files }) => files.map(({ file }) => file));
        assert.deepEqual(
          files,
          expected.map(({ files = [] }) => files),
        );
      });

      expected.forEach(({ title, beside, banner }, number) => {
        describe(title, () => {
          let dist;

          before(async () => {
            dist = await bundle(recipes[number]);
          });

          it('echoes', async () => {
            await assertEchoes(await deploy(dist, beside), 3);
          });

          if (!title.startsWith('inside')) return;

          it('says that its binary is not there', async () => {
            const deployed = await deploy(dist, []);
            loseBinaries(deployed);
            await assertAdvises(deployed, LOST);
          });

          if (!banner) return;

          it('says without its banner that it has no require', async () => {
            const deployed = await deploy(dist, beside);
            const file = path.join(deployed, 'dist', 'app.mjs');
            const text = fs.readFileSync(file, 'utf8');
            assert.match(text, banner);
            fs.writeFileSync(file, text.replace(banner, ''));
            await assertAdvises(deployed, /require is not defined/);
          });
        });
      });

      const without = WITHOUT[bundler];
      if (!without) return;

      it('says without a recipe that it cannot bundle the binary', async () => {
        const recipe = recipes[without.recipe].replace(without.less, '');
        const made = prepare(recipe, ['ws']);
        const { code, stdout, stderr } = await run(recipe.commands[0], made);
        assert.equal(code, 1);
        assert.match(stdout + stderr, without.says);
      });
    });
  }

  describe('A bundle', () => {
    const [outside, , inside] = Recipe.of('esbuild');

    for (const [name, line] of [
      ['oxws', OXWS],
      ['oxws-ws8', OXWS],
      ['ws', WS],
    ]) {
      const { requires } = PROGRAMS[name];
      it(`of a program with ${requires} needs no more than: ${line}`, async () => {
        const dist = await bundle(outside, [name]);
        await assertEchoes(await deploy(dist, [line]), 1);
      });
    }

    it('may be minified', async () => {
      const minified = inside.replace('--bundle', '--bundle --minify');
      const dist = await bundle(minified);
      await assertEchoes(await deploy(dist, []), 3);
    });

    it('says that the binary was not installed where it was made', async () => {
      const made = prepare(inside, ['ws']);
      const { platform } = registry.tarballs;
      fs.rmSync(path.join(made, 'node_modules', platform), { recursive: true });
      await succeed(inside.commands[0], made);
      const deployed = await deploy(path.join(made, 'dist'), []);
      await assertAdvises(deployed, /Cannot find module/);
    });

    it('for browsers says that it is none for them', async () => {
      const made = prepare(inside.replace('--platform=node', ''), []);
      fs.writeFileSync(
        path.join(made, 'app.js'),
        ['oxws/ws8', 'ws']
          .map(
            (name) =>
              `try { require('${name}')(); } catch (e) { console.log(e.message); }`,
          )
          .join('\n'),
      );
      await succeed(inside.replace('--platform=node', '').commands[0], made);
      const { stdout } = await start(made);
      assert.match(stdout, /^(oxws is for Node\.js: in a browser .+\n){2}$/);
    });
  });
});
