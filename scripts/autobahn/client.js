'use strict';

// A client that the suite tests: it connects once for each case, and echoes.
//
//   node client.js API PORT
//
// API is `oxws` or `oxws/ws8`. PORT is that of the suite.

const { once } = require('events');

const { optionsOf, echo, load } = require('./echo');

const [api, port] = process.argv.slice(2);
const WebSocket = load(api);

const connect = (path) =>
  new WebSocket(`ws://127.0.0.1:${port}${path}`, {
    perMessageDeflate: true,
    ...optionsOf(api),
  });

async function main() {
  const counter = connect('/getCaseCount');
  const [count] = await once(counter, 'message');
  await once(counter, 'close');

  for (let i = 1; i <= Number(count); i++) {
    const ws = connect(`/runCase?case=${i}&agent=oxws`);
    echo(ws);
    await new Promise((resolve) => ws.on('close', resolve));
  }

  await once(connect('/updateReports?agent=oxws'), 'close');
}

main();
