// A WebSocket of the browser that reconnects automatically.

// The delays before reconnecting, in milliseconds. The delay doubles with each attempt.
const FIRST_DELAY = 500;
const LAST_DELAY = 4000;

export function urlOf(path) {
  const url = new URL(path, location.href);
  url.protocol = url.protocol.replace('http', 'ws');
  return url;
}

/**
 * @param {string} path
 * @param {{ open: function, message: function, close: function }} on
 * @return {{ socket: WebSocket }} the current socket
 */
export function keepConnected(path, on) {
  const link = { socket: null };
  let delay = FIRST_DELAY;

  function connect() {
    const socket = new WebSocket(urlOf(path));

    socket.binaryType = 'arraybuffer';
    socket.onopen = () => {
      delay = FIRST_DELAY;
      on.open(socket);
    };
    socket.onmessage = ({ data }) => on.message(data);
    socket.onclose = ({ code }) => {
      on.close(code);
      setTimeout(connect, delay);
      delay = Math.min(delay * 2, LAST_DELAY);
    };
    link.socket = socket;
  }

  connect();
  return link;
}
