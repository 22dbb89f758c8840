'use strict';

/** The entry for browser bundles. Browsers have their own WebSocket. */
module.exports = function () {
  throw new Error('oxws is for Node.js: in a browser use its own WebSocket');
};
