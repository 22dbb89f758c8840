'use strict';

const { nextTick } = require('../environment');
const PreparedMessage = require('../PreparedMessage');

/** `readyState` of an open WebSocket, in both APIs. */
const OPEN = 1;

/**
 * Sends a message to the open clients of a server. It is framed and compressed once, see
 * PreparedMessage.
 *
 * @param {Set} clients
 * @param {*} data a PreparedMessage, or what its constructor takes
 * @param {Object} [options] the options of PreparedMessage, and `filter`
 * @param {Function} [options.filter] called with each open client; the message is sent
 *   to those for which it returns true
 * @param {Function} [callback] called once with null and the number of clients whose
 *   message was handed to the operating system, when all others have failed
 * @returns {Number} the number of clients to which the message is sent
 * @throws {Error} if the server does not track its clients
 * @throws {TypeError} if `data` is of a type that cannot be sent
 */
function broadcast(clients, data, options, callback) {
  if (typeof options === 'function') {
    callback = options;
    options = undefined;
  }
  if (!clients) {
    throw new Error('broadcast requires the option clientTracking');
  }
  const { filter, ...own } = options || {};
  const message = prepared(data, own);
  // All are found first: if the filter throws, nothing is sent.
  const chosen = [];
  for (const client of clients) {
    if (client.readyState === OPEN && (!filter || filter(client))) {
      chosen.push(client);
    }
  }
  const done = callback ? collector(chosen.length, callback) : undefined;
  for (const client of chosen) {
    try {
      client.send(message, done);
    } catch (error) {
      // The program has replaced the method `send`. The others still get the message.
      throwLater(error);
    }
  }
  return chosen.length;
}

function throwLater(error) {
  nextTick(() => {
    throw error;
  });
}

/** Returns a PreparedMessage with these options. */
function prepared(data, options) {
  if (!(data instanceof PreparedMessage)) {
    return new PreparedMessage(data, options);
  }
  const { isBinary: binary, compress } = data;
  const wanted = { binary, compress, ...options };
  const isSame = wanted.binary === binary && wanted.compress === compress;
  return isSame ? data : new PreparedMessage(data.data, wanted);
}

/** Returns the callback for each client, which calls `callback` after the last one. */
function collector(count, callback) {
  let left = count;
  let sent = 0;
  if (count === 0) nextTick(callback, null, 0);
  return (error) => {
    if (!error) sent++;
    left--;
    if (left === 0) callback(null, sent);
  };
}

module.exports = broadcast;
