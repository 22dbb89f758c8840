'use strict';

const { startedEngine } = require('./engine');

/**
 * How connections are carried, for people who look for a problem.
 *
 * @param {WebSocket} [ws] a connection; without it, all that the engine has
 * @returns {Object} `transport` (`native`, `stream` or, before and after it is open,
 *   null), `host` (`inline`, `thread` or null), `connections`, and `queuedBytes`, sent
 *   and not yet taken by the system
 */
function diagnostics(ws) {
  return ws === undefined ? ofEngine() : ofConnection(ws);
}

function ofConnection({ _transport: transport, bufferedAmount }) {
  return {
    transport: transport && transport.name,
    host: transport && transport.host,
    connections: transport ? 1 : 0,
    queuedBytes: bufferedAmount,
  };
}

function ofEngine() {
  const engine = startedEngine();
  if (engine === null) {
    return { transport: null, host: null, connections: 0, queuedBytes: 0 };
  }
  const amounts = engine.transports().map((each) => each.bufferedAmount);
  return {
    transport: 'native',
    host: engine.host,
    connections: amounts.length,
    queuedBytes: amounts.reduce((sum, amount) => sum + amount, 0),
  };
}

module.exports = diagnostics;
