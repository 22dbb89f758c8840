'use strict';

// Formats figures for people.

/** Formats 1234567 as `1,234,567`, and 12.345 as `12.3`. */
function number(value) {
  if (value === null || value === undefined) return '–';
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return value.toLocaleString('en', {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

/** Formats a number of bytes in B, KiB or MiB. */
function bytes(value) {
  if (value === null || value === undefined) return '–';
  if (value >= 1 << 20) return `${number(value / (1 << 20))} MiB`;
  return value >= 1024 ? `${number(value / 1024)} KiB` : `${number(value)} B`;
}

/** Formats a ratio with one or two decimals. */
const ratio = (value) => value.toFixed(value >= 10 ? 1 : 2);

/** Formats half the distance between the slowest and the fastest run, in percent. */
const spread = ({ spread: value }) => `±${Math.round(value * 50)} %`;

/** Returns the main figure of a scenario: memory, or messages per second. */
const main = ({ isMemory }, figures) =>
  isMemory ? figures.memory : figures.perSecond;

module.exports = { bytes, main, number, ratio, spread };
