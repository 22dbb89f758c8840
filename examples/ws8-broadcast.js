'use strict';

// The example broadcast.js with the API of ws 8: a chat room whose server sends each
// message that it receives to all clients.

const { WebSocket, WebSocketServer } = require('../ws8'); // in your app: require('oxws/ws8')

const NAMES = ['Ada', 'Grace', 'Joan'];

const port = Number(process.env.PORT || 0);
const wss = new WebSocketServer({ host: '127.0.0.1', port });

wss.on('connection', (ws) => {
  ws.on('error', console.error);
  // The message is framed once for all clients.
  ws.on('message', (data, isBinary) => {
    wss.broadcast(data, { binary: isBinary });
  });
});

wss.on('listening', () => {
  const address = `ws://127.0.0.1:${wss.address().port}/`;
  const clients = NAMES.map((name) => join(address, name));
  let waiting = clients.length;
  let left = 0;

  for (const ws of clients) {
    ws.addEventListener('open', () => {
      // Wait until all clients are connected.
      if (--waiting > 0) return;
      clients[0].send('Ada: hello, everybody');
      clients[2].send('Joan: hello, Ada');
    });
    ws.addEventListener('close', () => {
      if (++left === NAMES.length) wss.close(() => console.log('done'));
    });
  }
});

function join(address, name) {
  const ws = new WebSocket(address);
  let heard = 0;

  // With the event interface of browsers, text is a string.
  ws.onmessage = ({ data }) => {
    console.log(`${name} hears "${data}"`);
    if (++heard === 2) ws.close();
  };
  return ws;
}
