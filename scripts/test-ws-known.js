'use strict';

// The tests in the suites of ws that are known to fail, each with the reason. `where`
// is false if the test does not fail with this transport or this version of Node.js.

const major = Number.parseInt(process.versions.node);
const isStream = process.env.OXWS_TRANSPORT === 'stream';

const ASYNCHRONOUS =
  'looks for the state of a small message that is being compressed or ' +
  'decompressed asynchronously: here that takes no time of its own';

const ELSEWHERE =
  'looks into the state of Node’s stream, which the engine does not use';

/** The tests, by the major version of ws. */
module.exports = {
  1: [
    {
      title:
        'WebSocket options should accept the localAddress option whether it was wrong interface',
      reason: 'expects the text of an error that Node.js has changed',
    },
    {
      title:
        'WebSocket ssl can connect to secure websocket server with client side certificate',
      reason: 'has a certificate that OpenSSL 3 refuses',
    },
    {
      title:
        'WebSocketServer #close cleans event handlers on precreated server',
      reason: 'counts listeners of an HTTP server that Node.js has one more of',
    },
  ],
  8: [
    {
      title: "WebSocket Events emits the 'error' event only once (1/2)",
      reason: 'is a race of a Blob with a frame, which the Blob wins here',
      where: !isStream,
    },
    {
      title: "WebSocket Events emits the 'error' event only once (2/2)",
      reason: `is the same race, which the frame wins, since it ${ASYNCHRONOUS}`,
      where: isStream,
    },
    ...[
      'consumes all received data when connection is closed (1/2)',
      'consumes all received data when connection is closed (2/2)',
      'handles a close frame received while compressing data',
      '#close can be used while data is being decompressed',
      '#send calls the callback if the socket is closed prematurely',
      '#terminate can be used while data is being decompressed',
    ].map((title) => ({
      title: `WebSocket permessage-deflate ${title}`,
      reason: ASYNCHRONOUS,
    })),
    ...['(2/3)', '(3/3)'].map((number) => ({
      title: `createWebSocketStream The returned stream handles backpressure ${number}`,
      reason: ASYNCHRONOUS,
    })),
    {
      title:
        'PerMessageDeflate #compress and #decompress honors the `zlib{Deflate,Inflate}Options` option',
      reason: 'looks at the chunk size of a zlib stream: there is none',
    },
    {
      title:
        'WebSocket Attributes `bufferedAmount` takes into account the data in the socket queue',
      reason: ELSEWHERE,
      where: !isStream,
    },
    {
      title:
        'WebSocketServer Connection establishing fails if the Upgrade header field value cannot be read',
      reason: 'is answered with 431 by newer versions of Node.js',
      where: major >= 22,
    },
  ].map((known) => ({ where: true, ...known })),
};
