'use strict';

const native = require('../native');

/**
 * Reads the value of a `Sec-WebSocket-Extensions` header (RFC 6455, 9.1).
 *
 * The result has a property for each extension: an array with an object for each
 * time it is named, which has a property for each parameter: an array of its
 * values, `true` for none. Names are data, `__proto__` too.
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

/** Writes the value of a header: the reverse of `parse`, which may leave out arrays. */
exports.format = function format(extensions) {
  const list = [];
  for (const [name, offers] of Object.entries(extensions)) {
    for (const offer of [].concat(offers))
      list.push({ name, params: flat(offer) });
  }
  return native.formatExtensions(list);
};

/** Parameters as pairs of a name and a value, `null` for none. */
exports.flat = flat;

function flat(params) {
  return Object.entries(params).flatMap(([name, values]) =>
    []
      .concat(values)
      .map((value) => [name, value === true ? null : `${value}`]),
  );
}

/** Adds `value` to the array that is the object's own property `name`. */
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
