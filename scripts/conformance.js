'use strict';

// Writes the tables of docs/conformance.md: each part is between marks with its name,
// where prettier leaves tables as they are.

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
  const ignored = (edge) => `<!-- prettier-ignore-${edge} -->`;
  fs.writeFileSync(
    file,
    [before, ignored('start'), text, ignored('end'), after].join('\n\n'),
  );
};

/** Returns a table in Markdown. */
exports.table = function table(head, rows) {
  const lines = [head, head.map(() => '---'), ...rows];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
};
