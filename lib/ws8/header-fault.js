'use strict';

/**
 * Returns the error for a header value that violates the grammar.
 *
 * @param {String} header the value
 * @param {Number} index the index of the first invalid character, or the length of the
 *   value if it is incomplete
 * @returns {SyntaxError}
 */
function headerFault(header, index) {
  return new SyntaxError(
    index < header.length
      ? `Unexpected character at index ${index}`
      : 'Unexpected end of input',
  );
}

module.exports = headerFault;
