'use strict';

// Draws a scenario as a bar chart.

const { number } = require('./figures');

const WIDTH = 720;
const LABELS = 190;
const VALUES = 120;
const BAR = 22;
const GAP = 8;
const TOP = 56;

const COLOURS = { ours: '#d9480f', peer: '#4c6a85', limit: '#a9b4be' };

const escape = (text) =>
  text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');

function colourOf(id) {
  if (id.startsWith('oxws')) return COLOURS.ours;
  return id === 'limit' ? COLOURS.limit : COLOURS.peer;
}

/** Returns the chart as SVG, with the fastest peer first. */
function chart({ group, title, unit, peers }, names) {
  const bars = Object.entries(peers)
    .filter(([, figures]) => !figures.error)
    .map(([id, { perSecond }]) => ({ id, value: perSecond }))
    .sort((a, b) => b.value - a.value);
  const most = Math.max(...bars.map(({ value }) => value));
  const height = TOP + bars.length * (BAR + GAP) + GAP;
  const lines = bars.map(({ id, value }, index) => {
    const y = TOP + index * (BAR + GAP);
    const width = ((WIDTH - LABELS - VALUES) * value) / most;
    const middle = y + BAR / 2 + 5;
    return [
      `<text x="${LABELS - 10}" y="${middle}" text-anchor="end">${escape(names[id].title)}</text>`,
      `<rect x="${LABELS}" y="${y}" width="${width.toFixed(1)}" height="${BAR}" rx="2" fill="${colourOf(id)}"/>`,
      `<text x="${(LABELS + width + 8).toFixed(1)}" y="${middle}">${number(value)}</text>`,
    ].join('\n');
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="system-ui, sans-serif" font-size="14" fill="#24292f">`,
    `<rect width="100%" height="100%" fill="#ffffff"/>`,
    `<text x="16" y="24" font-size="16" font-weight="600">${escape(group)}: ${escape(title)}</text>`,
    `<text x="16" y="43" fill="#57606a">${escape(unit)}, more is better</text>`,
    ...lines,
    '</svg>',
    '',
  ].join('\n');
}

module.exports = chart;
