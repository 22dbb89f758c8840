'use strict';

// The example echo.js with the API of ws 8: text is received as a Buffer, too, and the
// second argument is whether the message is binary.

const { WebSocket, WebSocketServer } = require('../ws8'); // in your app: require('oxws/ws8')

const port = Number(process.env.PORT || 0);
const wss = new WebSocketServer({ host: '127.0.0.1', port });

wss.on('connection', (ws) => {
  ws.on('error', console.error);
  ws.on('message', (data, isBinary) => {
    ws.send(data, { binary: isBinary });
  });
});

wss.on('listening', () => {
  const ws = new WebSocket(`ws://127.0.0.1:${wss.address().port}/`);

  ws.on('open', () => {
    ws.send('hello');
    ws.send(Buffer.from([1, 2, 3]));
  });

  ws.on('message', (data, isBinary) => {
    console.log('received', isBinary ? data : data.toString());
    if (isBinary) ws.close(1000, 'enough');
  });

  ws.on('close', (code, reason) => {
    console.log(`closed with ${code} (${reason})`);
    wss.close(() => console.log('done'));
  });
});
