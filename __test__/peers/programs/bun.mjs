// Bun as a peer: `server PARAMETERS` or `client URL PARAMETERS`.

import { echo } from './echo.mjs';

const [mode, ...rest] = process.argv.slice(2);
const { deflate } = JSON.parse(rest.pop());

const MAX_LENGTH = 1 << 26;

if (mode === 'client') {
  const ws = new WebSocket(rest[0], { perMessageDeflate: deflate });
  echo(ws, console.log, (data) => ws.ping(data));
  ws.addEventListener('pong', ({ data }) => {
    ws.send(`pong ${new TextDecoder().decode(data)}`);
  });
} else {
  const server = globalThis.Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    fetch: (request, { upgrade }) => {
      if (!upgrade.call(server, request)) return new Response('');
    },
    websocket: {
      backpressureLimit: MAX_LENGTH,
      maxPayloadLength: MAX_LENGTH,
      perMessageDeflate: deflate,
      message(ws, data) {
        if (typeof data !== 'string' || !data.startsWith('peer: ')) {
          ws.send(data, deflate);
          return;
        }
        const [word, ...words] = data.slice('peer: '.length).split(' ');
        if (word === 'ping') ws.ping(words.join(' '));
        if (word === 'close') {
          ws.close(Number(words[0]), words.slice(1).join(' '));
        }
      },
      pong: (ws, data) => ws.send(`pong ${data}`),
      close: (ws, code, reason) => console.log(`closed: ${code} ${reason}`),
    },
  });
  console.log(`port: ${server.port}`);
}
