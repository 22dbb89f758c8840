// What peers with the interface of the browser's WebSocket have in common.

/** Has a WebSocket echo and obey. `ping` sends a ping, if the peer can. */
export function echo(ws, print, ping) {
  ws.binaryType = 'arraybuffer';
  ws.addEventListener('message', ({ data }) => {
    if (typeof data !== 'string' || !data.startsWith('peer: ')) {
      ws.send(data);
      return;
    }
    const [word, ...rest] = data.slice('peer: '.length).split(' ');
    if (word === 'ping') ping(rest.join(' '));
    if (word === 'close') ws.close(Number(rest[0]), rest.slice(1).join(' '));
  });
  ws.addEventListener('close', ({ code, reason }) => {
    print(`closed: ${code} ${reason}`);
  });
}
