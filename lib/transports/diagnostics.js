'use strict';

const { startedEngine } = require('./engine');

/**
 * Describes how connections are carried, for debugging.
 *
 * @param {WebSocket} [ws] a connection; by default, all connections of the engine
 * @returns {Object} `transport`: `'native'`, `'stream'`, or null if the connection has
 *   no transport or the engine was never started; `host`: where the engine runs,
 *   `'inline'` or `'thread'`, or null without the engine; `connections`: their number;
 *   `queuedBytes`: the bytes sent but not yet handed to the operating system
 */
function diagnostics(ws) {
  return ws === undefined ? ofEngine() : ofConnection(ws);
}

function ofConnection(ws) {
  const { _transport, bufferedAmount, readyState, CLOSED } = ws;
  const transport = readyState === CLOSED ? null : _transport;
  return {
    transport: transport && transport.name,
    host: transport && transport.host,
    connections: transport ? 1 : 0,
    queuedBytes: transport ? bufferedAmount : 0,
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
