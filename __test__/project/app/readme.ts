import WebSocket, { WebSocketServer } from 'NAME';

const wss: WebSocketServer = new WebSocketServer({ port: 0 }, () => {
  const { port } = (wss as any)._server.address();
  const ws: WebSocket = new WebSocket(`ws://127.0.0.1:${port}`);
  ws.onopen = () => ws.send('Hello');
  ws.onmessage = ({ data }) => {
    console.log(data);
    wss.close();
  };
});

wss.on('connection', (ws) => {
  ws.on('message', (data, flags) => ws.send(data));
});
