'use strict';

const http = require('http');
const net = require('net');

const kSocket = Symbol('oxws.socket');
const kSocketOf = Symbol('oxws.socketOf');

/** The request of an upgrade that the engine has read. Its socket is created when read. */
class UpgradeRequest extends http.IncomingMessage {
  /**
   * @param {String} head the head of the request, which is valid
   * @param {Function} socketOf returns Node's socket, or null
   */
  constructor(head, socketOf) {
    super(null);
    this[kSocketOf] = socketOf;
    const [first, ...lines] = head.slice(0, head.indexOf(END)).split('\r\n');
    const [method, url] = first.split(' ');
    this.method = method;
    this.url = url;
    this.httpVersion = '1.1';
    this.httpVersionMajor = 1;
    this.httpVersionMinor = 1;
    this.upgrade = true;
    const fields = lines.flatMap(asField);
    this._addHeaderLines(fields, fields.length);
    // The request has no body.
    this.complete = true;
    this.push(null);
  }

  get socket() {
    if (this[kSocket] === null) {
      // A connection of the past has no socket any more.
      this[kSocket] = this[kSocketOf]() || new net.Socket().destroy();
    }
    return this[kSocket];
  }

  set socket(socket) {
    this[kSocket] = socket;
  }

  get client() {
    return this.socket;
  }

  set client(socket) {
    this[kSocket] = socket;
  }

  /** Returns the request target in the head of a request. */
  static urlOf(head) {
    const start = head.indexOf(' ') + 1;
    return head.slice(start, head.indexOf(' ', start));
  }
}

/** The end of a head. */
const END = '\r\n\r\n';

/** Returns the name and the value of a header field. */
function asField(line) {
  const colon = line.indexOf(':');
  const value = line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, '');
  return [line.slice(0, colon), value];
}

module.exports = UpgradeRequest;
