'use strict';

const native = require('../native');
const headerFault = require('./header-fault');
const pairs = require('./pairs');

/**
 * Parses the value of a `Sec-WebSocket-Extensions` header (RFC 6455, 9.1).
 *
 * The result has a property for each extension. Its value is an array with one object
 * for each time that the extension is listed. This object has a property for each
 * parameter. Its value is an array of strings, with `true` for a parameter without
 * value. The objects have no prototype.
 *
 * @param {String} header
 * @returns {Object}
 * @throws {SyntaxError} if the value violates the grammar
 */
function parse(header) {
  const { extensions, fault } = native.parseExtensionsStrictly(header);
  if (fault !== undefined) throw headerFault(header, fault);
  return grouped(
    extensions.map(({ name, params }) => [
      name,
      grouped(params.map(([param, value]) => [param, value ?? true])),
    ]),
  );
}

/** Converts pairs of a name and a value to an object with an array of values per name. */
function grouped(pairs) {
  const groups = Object.create(null);
  for (const [name, value] of pairs) {
    if (name in groups) groups[name].push(value);
    else groups[name] = [value];
  }
  return groups;
}

/**
 * Formats the value of a header: the inverse of `parse`. An array of one item may be
 * replaced by the item.
 *
 * @param {Object} extensions
 * @returns {String}
 */
function format(extensions) {
  return native.formatExtensions(
    Object.entries(extensions).flatMap(([name, offers]) =>
      [].concat(offers).map((params) => ({ name, params: pairs(params) })),
    ),
  );
}

module.exports = { format, parse };
