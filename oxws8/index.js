'use strict';

module.exports = require('oxws/ws8');
