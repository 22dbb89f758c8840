'use strict';

/**
 * An upgrade request and its connection. A server opens a WebSocket with it, or refuses
 * it through Node's socket. There is a class for each of those that may have accepted the
 * connection: Node, and the engine.
 *
 * @property {http.IncomingMessage} request
 * @property {http.IncomingMessage|String} requestOrHead the request, or its head as a
 *   string if the request has not been read
 * @property {stream.Duplex} socket Node's socket
 * @property {Boolean} isOpen whether the client is still connected
 * @property {Boolean} isSecure whether the connection is encrypted
 * @method respond(response) sends the response that accepts the request
 * @method open(ws, incoming, options) opens the transport after the response, see
 *   `transports/open`
 * @method unguard() called before a refusal is written: errors of the socket are no
 *   longer handled
 * @method destroy() closes the connection
 */
class Upgrade {}

/** The listener for errors of a socket during the handshake, which are not reported. */
Upgrade.onError = function onError() {
  this.destroy();
};

module.exports = Upgrade;
