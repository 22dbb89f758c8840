'use strict';

const js = require('@eslint/js');
const globals = require('globals');

module.exports = [
  { ignores: ['target/', 'npm/'] },
  js.configs.recommended,
  {
    files: ['**/*.js'],
    languageOptions: { sourceType: 'commonjs', globals: globals.node },
    rules: {
      'no-var': 'error',
      'prefer-const': 'error',
      eqeqeq: 'error',
      strict: ['error', 'global'],
    },
  },
  {
    files: ['__test__/**/*.js'],
    languageOptions: { globals: globals.mocha },
    // A function's number of arguments may be what is tested.
    rules: { 'no-unused-vars': ['error', { args: 'none' }] },
  },
  {
    files: ['demo/page*.mjs'],
    languageOptions: { globals: globals.browser },
  },
  {
    files: ['**/*.mjs'],
    languageOptions: { globals: globals.node },
  },
];
