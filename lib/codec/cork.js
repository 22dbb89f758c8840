'use strict';

// Corks sockets, so that one system call writes all frames that are sent while a chunk is
// delivered, or otherwise all frames of a tick.

const { whenTickEnds } = require('../context');
const { atExit, nextTick, once } = require('../environment');

/**
 * The property of a socket with the number of its cork: each cork has its own. 0 if the
 * socket is not corked here.
 */
const kCork = once('kCork', () => Symbol('cork'));

/** The sockets that are corked until the end of the tick. */
const corked = once('corked', () => []);

/** The sockets that are corked until a chunk is delivered. */
const held = once('held', () => []);

let corks = 0;

/** Prepares a socket for the functions below. Does nothing if it cannot be corked. */
function prepare(socket) {
  if (typeof socket.cork !== 'function' || socket[kCork] !== undefined) return;
  socket[kCork] = 0;
  // At `process.exit()` no tick ends any more.
  once('flushAtExit', () => {
    atExit(() => {
      flushAll();
      held.forEach(flush);
    });
    return true;
  });
}

/** Returns the number of a socket's cork; 0 if it is not corked. */
function corkOf(socket) {
  return socket[kCork] || 0;
}

/** Corks a socket until the end of the tick, unless it is corked. */
function cork(socket) {
  if (socket[kCork] !== 0) return;
  socket[kCork] = ++corks;
  socket.cork();
  if (corked.push(socket) === 1) whenTickEnds(flushAll);
}

/** Corks a socket until `release`. Returns false if it is corked or cannot be corked. */
function hold(socket) {
  if (socket[kCork] !== 0) return false;
  socket[kCork] = ++corks;
  socket.cork();
  held.push(socket);
  return true;
}

/** Uncorks the last socket that was corked by `hold`. */
function release() {
  flush(held.pop());
}

/** Uncorks a socket, which writes what it has buffered. */
function flush(socket) {
  if (corkOf(socket) === 0) return;
  socket[kCork] = 0;
  try {
    socket.uncork();
  } catch (error) {
    nextTick(raise, error);
  }
}

function raise(error) {
  throw error;
}

function flushAll() {
  // What a socket calls when it is written to may cork others.
  for (let i = 0; i < corked.length; i++) flush(corked[i]);
  corked.length = 0;
}

module.exports = { cork, corkOf, flush, hold, prepare, release };
