'use strict';

// What a bundler for browsers would take: run with --conditions=browser.
const WebSocket = require('NAME');

try {
  new WebSocket('ws://127.0.0.1');
} catch (error) {
  if (/browser/.test(error.message)) console.log('Hello');
}
