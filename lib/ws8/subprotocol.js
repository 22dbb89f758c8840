'use strict';

const native = require('../native');
const headerFault = require('./header-fault');

/**
 * Parses the value of a `Sec-WebSocket-Protocol` header (RFC 6455, 11.3.4).
 *
 * @param {String} header the value
 * @returns {Set<String>} the names, in order
 * @throws {SyntaxError} if the value violates the grammar, or if a name occurs twice
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
