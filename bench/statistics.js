'use strict';

/** Returns the median. */
function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? sorted[middle]
    : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * Returns the distance between the largest and the smallest value, divided by the
 * median.
 */
function spread(values) {
  return (Math.max(...values) - Math.min(...values)) / median(values);
}

/**
 * Returns the median of each figure over all runs, and the `spread` of the main figure:
 * messages per second, or memory.
 */
function summary(runs) {
  const figures = {};
  for (const name of Object.keys(runs[0])) {
    const values = runs
      .map((run) => run[name])
      .filter((value) => value !== null);
    figures[name] = values.length > 0 ? median(values) : null;
  }
  const main = runs.map((run) => run.perSecond || run.memory);
  return Object.assign(figures, { spread: spread(main) });
}

module.exports = { summary };
