'use strict';

/** What bundlers for browsers take: browsers have a WebSocket of their own. */
module.exports = function () {
  throw new Error('oxws is for Node.js: in a browser use its own WebSocket');
};
