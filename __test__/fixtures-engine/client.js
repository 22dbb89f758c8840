'use strict';

// A client of the test's server. The test checks whether the process stays alive.

const WebSocket = require('../..');

const [, , manner, url, size] = process.argv;

/** Writes synchronously, so that nothing is lost in a pipe when the process exits. */
const tell = (text) => require('fs').writeSync(1, text);

const ws = new WebSocket(url, { perMessageDeflate: false });

process.on('exit', () => tell('exit\n'));
ws.on('open', () => {
  tell('open\n');
  switch (manner) {
    case 'unref':
      ws._socket.unref();
      break;
    case 'ref':
      ws._socket.unref();
      ws._socket.ref();
      break;
    case 'exit':
      ws.send('x'.repeat(Number(size)));
      process.exit(0);
      break;
    case 'terminate':
      ws.terminate();
      break;
    case 'close':
      ws.close();
  }
});
ws.on('message', (data) => {
  if (data === 'close') ws.close();
  if (data !== 'exit') return;
  ws.send('x'.repeat(Number(size)));
  process.exit(0);
});
