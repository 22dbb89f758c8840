import WebSocket, { WebSocketServer, type RawData } from 'NAME';

const wss = new WebSocketServer({ host: '127.0.0.1', port: 0 }, () => {
  const { port } = wss.address() as { port: number };
  const ws = new WebSocket(`ws://127.0.0.1:${port}`);
  ws.on('open', () => ws.send('Hello'));
  ws.on('message', (data: RawData) => {
    console.log(data.toString());
    ws.close();
    wss.close();
  });
});
wss.on('connection', (ws: WebSocket) => {
  ws.on('message', (data) => ws.send(data.toString()));
});
