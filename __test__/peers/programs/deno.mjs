// Deno as a peer: `server PARAMETERS` or `client URL PARAMETERS`.

import { echo } from './echo.mjs';

const { Deno } = globalThis;
const [mode, url] = Deno.args;

if (mode === 'client') {
  echo(new WebSocket(url), console.log);
} else {
  const onListen = ({ port }) => console.log(`port: ${port}`);
  Deno.serve({ hostname: '127.0.0.1', port: 0, onListen }, (request) => {
    const { socket, response } = Deno.upgradeWebSocket(request);
    echo(socket, console.log);
    return response;
  });
}
