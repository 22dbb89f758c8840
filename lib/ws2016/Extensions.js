'use strict';

const native = require('../native');

/**
 * Parses the value of a `Sec-WebSocket-Extensions` header (RFC 6455, 9.1).
 *
 * The result has a property for each extension. Its value is an array with one object for
 * each time that the extension is listed. This object has a property for each parameter.
 * Its value is an array of the parameter's values, with `true` for a parameter without
 * value. The name `__proto__` is a property like any other.
 *
 * @param {String} [value]
 * @returns {Object}
 */
exports.parse = function parse(value) {
  const extensions = {};
  for (const { name, params } of native.parseExtensions(value || '')) {
    const values = {};
    for (const [param, given] of params) {
      push(values, param, given === null ? true : given);
    }
    push(extensions, name, values);
  }
  return extensions;
};

/**
 * Formats the value of a header: the inverse of `parse`. An array of one item may be
 * replaced by the item.
 *
 * @param {Object} extensions
 * @returns {String}
 */
exports.format = function format(extensions) {
  const list = [];
  for (const [name, offers] of Object.entries(extensions)) {
    for (const offer of [].concat(offers))
      list.push({ name, params: flat(offer) });
  }
  return native.formatExtensions(list);
};

/** Converts parameters to pairs of a name and a value; the value may be `null`. */
exports.flat = flat;

function flat(params) {
  return Object.entries(params).flatMap(([name, values]) =>
    []
      .concat(values)
      .map((value) => [name, value === true ? null : `${value}`]),
  );
}

/** Adds `value` to the array in the own property `name`, which is created if missing. */
function push(object, name, value) {
  if (Object.prototype.hasOwnProperty.call(object, name)) {
    object[name].push(value);
    return;
  }
  // An assignment to `__proto__` would change the prototype instead.
  Object.defineProperty(object, name, {
    value: [value],
    configurable: true,
    enumerable: true,
    writable: true,
  });
}
