'use strict';

// The table of what oxws is to reach.

const targets = require('../targets');
const { ratio } = require('./figures');
const table = require('./table');

const FIGURES = {
  perSecond: '',
  p50: ', p50',
  cpu: ', CPU',
  mainCpu: '',
  wireBytes: ', compressed size',
};

/** One thing that is asked: how it reads, and whether it is reached. */
function judge({ figure, than, least, isLess }, ours, all, scenario) {
  const theirs = scenario.peers[than];
  if (!theirs || theirs.error) return null;
  const value = isLess
    ? theirs[figure] / ours[figure]
    : ours[figure] / theirs[figure];
  const reached = value >= least;
  // Where less is better, both are told as the share that ours is of theirs.
  const shown = isLess ? 1 / value : value;
  const bound = isLess ? `≤ ${ratio(1 / least)}` : `≥ ${ratio(least)}`;
  const text = `${ratio(shown)} × ${all.peers[than].title}${FIGURES[figure]} (${bound})`;
  return { text: reached ? text : `**${text}**`, reached };
}

/** The rows, as Markdown; what is not reached is bold, and what limits it follows. */
function targetTable(all) {
  const notes = [];
  const rows = [];
  for (const {
    title,
    scenario: id,
    of = 'oxws-inline',
    asks,
    limit,
  } of targets) {
    const scenario = all.scenarios.find((each) => each.id === id);
    const ours = scenario && scenario.peers[of];
    if (!ours || ours.error) continue;
    const judged = asks
      .map((ask) => judge(ask, ours, all, scenario))
      .filter((each) => each !== null);
    const reached = judged.every((each) => each.reached);
    rows.push([
      title,
      judged.map(({ text }) => text).join('; '),
      reached ? 'yes' : 'no',
    ]);
    if (!reached && limit) notes.push(`- ${title}: ${limit}`);
  }
  const head = ['scenario', 'measured (asked)', 'reached'];
  return [table(head, rows), ...notes].join('\n').replace('|\n-', '|\n\n-');
}

module.exports = targetTable;
