'use strict';

// Functions that the programs share. Each program uses one package that depends on ws,
// checks the results, and prints a summary as one line of JSON.

const { once } = require('events');

/** How long a program may take, in milliseconds. All take far less. */
const LIMIT = 30000;

/** The current step of the program, which is printed when it takes too long. */
let step = 'the start';

/** Names the next step. */
function at(name) {
  step = name;
}

/**
 * Runs a program. Its result is printed when the process ends by itself. A connection
 * or a timer that keeps the process alive is therefore a failure, too.
 */
function run(main) {
  const timer = setTimeout(() => {
    const kept = process.getActiveResourcesInfo().join(', ');
    console.error(`still at "${step}" after ${LIMIT} ms, kept by: ${kept}`);
    process.exit(1);
  }, LIMIT);
  timer.unref();

  let result;
  main().then((value) => {
    result = value;
    at('its own end');
  });

  process.on('exit', (code) => {
    if (code !== 0) return;
    if (result === undefined) {
      console.error(`nothing is left to wait for at "${step}"`);
      process.exitCode = 1;
    } else {
      console.log(JSON.stringify(result));
    }
  });
}

/** Starts a server on a free port of 127.0.0.1. Resolves to the port. */
async function listen(server) {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server.address().port;
}

/** Closes a server. Resolves when its last connection has closed. */
async function close(server) {
  server.close();
  await once(server, 'close');
}

/** Resolves to the status and the headers of the response that refuses a handshake. */
async function refusal(ws) {
  const [request, response] = await once(ws, 'unexpected-response');
  request.destroy();
  return { status: response.statusCode, headers: response.headers };
}

/** Resolves to the code and the reason of the 'close' event. */
async function closing(ws) {
  const [code, reason] = await once(ws, 'close');
  return { code, reason: String(reason) };
}

/** Sends a message. Resolves to the next message that is received. */
async function exchange(ws, data) {
  const answered = once(ws, 'message');
  ws.send(data);
  const [answer, isBinary] = await answered;
  return { data: answer, isBinary };
}

/**
 * Returns a Buffer whose bytes depend on their position, so that no change is missed.
 */
function pattern(length) {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >> 8)) & 0xff;
  return bytes;
}

module.exports = {
  at,
  close,
  closing,
  exchange,
  listen,
  pattern,
  refusal,
  run,
};
