'use strict';

// What the programs share. Each of them drives one dependent of ws, checks what comes
// of it, and tells what it saw as one line of JSON.

const { once } = require('events');

/** How long a program may take, in milliseconds: far longer than any of them does. */
const LIMIT = 30000;

/** What the program is at, told when its time is over. */
let step = 'the start';

/** Names what comes next. */
function at(name) {
  step = name;
}

/**
 * Runs a program. What it resolves to is printed when the process has ended by itself:
 * a connection or a timer that is left behind is a failure too.
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

/** Has a server listen on a free port of 127.0.0.1, and resolves to the port. */
async function listen(server) {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server.address().port;
}

/** Closes a server; resolves when its last connection is gone. */
async function close(server) {
  server.close();
  await once(server, 'close');
}

/** Where a handshake is refused: the status and the headers of the answer. */
async function refusal(ws) {
  const [request, response] = await once(ws, 'unexpected-response');
  request.destroy();
  return { status: response.statusCode, headers: response.headers };
}

/** Resolves to the code and the reason that a connection closes with. */
async function closing(ws) {
  const [code, reason] = await once(ws, 'close');
  return { code, reason: String(reason) };
}

/** Sends a message, and resolves to the data and the kind of the next one received. */
async function exchange(ws, data) {
  const answered = once(ws, 'message');
  ws.send(data);
  const [answer, isBinary] = await answered;
  return { data: answer, isBinary };
}

/** A Buffer whose bytes say where they stand, so that none may be lost or moved. */
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
