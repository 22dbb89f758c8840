'use strict';

const { bytes, number, spread } = require('./figures');

/** Formats the line that is printed for a peer when a scenario is measured. */
function line({ title }, { isMemory }, figures) {
  const name = `  ${title.padEnd(26)}`;
  if (figures.error) return `${name} ${figures.error}`;
  if (isMemory) {
    const { memory, descriptors, memoryAfterChurn, descriptorsAfterChurn } =
      figures;
    return [
      `${name} ${bytes(memory)}, ${number(descriptors)} descriptors`,
      `after churn ${bytes(memoryAfterChurn)}, ${number(descriptorsAfterChurn)}`,
    ].join('  ');
  }
  const { perSecond, p50, p99, p999, cpu, mainCpu, peakMemory } = figures;
  return [
    `${name} ${number(perSecond).padStart(10)}/s ${spread(figures)}`,
    `p50 ${number(p50)} p99 ${number(p99)} p99.9 ${number(p999)} µs`,
    `CPU ${number(cpu)} (JS ${number(mainCpu)}) µs`,
    `peak ${bytes(peakMemory)}`,
  ].join('  ');
}

module.exports = line;
