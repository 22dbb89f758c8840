'use strict';

// The demo: a page that shows its own WebSocket server at work.
//
//   node demo/server.js            on port 8080, or a free one if it is taken
//   node demo/server.js --port N   on port N
//   node demo/server.js --check    tries everything by itself, then exits

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

  // Once: a second Ctrl-C ends the process at once, as usual.
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
