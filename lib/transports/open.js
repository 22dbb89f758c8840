'use strict';

const NativeTransport = require('./NativeTransport');
const StreamTransport = require('./StreamTransport');

/**
 * Opens the transport of a connection of Node after its handshake: a NativeTransport if the
 * engine can take over the socket, otherwise a StreamTransport.
 *
 * The transport calls these methods of `incoming`. `wire` is the number of bytes on the
 * wire since the previous event.
 *
 * - `message(ws, data, isBinary, isMasked, wire, ends)`: `ends` are the offsets at
 *   which the message's fragments end, or 0 for a message of one frame and if
 *   `wantsEnds` returns false
 * - `ping(ws, data, isMasked, wire)`, `pong(ws, data, isMasked, wire)`
 * - `close(ws, code, reason, isMasked, wire)`: a close frame was received; `code` is 0 if
 *   it has none, and `reason` is a Buffer
 * - `violation(ws, violation, closeCode, wire)`: see `codec/violations`
 * - `dropped(ws, wire)`: an event was dropped, since the connection is closing
 * - `end(ws)`: the other end has ended its direction of the connection
 * - `failed(ws, error)`: the connection has failed; `error` may be missing
 * - `closing(ws)`: the socket has closed; received events may still follow
 * - `closed(ws)`: the socket has closed, and no event follows
 * - `wantsEnds(ws)`: returns whether `message` needs the ends of fragments
 * - `hasSocket(ws, socket)`: Node's socket was created for a connection that the engine
 *   has accepted
 * - `moved(ws, transport)`: from now on, this transport carries the connection
 * - `heldBytes(ws)`: returns the bytes of messages that the API queues itself, and gives to
 *   the transport later
 * - `drained(ws)`: nothing is queued any more, after more than the high-water mark was
 * - `notSent(cause, isCompressing)`: returns the error for the callback of data that is
 *   not sent
 *
 * @param {WebSocket} ws
 * @param {stream.Duplex} socket
 * @param {Buffer} [head] the bytes that were read after the handshake
 * @param {Object} incoming
 * @param {Object} options
 * @param {Object} [options.deflate] present if permessage-deflate was negotiated:
 *   `native`, and `threshold`, the minimum length in bytes of messages that are
 *   compressed
 * @param {Object} options.limits see `codec/limits`
 * @param {Number} options.highWaterMark see `highWaterMark`
 * @param {Boolean} options.masks whether the transport masks the pongs that it sends
 * @param {Boolean} options.textsAreStrings whether text messages are delivered as
 *   strings; as Buffers otherwise
 * @param {Boolean} options.answers whether the transport answers pings
 * @param {Boolean} [options.isStepwise=false] whether each event is delivered in its own
 *   turn of the event loop
 * @param {Boolean} [options.endsEndPauses=false] whether an event that ends the
 *   connection ends a pause
 * @param {Function} [options.maskKey] returns the masking key of a frame; the connection
 *   is then carried by a StreamTransport
 */
function open(ws, socket, head, incoming, options) {
  if (typeof socket.setTimeout === 'function') socket.setTimeout(0);
  if (typeof socket.setNoDelay === 'function') socket.setNoDelay();
  if (!options.maskKey && NativeTransport.takes(socket)) {
    const transport = new NativeTransport(ws, incoming, options);
    incoming.moved(ws, transport);
    transport.start(socket, head);
  } else {
    const transport = new StreamTransport(ws, socket, incoming, options);
    incoming.moved(ws, transport);
    transport.start(head);
  }
}

module.exports = open;
