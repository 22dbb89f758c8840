'use strict';

/**
 * The error for a header's value that breaks the grammar.
 *
 * @param {String} header the value
 * @param {Number} index that of the first character which cannot stand there, or the
 *   value's length if it ends too early
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
