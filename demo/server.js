'use strict';

// The demo: a web page that shows live data of the WebSocket server that serves it.
//
//   node demo/server.js            listens on port 8080, or on a free port if it is in use
//   node demo/server.js --port N   listens on port N
//   node demo/server.js --check    checks all functions without a browser, then exits

const { parseArgs } = require('util');

const { createApp } = require('./app');
const { check } = require('./check');

const DEFAULT_PORT = 8080;

main().catch((err) => {
  console.error(`oxws demo: ${err.message}`);
  process.exit(1);
});

async function main() {
  const { values } = parseArgs({
    options: {
      check: { type: 'boolean' },
      port: { type: 'string' },
    },
  });

  if (values.check) await check();
  else await run(values.port || process.env.PORT);
}

async function run(port) {
  const app = await start(port);

  console.log(`oxws demo: ${app.url}`);

  // `once`, so that a second Ctrl-C ends the process at once.
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, async () => {
      await app.close();
      process.exit(0);
    });
  }
}

async function start(port) {
  if (port) return createApp({ port: Number(port) });

  try {
    return await createApp({ port: DEFAULT_PORT });
  } catch (err) {
    if (err.code !== 'EADDRINUSE') throw err;
    return createApp({ port: 0 });
  }
}
