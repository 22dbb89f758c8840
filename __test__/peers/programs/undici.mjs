// undici as a peer: `client URL PARAMETERS`.

import diagnostics from 'node:diagnostics_channel';

import { WebSocket, ping } from 'undici';

import { echo } from './echo.mjs';

const [, url] = process.argv.slice(2);

const ws = new WebSocket(url);
echo(ws, console.log, (data) => ping(ws, Buffer.from(data)));
diagnostics.subscribe('undici:websocket:pong', ({ payload }) => {
  ws.send(`pong ${payload}`);
});
