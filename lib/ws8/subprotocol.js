'use strict';

const native = require('../native');
const headerFault = require('./header-fault');

/**
 * The names in a `Sec-WebSocket-Protocol` header (RFC 6455, 11.3.4), in order.
 *
 * @param {String} header the value
 * @returns {Set<String>}
 * @throws {SyntaxError} where the value breaks the grammar, and on a name that is there
 *   twice
 */
function parse(header) {
  const { names, fault, duplicate } = native.parseSubprotocolsStrictly(header);
  if (fault !== undefined) throw headerFault(header, fault);
  if (duplicate !== undefined) {
    throw new SyntaxError(`The "${duplicate}" subprotocol is duplicated`);
  }
  return new Set(names);
}

module.exports = { parse };
