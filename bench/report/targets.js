'use strict';

// The table of targets.

const targets = require('../targets');
const { bytes, number, ratio } = require('./figures');
const table = require('./table');

/** The names of figures that are compared with those of a peer. */
const FIGURES = {
  perSecond: '',
  p50: ', p50',
  cpu: ', CPU',
  mainCpu: '',
  wireBytes: ', compressed size',
  memory: '',
  memoryAfterChurn: ', after churn',
};

/** The figures of oxws alone: how they are formatted, and their names. */
const OWN = {
  memory: { format: bytes, name: '' },
  descriptors: { format: number, name: ' descriptors' },
  descriptorsAfterChurn: { format: number, name: ' descriptors after churn' },
};

/** Returns the `text` of a target for the table, and whether it is `reached`. */
function judge(ask, ours, all, scenario) {
  if (ask.most === undefined) return judgeRatio(ask, ours, all, scenario);
  return ask.from ? judgeGrowth(ask, ours) : judgeFigure(ask, ours);
}

/** Judges the ratio of a figure of oxws and that of a peer. */
function judgeRatio({ figure, than, least, isLess }, ours, all, scenario) {
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
  return marked(text, reached);
}

/** Judges the growth of memory from before the churn. */
function judgeGrowth({ figure, from, most }, ours) {
  const value = ours[figure] / ours[from];
  return marked(
    `${ratio(value)} × after churn (≤ ${ratio(most)})`,
    value <= most,
  );
}

/** Judges a figure of oxws. */
function judgeFigure({ figure, most }, ours) {
  const { format, name } = OWN[figure];
  // A process may open a descriptor that belongs to no connection.
  const value = Math.round(ours[figure] * 100) / 100;
  return marked(`${format(value)}${name} (≤ ${format(most)})`, value <= most);
}

const marked = (text, reached) => ({
  text: reached ? text : `**${text}**`,
  reached,
});

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
