'use strict';

const assert = require('node:assert/strict');

const Document = require('../docs/Document');

/** Lines of a shell; one that ends in a backslash goes on in the next. */
const lines = (text) => text.replaceAll('\\\n', '').trim().split('\n');

/**
 * How a bundle is made: the files that are written, the tools that are installed and the
 * command that is run. It is what docs/bundlers.md shows below a heading: the files, and
 * then the commands.
 */
class Recipe {
  /** The recipes below a heading. */
  static of(heading) {
    const recipes = [];
    let files = [];
    for (const fence of new Document('docs/bundlers.md').fencesOf(heading)) {
      if (fence.file !== null) {
        files.push(fence);
      } else {
        recipes.push(new Recipe(files, lines(fence.text)));
        files = [];
      }
    }
    return recipes;
  }

  constructor(files, commands) {
    /** The files: name and text. */
    this.files = files;
    /** The names of the tools to be installed. */
    this.tools = [];
    /** The command lines of the bundler, without the `npx` before it. */
    this.commands = [];
    for (const line of commands) {
      const [, tools] = line.match(/^npm install --save-dev (.+)$/) || [];
      const [, command] = line.match(/^npx (.+)$/) || [];
      if (tools) this.tools.push(...tools.split(' '));
      else if (command) this.commands.push(command);
      else throw new Error(`neither tools nor a bundler: ${line}`);
    }
  }

  /** The recipe with a part of its text replaced. */
  replace(part, by) {
    const changed = new Recipe([], []);
    changed.files = this.files.map(({ file, text }) => {
      return { file, text: text.replace(part, by) };
    });
    changed.tools = this.tools;
    changed.commands = this.commands.map((line) => line.replace(part, by));
    assert.notDeepEqual(changed, this);
    return changed;
  }

  /** The name of the program that it bundles. */
  get entry() {
    const text = [...this.files.map(({ text }) => text), ...this.commands];
    return text.join('\n').match(/\bapp\.m?js\b/)[0];
  }
}

module.exports = Recipe;
