import WebSocket = require('NAME');

const options: WebSocket.ServerOptions = { host: '127.0.0.1', port: 0 };
const wss: WebSocket.WebSocketServer = new WebSocket.Server(options, () => {
  const { port } = wss.address() as WebSocket.AddressInfo;
  const ws: WebSocket = new WebSocket(`ws://127.0.0.1:${port}`);
  ws.on('open', () => ws.send('Hello'));
  ws.on('message', (data: WebSocket.RawData, isBinary: boolean) => {
    console.log(isBinary ? 'binary' : data.toString());
    ws.close();
    wss.close();
  });
});
wss.on('connection', (ws, request) => {
  ws.on('message', (data) => ws.send(`${data}${request.url!.slice(1)}`));
});
