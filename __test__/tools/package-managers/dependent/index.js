'use strict';

// A package that requires ws, as many do.

exports.WebSocket = require('ws');

/** The name of the package that it has in the place of ws. */
exports.name = require('ws/package.json').name;
