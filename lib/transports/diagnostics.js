'use strict';

const { startedEngine } = require('./engine');

/**
 * Describes how connections are carried, for debugging.
 *
 * @param {WebSocket} [ws] a connection; by default, all connections of the engine
 * @returns {Object} `transport`: `'native'`, `'stream'`, or null if the connection has
 *   no transport or the engine was never started; `host`: where the engine runs,
 *   `'inline'` or `'thread'`, or null without the engine; `listener`: for a server's
 *   connection, who has accepted it, `'engine'` or `'node'`, and for all, `'engine'` if
 *   the engine listens on a port, otherwise null; `connections`: their number;
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
    listener: transport && ws._isServer ? acceptedBy(transport) : null,
    connections: transport ? 1 : 0,
    queuedBytes: transport ? bufferedAmount : 0,
  };
}

function acceptedBy({ isAccepted }) {
  return isAccepted ? 'engine' : 'node';
}

function ofEngine() {
  const engine = startedEngine();
  const entries = engine === null ? [] : engine.entries();
  const amounts = entries
    .filter(({ name }) => name === 'native')
    .map(({ bufferedAmount }) => bufferedAmount);
  return {
    transport: engine && 'native',
    host: engine && engine.host,
    listener: amounts.length < entries.length ? 'engine' : null,
    connections: amounts.length,
    queuedBytes: amounts.reduce((sum, amount) => sum + amount, 0),
  };
}

module.exports = diagnostics;
