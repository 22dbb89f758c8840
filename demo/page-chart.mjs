// A line chart of the last minute, drawn as SVG.

const SVG = 'http://www.w3.org/2000/svg';
const WIDTH = 600;
const HEIGHT = 100;
const STEPS = [1, 1.2, 1.6, 2, 3, 4, 6, 8, 10];

export class Chart {
  /**
   * @param {object} options
   * @param {string} options.title
   * @param {function(number): string} options.format
   * @param {object[]} options.lines each has `key`, `label` and optionally `dashed`
   * @param {number} options.least the minimum value at the top of the scale
   * @param {number} [options.base] the base of the units: 1000, or 1024 for bytes
   */
  constructor({ title, format, lines, least, base = 1000 }) {
    const template = document.getElementById('chart');

    this.element = template.content.cloneNode(true).firstElementChild;
    this.plot = this.element.querySelector('.plot');
    this.svg = this.element.querySelector('svg');
    this.cursor = this.element.querySelector('.cursor');
    this.scale = this.element.querySelectorAll('.scale span');
    this.element.querySelector('h3').textContent = title;
    Object.assign(this, { title, format, least, base });

    const legend = this.element.querySelector('.legend');

    this.lines = lines.map(({ key, label, dashed }, i) => {
      const area = document.createElementNS(SVG, 'path');
      const line = document.createElementNS(SVG, 'path');
      const item = document.createElement('li');
      const value = document.createElement('strong');

      const name = dashed ? `line-${i} dashed` : `line-${i}`;

      area.setAttribute('class', `area ${name}`);
      line.setAttribute('class', `line ${name}`);
      item.className = name;
      item.append(`${label} `, value);
      legend.append(item);
      return { key, label, area, line, value };
    });
    this.svg.append(...this.lines.map(({ area }) => area));
    this.svg.append(...this.lines.map(({ line }) => line));
  }

  /**
   * @param {object[]} samples
   * @param {number} span the width of the chart in milliseconds
   * @param {?object} picked the sample below the pointer, or null for the last one
   */
  draw(samples, span, picked) {
    const last = samples[samples.length - 1];

    if (!last) return;

    const shown = picked || last;
    const x = ({ time }) => (1 - (last.time - time) / span) * WIDTH;
    const values = samples.flatMap((s) => this.lines.map(({ key }) => s[key]));
    const top = roundUp(Math.max(this.least, ...values), this.base);

    for (const { key, line, area, value } of this.lines) {
      const points = samples.map(
        (s) => `${x(s).toFixed(1)} ${(HEIGHT * (1 - s[key] / top)).toFixed(1)}`,
      );
      const path = `M${points.join('L')}`;
      const [left, right] = [x(samples[0]), x(last)].map((v) => v.toFixed(1));

      line.setAttribute('d', path);
      area.setAttribute('d', `${path}L${right} ${HEIGHT}L${left} ${HEIGHT}Z`);
      value.textContent = this.format(shown[key]);
    }

    this.scale.forEach((label, i) => {
      label.textContent = i < 2 ? this.format(top * (1 - i / 2)) : '0';
    });
    this.cursor.hidden = !picked;
    this.cursor.style.left = `${(x(shown) / WIDTH) * 100}%`;
    this.cursor.dataset.time = ago(last.time - shown.time);
    this.element.querySelector('.time span').textContent = ago(span);
    this.svg.setAttribute(
      'aria-label',
      `${this.title}: ${this.lines
        .map(({ key, label }) => `${label} ${this.format(shown[key])}`)
        .join(', ')}`,
    );
  }
}

function ago(ms) {
  return ms < 500 ? 'now' : `${Math.round(ms / 1000)} s ago`;
}

// Rounds up to a round number, so that the scale does not change with each sample.
function roundUp(value, base) {
  let unit = 1;

  while (base === 1024 && value / unit >= 1024) unit *= 1024;
  while (unit * 10 <= value) unit *= 10;
  return unit * STEPS.find((step) => unit * step >= value);
}
