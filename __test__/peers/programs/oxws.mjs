// oxws as a peer of itself, behind proxies: `server PARAMETERS` or
// `client URL PARAMETERS`.

import { WebSocket, WebSocketServer } from '../../../ws8/wrapper.mjs';

import { echo } from './echo.mjs';

const [mode, ...rest] = process.argv.slice(2);
const { deflate } = JSON.parse(rest.pop());
const options = { perMessageDeflate: deflate && { threshold: 0 } };

function run(ws) {
  echo(ws, console.log, (data) => ws.ping(data));
  ws.on('pong', (data) => ws.send(`pong ${data}`));
}

if (mode === 'client') {
  run(new WebSocket(rest[0], options));
} else {
  const wss = new WebSocketServer({ host: '127.0.0.1', port: 0, ...options });
  wss.on('connection', run);
  wss.on('listening', () => console.log(`port: ${wss.address().port}`));
}
