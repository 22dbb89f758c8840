'use strict';

const native = require('../native');

exports.Validation = {
  /** Whether a Buffer is valid UTF-8. */
  isValidUTF8: native.isValidUTF8,
};
