'use strict';

const fs = require('fs');
const path = require('path');

const line = require('./line');
const { losses, markdown, setting } = require('./markdown');
const chart = require('./svg');
const targets = require('../targets');
const targetTable = require('./targets');

const BEGIN = '<!-- bench: written by npm run bench:full -->';
const END = '<!-- bench: end -->';

/** Writes all that was measured to a folder, and README's part of it. */
function write(all, folder, root) {
  const { extent } = all;
  fs.mkdirSync(folder, { recursive: true });
  const file = (name) => path.join(folder, name);
  fs.writeFileSync(file(`${extent}.json`), `${JSON.stringify(all, null, 1)}\n`);
  fs.writeFileSync(file(`${extent}.md`), markdown(all));
  if (extent !== 'full') {
    console.log(`\n${setting(all)}\n\n${targetTable(all)}`);
    console.log(`\nBehind:\n${losses(all)}`);
    return;
  }
  for (const id of new Set(targets.map(({ scenario }) => scenario))) {
    const scenario = all.scenarios.find((each) => each.id === id);
    if (scenario)
      fs.writeFileSync(file(`${id}.svg`), chart(scenario, all.peers));
  }
  writeReadme(all, path.join(root, 'README.md'));
}

/** Writes the results between README's marks. */
function writeReadme(all, file) {
  const readme = fs.readFileSync(file, 'utf8');
  const [before, rest] = readme.split(BEGIN);
  if (rest === undefined) return;
  const after = rest.split(END)[1];
  const text = [
    BEGIN,
    setting(all),
    targetTable(all),
    `oxws is behind a peer in these scenarios:\n\n${losses(all)}`,
    END,
  ].join('\n\n');
  fs.writeFileSync(file, `${before}${text}${after}`);
}

module.exports = { line, write };
