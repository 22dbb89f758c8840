// Compiled, never run: the types of ws 8 for ES modules.

import WebSocket, {
  type RawData,
  type ServerOptions,
  WebSocketServer,
  createWebSocketStream,
} from '../../../ws8/wrapper.mjs';

const options: ServerOptions = { port: 0, highWaterMark: 1024 };
new WebSocketServer(options).on('connection', (ws) => {
  const state: boolean = ws.writableNeedDrain;
  ws.on('message', (data: RawData) => ws.send(data));
  createWebSocketStream(ws).write(`${state}`);
});
new WebSocket('ws://localhost', { highWaterMark: 0 });
