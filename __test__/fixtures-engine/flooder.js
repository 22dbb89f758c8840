'use strict';

// A client in another process that sends empty messages as fast as possible.

const net = require('net');

const { frame, request } = require('../support');

const socket = net.connect(Number(process.argv[2]), '127.0.0.1');
const chunk = Buffer.concat(Array(20000).fill(frame(2)));

function write() {
  while (socket.write(chunk));
}

socket.on('error', () => process.exit());
socket.on('close', () => process.exit());
socket.on('drain', write);
socket.write(request());
socket.once('data', () => {
  socket.pause(); // It reads only the start of the response.
  write();
});
process.on('disconnect', () => process.exit());
