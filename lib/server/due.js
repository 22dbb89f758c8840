'use strict';

// Delays an upgrade until the connection is free for frames: the responses to earlier
// requests have to be sent, and the body of the upgrade request has to be skipped.

/**
 * Calls back when the upgrade can be handled. This is usually at once.
 *
 * @param {http.IncomingMessage} request
 * @param {stream.Duplex} socket
 * @param {Buffer} head the bytes read after the head of the request
 * @param {Function} callback called with the bytes read after the request and its body;
 *   or with null if the connection ends first, or if the request has a
 *   `Transfer-Encoding`, so that the end of its body is unknown
 */
function whenDue(request, socket, head, callback) {
  whenAnswered(request, socket, (isOpen) => {
    if (isOpen) skipBody(request, socket, head, callback);
    else callback(null);
  });
}

/**
 * Calls back when the responses to all earlier requests are sent, with whether the
 * connection is still writable. Node emits 'upgrade' as soon as it has read the
 * request, but a response must not be written between frames.
 */
function whenAnswered(request, socket, callback) {
  const connection = request.socket || socket;
  const isOwn = socket === connection;
  if (isOwn) takeOver(connection);
  if (!earlierAnswer(request, connection)) {
    callback(true);
    return;
  }
  let isOver = false;
  const end = (isOpen) => {
    if (isOver) return;
    isOver = true;
    connection.removeListener('close', onClose);
    connection.removeListener('end', onClose);
    connection.removeListener('drain', onDrain);
    if (isOwn) takeOver(connection);
    callback(isOpen);
  };
  const onClose = () => end(false);
  // Node no longer forwards 'drain' to the response, so a piped response would stall.
  const onDrain = () => {
    const answer = earlierAnswer(request, connection);
    if (answer && answer.writableNeedDrain) answer.emit('drain');
  };
  // Node sends pipelined responses one after the other.
  const next = () => {
    const answer = earlierAnswer(request, connection);
    if (answer) answer.once('finish', next);
    else end(connection.writable);
  };
  connection.on('close', onClose);
  connection.on('end', onClose);
  connection.on('drain', onDrain);
  next();
}

/**
 * Returns the response to an earlier request that is being sent on a connection, or
 * null. A response to `request` itself does not count: programs that route upgrades
 * like other requests create one.
 */
function earlierAnswer(request, { _httpMessage: answer }) {
  return answer && answer.req !== request ? answer : null;
}

/**
 * Resumes reading. Node's HTTP server may have paused the connection until its
 * responses are sent, and it does not resume an upgraded connection.
 */
function takeOver(connection) {
  const { _handle: handle, _paused: isPaused } = connection;
  if (!isPaused && (!handle || handle.reading !== false)) return;
  connection._paused = false;
  // The stream believes that a read is pending. An empty push makes it read again.
  connection.push('');
}

/** Calls back with the bytes after the body of the request, where the frames begin. */
function skipBody(request, socket, head, callback) {
  const { headers } = request;
  if (headers['transfer-encoding'] !== undefined) {
    callback(null);
    return;
  }
  const length = Number(headers['content-length'] || 0);
  if (length === 0) {
    callback(head);
    return;
  }
  // Node.js 26 parses the body. In earlier versions it is at the start of `head`.
  const isParsed =
    request.complete === false ||
    request.readableLength > 0 ||
    request.readableDidRead === true;
  if (isParsed) request.resume();
  if (isParsed ? request.complete : head.length >= length) {
    callback(isParsed ? head : head.subarray(length));
    return;
  }
  if (socket.destroyed || socket.readableEnded) {
    callback(null);
    return;
  }
  let left = length - head.length;
  const end = (behind) => {
    socket.removeListener('readable', onReadable);
    socket.removeListener('close', onClose);
    socket.removeListener('end', onClose);
    if (isParsed) request.removeListener('end', onEnd);
    callback(behind);
  };
  const onClose = () => end(null);
  const onEnd = () => end(head);
  const onReadable = () => {
    while (left > 0 && socket.readableLength > 0) {
      left -= socket.read(Math.min(left, socket.readableLength)).length;
    }
    if (left === 0) end(Buffer.alloc(0));
    else socket.read(0);
  };
  socket.on('close', onClose);
  socket.on('end', onClose);
  if (isParsed) request.on('end', onEnd);
  else socket.on('readable', onReadable);
}

module.exports = whenDue;
