'use strict';

// What stands before an upgrade on its connection, and what Node makes of it: answers to
// earlier requests that are still under way, and the request's own body.

/**
 * Calls back once it is the upgrade's turn, at once in the usual case, with what was read
 * behind the request and its body; or with null if its turn does not come, or the request
 * has a body whose end nobody can tell.
 *
 * @param {http.IncomingMessage} request
 * @param {stream.Duplex} socket
 * @param {Buffer} head what was read behind the request's head
 * @param {Function} callback
 */
function whenDue(request, socket, head, callback) {
  whenAnswered(request, socket, (isOpen) => {
    if (isOpen) skipBody(request, socket, head, callback);
    else callback(null);
  });
}

/**
 * Calls back when the answers to all earlier requests are sent: an answer must not land
 * among the frames. Node tells of an upgrade as soon as it has read it.
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
  // Node does not hand this on any more, and an answer that is piped would stop.
  const onDrain = () => {
    const answer = earlierAnswer(request, connection);
    if (answer && answer.writableNeedDrain) answer.emit('drain');
  };
  // When one is sent the next has its turn.
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
 * The answer to an earlier request that is under way on a connection. Programs that route
 * upgrades as other requests may have made an answer to this one: it is not waited for.
 */
function earlierAnswer(request, { _httpMessage: answer }) {
  return answer && answer.req !== request ? answer : null;
}

/** Node may have stopped reading for its answers, and goes on with nobody there. */
function takeOver(connection) {
  const { _handle: handle, _paused: isPaused } = connection;
  if (!isPaused && (!handle || handle.reading !== false)) return;
  connection._paused = false;
  // The stream takes itself to be reading: it is to ask again.
  connection.push('');
}

/** Calls back with what is behind the body of the request: frames begin there. */
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
  // Node.js 26 parses the body; before, it is the first that comes.
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

module.exports = { whenDue };
