import WebSocket = require('NAME');
import { AddressInfo } from 'net';

const wss = new WebSocket.Server({ host: '127.0.0.1', port: 0 });
wss.on('listening', () => {
  const server = (wss as unknown as { _server: { address(): AddressInfo } })
    ._server;
  const ws = new WebSocket(`ws://127.0.0.1:${server.address().port}`);
  ws.on('open', () => ws.send('Hello'));
  ws.on('message', (data, flags) => {
    if (!flags.binary) console.log(data);
    wss.close();
  });
});
wss.on('connection', (ws) => ws.on('message', (data) => ws.send(data)));
