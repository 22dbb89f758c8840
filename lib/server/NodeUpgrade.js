'use strict';

const open = require('../transports/open');
const whenDue = require('./due');
const Upgrade = require('./Upgrade');

/** An upgrade request that Node's HTTP server, or the program itself, has read. */
class NodeUpgrade extends Upgrade {
  constructor(request, socket, head) {
    super();
    this.request = request;
    this.socket = socket;
    this.head = head;
  }

  /** Handles errors of the socket until the request is accepted or refused. */
  guard() {
    this.socket.on('error', Upgrade.onError);
  }

  unguard() {
    this.socket.removeListener('error', Upgrade.onError);
  }

  /** Calls back with whether frames can follow, once they can, see `due`. */
  whenDue(callback) {
    whenDue(this.request, this.socket, this.head, (head) => {
      this.head = head;
      callback(head !== null);
    });
  }

  get requestOrHead() {
    return this.request;
  }

  get isOpen() {
    return this.socket.readable && this.socket.writable;
  }

  get isSecure() {
    const { connection, socket } = this.request;
    const peer = connection || socket || this.socket;
    return !!(peer.authorized || peer.encrypted);
  }

  respond(response) {
    this.socket.write(response);
  }

  open(ws, incoming, options) {
    this.unguard();
    open(ws, this.socket, this.head, incoming, options);
  }

  destroy() {
    this.socket.destroy();
  }
}

module.exports = NodeUpgrade;
