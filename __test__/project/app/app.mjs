import WebSocket, { Server, WebSocketServer } from 'NAME';

if (Server !== WebSocketServer || Server !== WebSocket.Server) process.exit(1);

const wss = new Server({ host: '127.0.0.1', port: 0 }, () => {
  const ws = new WebSocket(`ws://127.0.0.1:${wss._server.address().port}`);
  ws.onopen = () => ws.send('Hello');
  ws.onmessage = ({ data }) => {
    console.log(data);
    wss.close();
  };
});
wss.on('connection', (ws) => ws.on('message', (data) => ws.send(data)));
