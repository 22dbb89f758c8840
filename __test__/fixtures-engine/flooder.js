'use strict';

// Another process, which sends empty messages as fast as they are taken.

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
  socket.pause(); // It reads nothing more.
  write();
});
process.on('disconnect', () => process.exit());
