'use strict';

const assert = require('node:assert/strict');
const fs = require('fs');
const path = require('path');
const vm = require('vm');

const Document = require('./Document');

const root = path.join(__dirname, '..', '..');

/** The tests beside this one, by their text. */
const TESTS = fs
  .readdirSync(__dirname)
  .filter((name) => name.endsWith('.test.js'))
  .map((name) => fs.readFileSync(path.join(__dirname, name), 'utf8'))
  .join('\n');

describe('The documents', () => {
  for (const document of Document.all()) {
    describe(document.name, () => {
      it('has links that lead somewhere', () => {
        const links = document.text.matchAll(/\]\(([^)#\s]*)(?:#([^)]*))?\)/g);
        for (const [, link, anchor] of links) {
          if (/^https?:/.test(link)) continue;
          const name = link
            ? path.posix.join(path.posix.dirname(document.name), link)
            : document.name;
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
        for (const file of document.files.filter((name) =>
          /\.\w+$/.test(name),
        )) {
          assert.ok(TESTS.includes(`'${file}'`), file);
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
