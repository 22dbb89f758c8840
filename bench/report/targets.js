'use strict';

// The table of targets.

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

/** Returns the `text` of a target for the table, and whether it is `reached`. */
function judge({ figure, than, least, isLess }, ours, all, scenario) {
  const theirs = scenario.peers[than];
  if (!theirs || theirs.error) return null;
  const value = isLess
    ? theirs[figure] / ours[figure]
    : ours[figure] / theirs[figure];
  const reached = value >= least;
  // If less is better, both numbers are shown as ours divided by theirs.
  const shown = isLess ? 1 / value : value;
  const bound = isLess ? `≤ ${ratio(1 / least)}` : `≥ ${ratio(least)}`;
  const text = `${ratio(shown)} × ${all.peers[than].title}${FIGURES[figure]} (${bound})`;
  return { text: reached ? text : `**${text}**`, reached };
}

/**
 * Returns the table as Markdown. Targets that are not reached are bold, and a list of
 * their limits follows.
 */
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
  const head = ['scenario', 'measured (target)', 'reached'];
  return [table(head, rows), ...notes].join('\n').replace('|\n-', '|\n\n-');
}

module.exports = targetTable;
