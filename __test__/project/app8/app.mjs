import Default, * as all from 'NAME';

const { WebSocket, WebSocketServer } = all;
if (Default !== WebSocket) process.exit(1);
const names = Object.keys(all).sort().join();
if (
  names !==
  'PerMessageDeflate,PreparedMessage,Receiver,Sender,WebSocket,' +
    'WebSocketServer,createWebSocketStream,default,extension,subprotocol'
) {
  throw new Error(names);
}

const wss = new WebSocketServer({ host: '127.0.0.1', port: 0 }, () => {
  const ws = new WebSocket(`ws://127.0.0.1:${wss.address().port}`);
  ws.onopen = () => ws.send('Hello');
  ws.onmessage = ({ data }) => {
    console.log(data);
    ws.close();
    wss.close();
  };
});
wss.on('connection', (ws) => ws.on('message', (data) => ws.send(`${data}`)));
