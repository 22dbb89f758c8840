'use strict';

// A server that runs out of descriptors and has to keep running. The test starts it
// with a limit of descriptors.

const { fork } = require('child_process');
const net = require('net');

const WebSocket = require('../..');
const { request } = require('../support');

const COUNT = 100;

function open(port) {
  let left = COUNT;
  const done = () => {
    if (--left === 0 && process.connected) process.send('all');
  };
  const next = (i) => {
    if (i === COUNT) return;
    const socket = net.connect(port, '127.0.0.1');
    let isDone = false;
    const finish = () => {
      if (isDone) return;
      isDone = true;
      done();
      next(i + 1);
    };
    socket.setTimeout(20, finish);
    socket.on('connect', () => socket.write(request()));
    socket.on('data', finish);
    socket.on('error', finish);
    socket.on('close', finish);
  };
  next(0);
}

function serve() {
  const options = { host: '127.0.0.1', port: 0 };
  const wss = new WebSocket.Server(options, () => {
    let count = 0;
    wss.on('connection', () => count++);
    const child = fork(__filename, [wss._server.address().port]);
    child.on('message', () => {
      child.kill();
      child.on('exit', () => {
        process.stdout.write(JSON.stringify({ count }));
        process.exit(0);
      });
    });
  });
}

if (process.argv.length > 2) open(Number(process.argv[2]));
else serve();
