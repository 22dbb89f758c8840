'use strict';

// Preloaded by test-ws.js: modules of the checkout are those of oxws, but for what is
// in its folder test.

const fs = require('fs');
const Module = require('module');
const path = require('path');

const root = path.join(__dirname, '..');
const checkout = fs.realpathSync(process.env.OXWS_WS_CHECKOUT);
const suite = path.join(checkout, 'test') + path.sep;
const resolve = Module._resolveFilename;

Module._resolveFilename = function resolveOurs(request, parent, ...rest) {
  const from = parent && parent.filename;
  if (from && from.startsWith(suite) && /^\.\.(\/|$)/.test(request)) {
    const target = path.resolve(path.dirname(from), request);
    if (!target.startsWith(suite)) {
      const ours = path.join(root, path.relative(checkout, target));
      return resolve.call(this, ours, parent, ...rest);
    }
  }
  return resolve.call(this, request, parent, ...rest);
};
