'use strict';

/**
 * Converts parameters to pairs of a name and a value: a string, or null if it is
 * `true`.
 */
function pairs(params) {
  return Object.entries(params).flatMap(([name, values]) =>
    []
      .concat(values)
      .map((value) => [name, value === true ? null : `${value}`]),
  );
}

module.exports = pairs;
