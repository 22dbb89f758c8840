'use strict';

const fs = require('fs');
const path = require('path');

const line = require('./line');
const { losses, markdown, setting } = require('./markdown');
const { memory, speed } = require('./readme');
const chart = require('./svg');
const targetTable = require('./targets');

// The results are written to README between these marks, where prettier leaves tables
// as they are.
const BEGIN = '<!-- prettier-ignore-start -->';
const END = '<!-- prettier-ignore-end -->';

/** The scenarios that are drawn as charts. README shows the first one. */
const CHARTS = [
  'echo-100-64b-16-text',
  'echo-100-64b-1-text',
  'echo-10-1m-1-binary',
  'deflate-1k-takeover',
  'broadcast-64b',
  'client-100-16',
];

/**
 * Writes all results to a folder; after a full run, also the charts and README's part.
 */
function write(all, folder, root) {
  const { extent } = all;
  fs.mkdirSync(folder, { recursive: true });
  const file = (name) => path.join(folder, name);
  fs.writeFileSync(file(`${extent}.json`), json(all));
  const charts = extent === 'full' ? charted(all) : [];
  fs.writeFileSync(file(`${extent}.md`), markdown(all, charts));
  if (extent !== 'full') {
    console.log(`\n${setting(all)}\n\n${targetTable(all)}`);
    console.log(`\nBehind:\n${losses(all)}`);
    return;
  }
  for (const scenario of charts) {
    const svg = chart(scenario, all.peers);
    fs.writeFileSync(file(`${scenario.id}.svg`), svg);
  }
  writeReadme(all, path.join(root, 'README.md'));
}

/** Formats the results as JSON: one line per scenario, and figures with four digits. */
function json(all) {
  const short = (key, value) =>
    typeof value === 'number' ? Number(value.toPrecision(4)) : value;
  const line = (value) => JSON.stringify(value, short);
  const { scenarios, ...rest } = all;
  const head = JSON.stringify(rest, null, 2).replace(/\n}$/, '');
  return `${head},\n  "scenarios": [\n${scenarios.map(line).join(',\n')}\n]}\n`;
}

const charted = ({ scenarios }) =>
  scenarios.filter(({ id }) => CHARTS.includes(id));

/** Writes the results between README's marks. */
function writeReadme(all, file) {
  const readme = fs.readFileSync(file, 'utf8');
  const [before, rest] = readme.split(BEGIN);
  if (rest === undefined) return;
  const after = rest.split(END)[1];
  const [shown] = CHARTS;
  const { group, title } = all.scenarios.find(({ id }) => id === shown);
  const text = [
    BEGIN,
    `![${group}: ${title}](bench/results/${shown}.svg)`,
    speed(all),
    'Memory of an idle connection:',
    memory(all),
    setting(all),
    END,
  ].join('\n\n');
  fs.writeFileSync(file, `${before}${text}${after}`);
}

module.exports = { line, write };
