'use strict';

const native = require('../native');
const headerFault = require('./header-fault');

/**
 * Reads the value of a `Sec-WebSocket-Extensions` header (RFC 6455, 9.1).
 *
 * The result has a property for each extension: an array with an object for each time it
 * is named. That one has a property for each parameter: an array of its values, which are
 * strings, or `true` where it has none. None of the objects has a prototype.
 *
 * @param {String} header
 * @returns {Object}
 * @throws {SyntaxError} where the value breaks the grammar
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

/** An array of values for each name, from pairs of a name and a value. */
function grouped(pairs) {
  const groups = Object.create(null);
  for (const [name, value] of pairs) {
    if (name in groups) groups[name].push(value);
    else groups[name] = [value];
  }
  return groups;
}

/**
 * Writes the value of a header: the reverse of `parse`, which may leave out arrays.
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

/** Parameters as pairs of a name and a value: a string, or null where it has none. */
function pairs(params) {
  return Object.entries(params).flatMap(([name, values]) =>
    []
      .concat(values)
      .map((value) => [name, value === true ? null : `${value}`]),
  );
}

module.exports = { format, pairs, parse };
