'use strict';

// Another file of the same process, which has globals of its own.

require('./again.test.js');
