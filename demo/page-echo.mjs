// The echo box: sends text and files, and shows what is received.

import { formatBytes, formatMs } from './page-format.mjs';
import { keepConnected } from './page-socket.mjs';

const KEEP = 20;

const $ = (id) => document.getElementById(id);

/**
 * @return {{ limit: number }} the maximum length of a message in bytes
 */
export function startEcho() {
  const settings = { limit: Infinity };
  // The server answers in order.
  const waiting = [];

  const link = keepConnected('/echo', {
    open(socket) {
      $('echo-status').textContent = socket.extensions
        ? socket.extensions.split(';', 1)[0]
        : 'no compression';
    },
    message(data) {
      const entry = waiting.shift();
      if (entry) received(entry, data, performance.now() - entry.start);
    },
    close() {
      $('echo-status').textContent = 'Not connected';
      for (const entry of waiting.splice(0)) {
        fail(entry, 'the connection was lost');
      }
    },
  });

  function send(data, { name, type, size }) {
    const entry = { data, name, type, size, ...addItem(name || data, size) };

    if (size > settings.limit) {
      fail(entry, `larger than ${formatBytes(settings.limit)}`);
    } else if (link.socket.readyState !== WebSocket.OPEN) {
      fail(entry, 'not connected');
    } else {
      entry.start = performance.now();
      waiting.push(entry);
      link.socket.send(data);
    }
  }

  function sendText() {
    const text = $('echo-input').value;

    if (text === '') return;
    send(text, { size: new TextEncoder().encode(text).length });
    $('echo-input').value = '';
  }

  async function sendFiles(files) {
    for (const file of files) {
      // Do not read a file that is too large to be sent.
      const data = file.size > settings.limit ? null : await file.arrayBuffer();
      send(data, file);
    }
  }

  $('echo-text').addEventListener('submit', (event) => {
    event.preventDefault();
    sendText();
  });
  $('echo-input').addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    sendText();
  });
  $('echo-files').addEventListener('change', async ({ target }) => {
    await sendFiles([...target.files]);
    target.value = ''; // so that the same file can be chosen again
  });
  startDrop($('echo-drop'), sendFiles);

  return settings;
}

function received(entry, data, ms) {
  const same =
    typeof data === 'string' ? data === entry.data : equal(data, entry.data);

  if (!same) return fail(entry, 'the echo differs');

  entry.item.dataset.state = 'ok';
  entry.result.textContent = formatMs(ms);
  entry.result.title = 'Round-trip time. The echo is identical';

  if (typeof data !== 'string') addFile(entry, data);
}

function addFile({ item, name, type }, data) {
  const url = URL.createObjectURL(new Blob([data], { type }));
  const link = document.createElement('a');

  link.href = url;
  link.download = name;
  link.textContent = 'Download';
  link.setAttribute('aria-label', `Download the echo of ${name}`);
  item.dataset.url = url;
  item.querySelector('.actions').append(link);

  if (type.startsWith('image/')) {
    const image = document.createElement('img');
    image.src = url;
    image.alt = `Echo of ${name}`;
    item.append(image);
  }
}

function fail({ item, result }, why) {
  item.dataset.state = 'failed';
  result.textContent = why;
}

function addItem(label, size) {
  const list = $('echo-list');
  const item = document.createElement('li');
  const name = document.createElement('span');
  const bytes = document.createElement('span');
  const actions = document.createElement('span');
  const result = document.createElement('span');

  item.dataset.state = 'waiting';
  name.className = 'name';
  name.textContent = label.slice(0, 500);
  bytes.className = 'bytes';
  bytes.textContent = formatBytes(size);
  actions.className = 'actions';
  result.className = 'result';
  result.textContent = '…';
  item.append(name, actions, bytes, result);
  list.prepend(item);

  while (list.children.length > KEEP) {
    const old = list.lastElementChild;
    if (old.dataset.url) URL.revokeObjectURL(old.dataset.url);
    old.remove();
  }
  return { item, result };
}

function equal(a, b) {
  if (!(b instanceof ArrayBuffer) || a.byteLength !== b.byteLength) {
    return false;
  }

  const [x, y] = [new Uint8Array(a), new Uint8Array(b)];
  return x.every((byte, i) => byte === y[i]);
}

function startDrop(zone, onFiles) {
  zone.addEventListener('dragover', (event) => {
    event.preventDefault();
    zone.classList.add('over');
  });
  zone.addEventListener('dragleave', () => zone.classList.remove('over'));
  zone.addEventListener('drop', (event) => {
    event.preventDefault();
    zone.classList.remove('over');
    onFiles([...event.dataTransfer.files]);
  });
}
