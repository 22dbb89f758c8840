'use strict';

// Figures as people read them.

/** 1234567 as `1,234,567`, 12.345 as `12.3`. */
function number(value) {
  if (value === null || value === undefined) return '–';
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return value.toLocaleString('en', {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

/** Bytes, in the unit that fits. */
function bytes(value) {
  if (value === null || value === undefined) return '–';
  if (value >= 1 << 20) return `${number(value / (1 << 20))} MiB`;
  return value >= 1024 ? `${number(value / 1024)} KiB` : `${number(value)} B`;
}

/** A ratio, to two digits. */
const ratio = (value) => value.toFixed(value >= 10 ? 1 : 2);

/** Half the distance between the slowest and the fastest run, in percent. */
const spread = ({ spread: value }) => `±${Math.round(value * 50)} %`;

/** The figure that a scenario is about. */
const main = ({ isMemory }, figures) =>
  isMemory ? figures.memory : figures.perSecond;

module.exports = { bytes, main, number, ratio, spread };
