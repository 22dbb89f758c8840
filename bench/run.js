'use strict';

// npm run bench              the most important scenarios, in under three minutes
// npm run bench:full         all scenarios; writes bench/results and README's table
// node bench/run.js smoke    checks in seconds that everything works
// node bench/run.js render   writes the reports of the last full run again
//
// --only TEXT selects the scenarios whose ID starts with TEXT. --peers A,B selects
// peers.

const { spawnSync } = require('child_process');
const fs = require('fs');
const path = require('path');

const isInstalled = require('../scripts/installed');

const root = path.join(__dirname, '..');
const results = path.join(__dirname, 'results');

/**
 * The number of `rounds` and, in seconds, how long each peer is loaded when it starts
 * (`settle`), before each measurement (`warmUp`) and during it (`seconds`).
 */
const EXTENTS = {
  full: { rounds: 3, settle: 0.5, warmUp: 0.1, seconds: 0.25 },
  quick: { rounds: 3, settle: 0.4, warmUp: 0.1, seconds: 0.25 },
  smoke: { rounds: 1, settle: 0.05, warmUp: 0.05, seconds: 0.1 },
};

/** Runs a command. If it fails, ends this process unless `mayFail` is true. */
function run(command, args, mayFail) {
  const { status } = spawnSync(command, args, {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    shell: process.platform === 'win32',
  });
  if (status !== 0 && !mayFail) process.exit(status || 1);
}

/** Installs the peers and builds oxws and the load generator, if needed. */
function prepare() {
  run(process.execPath, [path.join(root, 'scripts', 'setup.js')]);
  if (!isInstalled(__dirname)) {
    run('npm', ['ci', '--no-fund', '--no-audit', '--prefix', __dirname], true);
  }
  run('cargo', ['build', '--quiet', '--release', '-p', 'oxws-bench-load']);
}

function optionsOf(args) {
  const options = { extent: 'quick', only: '', peers: null };
  for (let at = 0; at < args.length; at++) {
    if (args[at] === '--only') options.only = args[++at];
    else if (args[at] === '--peers') options.peers = args[++at].split(',');
    else if (args[at] in EXTENTS) options.extent = args[at];
    else throw new Error(`unknown: ${args[at]}`);
  }
  return options;
}

/**
 * Returns what does not work: scenarios in which oxws fails, and peers that fail in all
 * of their scenarios. A peer may fail in some.
 */
function failures({ scenarios, peers }) {
  const failed = [];
  for (const id of Object.keys(peers)) {
    const taken = scenarios.filter((scenario) => id in scenario.peers);
    const broken = taken.filter((scenario) => scenario.peers[id].error);
    const isOurs = id.startsWith('oxws') || id === 'limit';
    if (broken.length > 0 && (isOurs || broken.length === taken.length)) {
      for (const { id: name } of broken) failed.push(`${id}: ${name}`);
    }
  }
  return failed;
}

async function main() {
  if (process.argv[2] === 'render') {
    const last = fs.readFileSync(path.join(results, 'full.json'));
    require('./report').write(JSON.parse(last), results, root);
    return;
  }
  const { extent, only, peers: wanted } = optionsOf(process.argv.slice(2));
  prepare();
  const { available } = require('./peers');
  const { machine, measure } = require('./measure');
  const scenarios = require('./scenarios');
  const { summary } = require('./statistics');
  const report = require('./report');

  const peers = available();
  for (const id of Object.keys(peers)) {
    if (wanted && !wanted.includes(id) && id !== 'limit') delete peers[id];
  }
  const list = scenarios[extent]().filter(({ id }) => id.startsWith(only));
  if (extent === 'full' && scenarios.shortage) console.log(scenarios.shortage);
  const began = Date.now();
  const measured = [];
  for (const [number, scenario] of list.entries()) {
    console.log(
      `\n[${number + 1}/${list.length}] ${scenario.group}: ${scenario.title}`,
    );
    const outcome = await measure(scenario, peers, EXTENTS[extent]);
    const byPeer = {};
    for (const [id, { runs, error }] of Object.entries(outcome)) {
      const figures = error ? { error } : summary(runs);
      byPeer[id] = Object.assign(figures, { runs });
      console.log(report.line(peers[id], scenario, figures));
    }
    const { id, group, title, unit, plan, isMemory = false } = scenario;
    measured.push({ id, group, title, unit, plan, isMemory, peers: byPeer });
  }
  const all = {
    date: new Date(began).toISOString(),
    minutes: Math.round((Date.now() - began) / 6e3) / 10,
    extent,
    machine: machine(),
    peers: Object.fromEntries(
      Object.values(peers).map(({ id, title, version }) => [
        id,
        { title, version },
      ]),
    ),
    scenarios: measured,
  };
  if (extent === 'smoke') {
    const failed = failures(all);
    console.log(`\n${measured.length} scenarios, ${failed.length} failures`);
    for (const failure of failed) console.log(`  ${failure}`);
    process.exitCode = failed.length === 0 ? 0 : 1;
  } else if (!only && !wanted) {
    report.write(all, results, root);
  }
}

main();
