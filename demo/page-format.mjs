// Formats numbers, with units, for display.

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

// Rounds to `digits` digits after the decimal point, without trailing zeros.
const round = (value, digits) => Number(value.toFixed(digits));

export function formatNumber(value) {
  if (value >= 1e6) return `${round(value / 1e6, 2)} M`;
  if (value >= 1e4) return `${round(value / 1e3, value < 1e5 ? 1 : 0)} k`;
  return round(value, value < 10 ? 1 : 0).toLocaleString('en');
}

export function formatCount(value) {
  return value < 1e6 ? value.toLocaleString('en') : formatNumber(value);
}

export function formatBytes(value) {
  let unit = 0;

  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${round(value, unit && value < 100 ? 1 : 0)} ${UNITS[unit]}`;
}

export function formatMs(value) {
  if (value >= 1000) return `${round(value / 1000, 1)} s`;
  return `${round(value, value < 10 ? 1 : 0)} ms`;
}

export function formatPercent(value) {
  return `${round(value, value < 10 ? 1 : 0)} %`;
}

export function formatDuration(seconds) {
  const [s, m, h] = [seconds % 60, (seconds / 60) % 60, seconds / 3600];
  const two = (value) => String(Math.floor(value)).padStart(2, '0');

  return `${Math.floor(h)}:${two(m)}:${two(s)}`;
}

export function percentile(values, n) {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.floor(((sorted.length - 1) * n) / 100)] || 0;
}
