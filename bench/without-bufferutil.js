'use strict';

// Hides bufferutil from the ws of 2016, which takes any version for its own, and
// fails with today's: `node --require`.

const Module = require('module');

const load = Module._load;
Module._load = function loadAllElse(request, ...rest) {
  if (request === 'bufferutil') throw new Error('bufferutil is hidden');
  return load.call(this, request, ...rest);
};
