'use strict';

// Formats all figures as tables.

const { bytes, main, number, ratio, spread } = require('./figures');
const table = require('./table');
const targetTable = require('./targets');

/** Servers that are no alternative to oxws, so they are not compared. */
const LIMITS = ['limit', 'tls'];
const OURS = 'oxws-inline';

function measured(peers) {
  return Object.entries(peers).filter(([, figures]) => !figures.error);
}

/** Returns the ratio of the main figures of `ours` and `theirs`; more is better. */
const relation = (scenario, ours, theirs) =>
  scenario.isMemory
    ? main(scenario, theirs) / main(scenario, ours)
    : main(scenario, ours) / main(scenario, theirs);

/** Returns the best of the peers other than oxws, or null. */
function bestPeer(scenario) {
  const value = ([, figures]) => main(scenario, figures);
  // Connections may use memory that the process had before, so that the figure is 0 or
  // less. It is then ignored.
  const others = measured(scenario.peers).filter(
    (each) =>
      !each[0].startsWith('oxws') &&
      !LIMITS.includes(each[0]) &&
      value(each) > 0,
  );
  others.sort((a, b) => value(b) - value(a));
  if (scenario.isMemory) others.reverse();
  return others.length > 0 ? others[0] : null;
}

function speedRows(scenario, names) {
  const ours = scenario.peers[OURS];
  return Object.entries(scenario.peers).map(([id, figures]) => {
    if (figures.error) {
      return [names[id].title, figures.error, '', '', '', '', '', '', ''];
    }
    const { perSecond, p50, p99, p999, cpu, mainCpu, peakMemory } = figures;
    const isOurs = ours && !ours.error;
    return [
      names[id].title,
      `${number(perSecond)} ${spread(figures)}`,
      isOurs ? ratio(relation(scenario, ours, figures)) : '–',
      number(p50),
      number(p99),
      number(p999),
      number(cpu),
      number(mainCpu),
      bytes(peakMemory),
    ];
  });
}

function section(scenario, names) {
  const { title, unit, isMemory } = scenario;
  if (isMemory) {
    const rows = Object.entries(scenario.peers).map(([id, figures]) =>
      figures.error
        ? [names[id].title, figures.error, '', '', '']
        : [
            names[id].title,
            bytes(figures.memory),
            number(figures.descriptors),
            bytes(figures.memoryAfterChurn),
            number(figures.descriptorsAfterChurn),
          ],
    );
    const { connections, churn } = scenario.plan;
    const head = [
      '',
      `memory, each of ${connections.toLocaleString('en')}`,
      'descriptors',
      `memory after half were reopened ${churn} times`,
      'descriptors',
    ];
    return `### ${title}\n\n${table(head, rows)}`;
  }
  const head = [
    '',
    unit,
    'oxws is × this',
    'p50 µs',
    'p99 µs',
    'p99.9 µs',
    'CPU µs',
    'JS thread µs',
    'peak memory',
  ];
  const { deflate } = scenario.plan;
  const sizes = deflate ? `\n\n${compressedSizes(scenario, names)}` : '';
  return `### ${title}\n\n${table(head, speedRows(scenario, names))}${sizes}`;
}

function compressedSizes({ peers }, names) {
  const sizes = measured(peers).map(
    ([id, { wireBytes }]) => `${names[id].title} ${number(wireBytes)}`,
  );
  return `Bytes of a message on the wire: ${sizes.join(', ')}.`;
}

/** Lists the scenarios in which oxws is slower, or needs more memory, than a peer. */
function losses({ scenarios, peers: names }) {
  const lines = [];
  for (const scenario of scenarios) {
    const ours = scenario.peers[OURS];
    const best = bestPeer(scenario);
    if (!ours || ours.error || best === null) continue;
    const [id, figures] = best;
    const value = relation(scenario, ours, figures);
    if (value < 1) {
      lines.push(
        `- ${scenario.group}, ${scenario.title}: ${ratio(value)} × ${names[id].title}`,
      );
    }
  }
  return lines.length > 0 ? lines.join('\n') : 'None.';
}

/** Describes when, where and with which versions the results were measured. */
function setting({ date, extent, minutes, machine, peers }) {
  const versions = Object.values(peers)
    .filter(({ version }) => version)
    .map(({ title, version }) => `${title} (${version})`);
  const at = machine.commit ? `, at commit ${machine.commit.slice(0, 7)},` : '';
  return [
    `Measured on ${date.slice(0, 10)} by \`npm run bench${extent === 'full' ? ':full' : ''}\`${at}`,
    `in ${minutes} minutes: ${machine.processor}, ${machine.cores} cores,`,
    `${machine.system}, Node.js ${machine.node}; ${versions.join(', ')}.`,
    'Medians of interleaved runs; ± is half the distance between the slowest and',
    'the fastest. The load has a core of its own, and so has the server, except where',
    'memory is measured.',
  ].join('\n');
}

/** Returns the whole report. `charts` are the scenarios that have a chart. */
function markdown(all, charts) {
  const groups = new Map();
  for (const scenario of all.scenarios) {
    const list = groups.get(scenario.group) || [];
    groups.set(scenario.group, list.concat(scenario));
  }
  const parts = ['# Results', setting(all)];
  for (const { group, id, title } of charts) {
    parts.push(`![${group}: ${title}](${id}.svg)`);
  }
  parts.push('## Targets', targetTable(all));
  parts.push('## Where oxws is behind', losses(all));
  for (const [group, scenarios] of groups) {
    parts.push(`## ${group}`);
    for (const each of scenarios) parts.push(section(each, all.peers));
  }
  return `${parts.join('\n\n')}\n`;
}

module.exports = { losses, markdown, relation, setting };
