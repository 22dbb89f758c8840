'use strict';

// Preloaded by test-ws.js. When a test requires a module of the checkout of ws outside
// of the folder `test`, it gets the module of oxws.

const fs = require('fs');
const Module = require('module');
const path = require('path');

const checkout = fs.realpathSync(process.env.OXWS_WS_CHECKOUT);
const ours = path.join(__dirname, '..');
const suite = path.join(checkout, 'test') + path.sep;
const resolve = Module._resolveFilename;

/** Returns the path in oxws that replaces a path in the checkout. */
function replacement(file) {
  const { OXWS_WS_ENTRY: entry, OXWS_WS_FOLDER: folder } = process.env;
  const name = path.relative(checkout, file);
  if (name === '') return path.join(ours, entry);
  return path.join(ours, name.replace(/^lib(?=[\\/])/, folder));
}

Module._resolveFilename = function resolveOurs(request, parent, ...rest) {
  const from = parent && parent.filename;
  if (from && from.startsWith(suite) && /^\.\.(\/|$)/.test(request)) {
    const target = path.resolve(path.dirname(from), request);
    if (!target.startsWith(suite)) {
      return resolve.call(this, replacement(target), parent, ...rest);
    }
  }
  return resolve.call(this, request, parent, ...rest);
};
