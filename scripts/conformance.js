'use strict';

// Writes the tables of docs/conformance.md: each is between marks with its name.

const fs = require('fs');
const path = require('path');

const file = path.join(__dirname, '..', 'docs', 'conformance.md');

/** Replaces the text between the marks of a part. */
exports.write = function write(part, text) {
  const document = fs.readFileSync(file, 'utf8');
  const begin = `<!-- ${part}: begin -->`;
  const end = `<!-- ${part}: end -->`;
  const [before, , after] = document.split(
    new RegExp(`(?<=${begin})([^]*)(?=${end})`),
  );
  if (after === undefined) throw new Error(`there is no ${begin} in ${file}`);
  fs.writeFileSync(file, `${before}\n\n${text}\n\n${after}`);
};

/** Returns a table in Markdown. */
exports.table = function table(head, rows) {
  const lines = [head, head.map(() => '---'), ...rows];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
};
