'use strict';

const assert = require('node:assert/strict');
const fs = require('fs');
const path = require('path');
const vm = require('vm');

const Document = require('./Document');

const root = path.join(__dirname, '..', '..');

/** The tests of documents, by their text. */
const TESTS = [__dirname, path.join(__dirname, '..', 'tools')].flatMap(
  (folder) =>
    fs
      .readdirSync(folder)
      .filter((name) => name.endsWith('.test.js'))
      .map((name) => fs.readFileSync(path.join(folder, name), 'utf8')),
);

/** A link: the path that it leads to, if it is another document, and the heading. */
const LINK = /\]\(([^)#\s]*)(?:#([^)\s]*))?\)/g;

describe('The documents', () => {
  for (const document of Document.all()) {
    describe(document.name, () => {
      it('has links that lead somewhere', () => {
        for (const [, link, anchor] of document.prose.matchAll(LINK)) {
          if (/^https?:/.test(link)) continue;
          const target = path.join(path.dirname(document.name), link);
          const name = link === '' ? document.name : target;
          assert.ok(fs.existsSync(path.join(root, name)), link);
          if (anchor === undefined || !name.endsWith('.md')) continue;
          const { anchors } = new Document(name);
          assert.ok(anchors.includes(anchor), `${link}#${anchor}`);
        }
      });

      it('has files of different names', () => {
        assert.equal(new Set(document.files).size, document.files.length);
      });

      it('has no file that no test runs', () => {
        const tests = TESTS.filter((test) =>
          test.includes(`'${document.name}'`),
        );
        for (const file of document.files.filter((name) =>
          /\.\w+$/.test(name),
        )) {
          const isRun = tests.some((test) => test.includes(`'${file}'`));
          assert.ok(isRun, file);
        }
      });

      it('has fragments of JavaScript that are JavaScript', () => {
        for (const { language, file, text } of document.fences) {
          if (language !== 'js' || file !== null) continue;
          // A fragment may await; it is compiled, and not run.
          const body = `(async function () {\n${text}\n})`;
          assert.doesNotThrow(() => new vm.Script(body), text);
        }
      });
    });
  }
});
