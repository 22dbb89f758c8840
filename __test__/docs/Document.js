'use strict';

const fs = require('fs');
const path = require('path');

const root = path.join(__dirname, '..', '..');

/** A fence of a document: its language, and its text. */
const FENCE = /^```(\w+)\n([\s\S]*?)^```$/gm;

/** The first line of a fence that is a whole file names it: `// server.js`. */
const NAME = /^(?:\/\/|#) ([\w.-]+)\n/;

/** A heading: its level, and its text. */
const HEADING = /^(#+) (.*)$/gm;

/** Either of them, where a `#` in a fence is no heading. */
const BLOCK = new RegExp(`${FENCE.source}|${HEADING.source}`, 'gm');

/** A span of code. */
const CODE = /`([^`]+)`/g;

/** The row between the head of a table and its body. */
const RULE = /^\|[\s|:-]+\|$/;

/** A Markdown document of the repository, and the files that its fences are. */
class Document {
  /** @param {string} name The path of the document, from the root. */
  constructor(name) {
    this.name = name;
    this.text = fs.readFileSync(path.join(root, name), 'utf8');
    /** The fences: each with the heading that it is right under. */
    this.fences = [];
    let heading = null;
    for (const found of this.text.matchAll(BLOCK)) {
      const [, language, text, , title] = found;
      if (title !== undefined) {
        heading = title;
        continue;
      }
      const [, file = null] = text.match(NAME) || [];
      this.fences.push({ language, file, text, heading });
    }
    /** The text without its fences, where `#` and `|` are Markdown. */
    this.prose = this.text.replace(FENCE, '');
    this.headings = [...this.prose.matchAll(HEADING)].map((found) => ({
      level: found[1].length,
      text: found[2],
      start: found.index,
      end: found.index + found[0].length,
    }));
  }

  /** All documents of the repository that have programs for its readers. */
  static all() {
    const docs = fs
      .readdirSync(path.join(root, 'docs'))
      .filter((name) => name.endsWith('.md'))
      .map((name) => `docs/${name}`);
    return ['README.md', 'SECURITY.md', ...docs]
      .filter((name) => fs.existsSync(path.join(root, name)))
      .map((name) => new Document(name));
  }

  /** The names of the files that the fences are. */
  get files() {
    return this.fences.map(({ file }) => file).filter((file) => file !== null);
  }

  /** The text of one file. */
  file(name) {
    const fence = this.fences.find(({ file }) => file === name);
    if (!fence) throw new Error(`${this.name} has no file ${name}`);
    return fence.text;
  }

  /** What links name the headings by, as GitHub makes it. */
  get anchors() {
    const seen = new Map();
    return this.headings.map(({ text }) => {
      const slug = text
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .replace(/\s/g, '-');
      const times = seen.get(slug) || 0;
      seen.set(slug, times + 1);
      return times === 0 ? slug : `${slug}-${times}`;
    });
  }

  /** The text under a heading; with that of the headings below it, if `deep`. */
  section(heading, { deep = false } = {}) {
    const at = this.headings.findIndex(({ text }) => text === heading);
    if (at === -1) throw new Error(`${this.name} has no heading ${heading}`);
    const { end, level } = this.headings[at];
    const next = this.headings
      .slice(at + 1)
      .find((each) => !deep || each.level <= level);
    return this.prose.slice(end, next && next.start);
  }

  /** The fences right under a heading. */
  fencesOf(heading) {
    const fences = this.fences.filter((fence) => fence.heading === heading);
    if (fences.length === 0) {
      throw new Error(`${this.name} has no fence under ${heading}`);
    }
    return fences;
  }

  /** The tables right under a heading: arrays of rows, which have a property a column. */
  tables(heading) {
    const tables = [];
    let columns = null;
    let before = null;
    for (const line of this.section(heading).split('\n')) {
      const cells = line.startsWith('|') ? cellsOf(line) : null;
      if (RULE.test(line)) {
        columns = before;
        tables.push([]);
      } else if (cells === null) {
        columns = null;
      } else if (columns !== null) {
        const pairs = columns.map((column, i) => [column, cells[i]]);
        tables[tables.length - 1].push(Object.fromEntries(pairs));
      }
      before = cells;
    }
    return tables;
  }

  /** The rows of the first table right under a heading, each a list of its cells. */
  table(heading) {
    const [table] = this.tables(heading);
    return table.map((row) => Object.values(row));
  }

  /** The spans of code in a text. */
  static code(text) {
    return [...text.matchAll(CODE)].map(([, code]) => code);
  }
}

function cellsOf(line) {
  return line
    .split(/(?<!\\)\|/)
    .slice(1, -1)
    .map((cell) => cell.trim());
}

module.exports = Document;
