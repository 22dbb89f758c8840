'use strict';

// Preloaded with `node --require`. Hides bufferutil from the ws of 2016, which uses any
// version that it finds, but does not work with today's.

const Module = require('module');

const load = Module._load;
Module._load = function loadAllElse(request, ...rest) {
  if (request === 'bufferutil') throw new Error('bufferutil is hidden');
  return load.call(this, request, ...rest);
};
