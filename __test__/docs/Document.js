'use strict';

const fs = require('fs');
const path = require('path');

const root = path.join(__dirname, '..', '..');

/** A fence of a document: its language, and its text. */
const FENCE = /^```(\w+)\n([\s\S]*?)^```$/gm;

/** The first line of a fence that is a whole file names it: `// server.js`. */
const NAME = /^(?:\/\/|#) ([\w.-]+)\n/;

/** A Markdown document of the repository, and the files that its fences are. */
class Document {
  /** @param {string} name The path of the document, from the root. */
  constructor(name) {
    this.name = name;
    this.text = fs.readFileSync(path.join(root, name), 'utf8');
    this.fences = [...this.text.matchAll(FENCE)].map(([, language, text]) => {
      const [, file = null] = text.match(NAME) || [];
      return { language, file, text };
    });
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

  /** What links to its headings end with, as GitHub makes it. */
  get anchors() {
    return [...this.text.matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    );
  }

  /** The rows of the first table below a heading, each a list of its cells. */
  table(heading) {
    const lines = this.text.split('\n');
    const top = lines.findIndex(
      (line) => /^#+ /.test(line) && line.endsWith(` ${heading}`),
    );
    if (top === -1) throw new Error(`${this.name} has no heading ${heading}`);
    const first = lines.findIndex((line, i) => i > top && line.startsWith('|'));
    const behind = lines.findIndex(
      (line, i) => i > first && !line.startsWith('|'),
    );
    // Below the names of the columns and a rule.
    return lines.slice(first + 2, behind).map((line) =>
      line
        .split(/(?<!\\)\|/)
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  }

  /** The text of one file. */
  file(name) {
    const fence = this.fences.find(({ file }) => file === name);
    if (!fence) throw new Error(`${this.name} has no file ${name}`);
    return fence.text;
  }
}

module.exports = Document;
