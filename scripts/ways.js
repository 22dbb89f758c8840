'use strict';

// The tests of both APIs, and the ways in which connections can be carried: the
// environment variables that select a transport, a host and a listener. All tests run in
// each way.

exports.WAYS = [
  { OXWS_TRANSPORT: 'stream' },
  { OXWS_HOST: 'inline' },
  { OXWS_HOST: 'thread' },
  { OXWS_HOST: 'inline', OXWS_LISTENER: 'node' },
  { OXWS_HOST: 'thread', OXWS_LISTENER: 'node' },
];

/**
 * Whether the engine is stressed, and tested with other implementations, in a way. Who
 * accepts the connections makes no difference to that.
 */
exports.isStressed = (way) => way.OXWS_LISTENER === undefined;

exports.STRESS = '__test__/engine-stress.test.js';

exports.APIS = [
  ['the API of 2016', '__test__/*.test.js'],
  ['the API of ws 8', '__test__/ws8/*.test.js'],
  ['both APIs', '__test__/both/*.test.js'],
];

/** The ways in which other implementations test the entries of the package. */
exports.ENTRIES = [
  ...exports.WAYS.filter(exports.isStressed).map((env) => ({
    api: 'oxws',
    env,
  })),
  { api: 'oxws/ws8', env: { OXWS_HOST: 'inline' } },
];

/** Returns the name of a way, for titles. */
exports.nameOf = (way) => Object.values(way).join(', listener: ');
