'use strict';

const NativeTransport = require('./NativeTransport');
const StreamTransport = require('./StreamTransport');

/**
 * Carries a connection on which both ends have agreed: by the engine where it can take
 * over the socket, and by Node's streams elsewhere.
 *
 * `incoming` is what the transport calls, mostly with the WebSocket first. `wire` is the
 * bytes on the wire since the event before.
 *
 * - `message(ws, data, isBinary, isMasked, wire, ends)`: `ends` is where its fragments
 *   end, if it had several and that is wanted, or 0
 * - `ping(ws, data, isMasked, wire)`, `pong(ws, data, isMasked, wire)`
 * - `close(ws, code, reason, isMasked, wire)`: a close frame; its code, 0 for none, and
 *   its reason, a Buffer
 * - `violation(ws, violation, closeCode, wire)`: see `codec/violations`
 * - `dropped(ws, wire)`: an event that is not told, since the connection is closing
 * - `end(ws)`: the other end sends no more
 * - `failed(ws, error)`: the connection has failed; the error may be missing
 * - `closing(ws)`: the socket is closed; what was received may still be told
 * - `closed(ws)`: nothing more comes
 * - `wantsEnds(ws)`: whether `message` is to be told where fragments end
 * - `moved(ws, transport)`: another transport carries it from now on
 * - `notSent(cause, isCompressing)`: the error for a callback whose data is not sent
 *
 * @param {WebSocket} ws
 * @param {stream.Duplex} socket
 * @param {Buffer} [head] what was read already
 * @param {Object} incoming
 * @param {Object} options
 * @param {Object} [options.deflate] where permessage-deflate is agreed on: `native`, and
 *   `threshold`, the least length of a message in bytes that is compressed
 * @param {Object} options.limits see `codec/limits`
 * @param {Boolean} options.masks whether this end masks what it sends
 * @param {Boolean} options.textsAreStrings what a text arrives as: a string, or its bytes
 * @param {Boolean} options.answers whether pings are answered by the transport
 * @param {Boolean} [options.isStepwise] whether each event has a turn of the loop
 * @param {Boolean} [options.endsEndPauses] whether what ends the connection, and was read
 *   already, is told while it is paused
 * @param {Function} [options.maskKey] gives the masking key of each frame: a stream
 */
function open(ws, socket, head, incoming, options) {
  if (typeof socket.setTimeout === 'function') socket.setTimeout(0);
  if (typeof socket.setNoDelay === 'function') socket.setNoDelay();
  const isNative = !options.maskKey && NativeTransport.takes(socket);
  const Transport = isNative ? NativeTransport : StreamTransport;
  const transport = new Transport(ws, socket, incoming, options);
  incoming.moved(ws, transport);
  transport.start(head);
}

module.exports = open;
