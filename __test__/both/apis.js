'use strict';

// Both APIs, and functions that hide the differences between them.

const of2016 = require('../..');
const PerMessageDeflate = require('../../lib/ws2016/PerMessageDeflate');
const { WebSocket: of8, beyondWs } = require('../ws8/support');

module.exports = [
  {
    name: 'The API of 2016',
    WebSocket: of2016,
    PerMessageDeflate,
    /** Calls `listener(bytes, isBinary)` for each message. */
    onMessage(ws, listener) {
      ws.on('message', (data, { binary }) => {
        listener(Buffer.from(data), Boolean(binary));
      });
    },
    extensionsOf: (ws) => Object.keys(ws.extensions),
    requestOf: (ws) => ws.upgradeReq,
    /** A group of tests that ws with the same API does not pass. */
    beyondWs: describe,
  },
  {
    name: 'The API of ws 8',
    WebSocket: of8,
    PerMessageDeflate: of8.PerMessageDeflate,
    onMessage: (ws, listener) => ws.on('message', listener),
    extensionsOf: (ws) => ws.extensions.split(',').filter(Boolean),
    requestOf: (ws, req) => req,
    beyondWs,
  },
];
