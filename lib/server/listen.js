'use strict';

const dns = require('dns');
const util = require('util');

const { nextTick } = require('../environment');
const native = require('../native');
const accepting = require('./Listener');

/**
 * Has an HTTP server listen. The engine accepts the connections, if it can.
 *
 * @param {http.Server} server
 * @param {Object} options
 * @param {Number|String} options.port a port, or the path of a Unix-domain socket
 * @param {String} [options.host]
 * @param {Number} [options.backlog]
 * @param {Boolean} [options.reusePort] whether other sockets may listen on the same port
 * @param {Function} onUpgrade see Listener
 * @param {Function} [callback] a listener for 'listening'
 * @throws {RangeError} if `reusePort` is true, and `port` is not a port
 */
function listen(server, options, onUpgrade, callback) {
  const { backlog, host, port, reusePort } = options;
  accepting(server, onUpgrade, !!reusePort);
  if (!reusePort) {
    server.listen(port, host, backlog, callback);
    return;
  }
  if (!(Number(port) >= 0 && Number(port) < 65536)) {
    throw new RangeError(`reusePort needs a port from 0 to 65535: ${port}`);
  }
  if (callback) server.once('listening', callback);
  let isClosed = false;
  server.once('close', () => {
    isClosed = true;
  });
  const bind = (error, ip) => {
    if (isClosed) return;
    if (error) server.emit('error', error);
    else listenOn(server, ip, port, backlog);
  };
  if (host) dns.lookup(host, bind);
  else nextTick(bind, null, null);
}

/**
 * Listens on a port that others may listen on. Node.js has the option `reusePort` only
 * since 22.12 and 23.1, so the socket is bound here.
 */
function listenOn(server, ip, port, backlog) {
  const fd = bindShared(ip, port);
  // As `server.listen({ fd })`, which in a worker of a cluster would have the primary
  // process listen, where the descriptor is another one.
  if (fd >= 0) server._listen2(null, null, null, backlog, fd);
  else server.emit('error', listenError(fd, ip || '::', Number(port)));
}

function bindShared(ip, port) {
  // On Windows, ports cannot be shared.
  if (native.bindShared === undefined) return ENOTSUP;
  return native.bindShared(ip || undefined, Number(port));
}

const ENOTSUP = -4049;

/** Returns an error as Node's own for a server that cannot listen. */
function listenError(errno, address, port) {
  const [code, text] = util.getSystemErrorMap().get(errno) || [errno, 'error'];
  const error = new Error(`listen ${code}: ${text} ${address}:${port}`);
  return Object.assign(error, {
    code,
    errno,
    syscall: 'listen',
    address,
    port,
  });
}

module.exports = listen;
