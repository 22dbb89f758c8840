'use strict';

// What the server and the client of the suite share.

const root = '../..';

/** Returns the class WebSocket of an API. */
exports.load = (api) => require(api === 'oxws' ? root : `${root}/ws8`);

/** Messages of the cases 9.3.1 and 9.4.1 have more fragments than ws 8 allows by default. */
exports.optionsOf = (api) => (api === 'oxws' ? {} : { maxFragments: 1 << 20 });

/** Has a connection echo its messages. */
exports.echo = function echo(ws) {
  ws.on('message', (data, flags) => {
    // The API of 2016 has an object, and that of ws 8 a boolean.
    const binary = flags === true || Boolean(flags.binary);
    ws.send(data, { binary });
  });
  // Many cases are violations of the protocol.
  ws.on('error', () => {});
};
