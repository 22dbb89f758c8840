'use strict';

const assert = require('node:assert/strict');
const { once } = require('events');
const fs = require('fs');
const net = require('net');
const path = require('path');

const App = require('./App');
const { WebSocket } = require('../../ws8');
const { request } = require('../support');

const DOCUMENT = 'docs/deployment.md';
const PORTS = [8080, 8081, 8082];

const fixtures = path.join(__dirname, '..', 'fixtures');
const isWindows = process.platform === 'win32';

describe(DOCUMENT, function () {
  this.timeout(20000);

  let app;

  beforeEach(async () => {
    app = await App.create(DOCUMENT, PORTS);
  });

  afterEach(() => app.close());

  /** Starts a server of the document; resolves when it listens. */
  async function serve(file, options) {
    const child = app.start(file, options);
    await app.printed(child, /listen/);
    return child;
  }

  const address = (port = app.port()) => `ws://127.0.0.1:${port}/ws`;

  /** A client that is open, whose `closed` is its close code. */
  async function connect(url = address(), options = undefined) {
    const ws = new WebSocket(url, options);
    ws.closed = once(ws, 'close').then(([code]) => code);
    await once(ws, 'open');
    return ws;
  }

  /** What a server echoes. */
  async function echo(ws, text) {
    const received = once(ws, 'message');
    ws.send(text);
    return String((await received)[0]);
  }

  /** A client that does no more than the opening handshake: it answers nothing. */
  async function connectMute() {
    const socket = net.connect(app.port(), '127.0.0.1');
    socket.on('error', () => {});
    socket.write(request());
    await once(socket, 'data');
    return socket;
  }

  describe('server.js', () => {
    it('takes the address that the proxy has put last', async () => {
      const server = await serve('server.js');
      const headers = { 'X-Forwarded-For': '192.0.2.1, 198.51.100.7' };
      const ws = await connect(address(), { headers });
      assert.equal(await echo(ws, 'Hello'), 'Hello');
      ws.close();
      await ws.closed;
      await app.printed(server, /^connected: 198\.51\.100\.7$/m);
    });

    it('takes that of the socket without a proxy', async () => {
      const server = await serve('server.js');
      const ws = await connect();
      ws.terminate();
      await app.printed(server, /^connected: 127\.0\.0\.1$/m);
    });
  });

  describe('oxws.conf', () => {
    /** Starts nginx with the file, changed as told; resolves to the port it listens to. */
    async function startNginx(changes = {}) {
      app.edit('oxws.conf', {
        'listen 80;': `listen 127.0.0.1:${app.port(8081)};`,
        ...changes,
      });
      const folders = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
        .map((name) => `${name}_temp_path temp;`)
        .join(' ');
      fs.writeFileSync(
        path.join(app.folder, 'nginx.conf'),
        `events {} http { access_log off; ${folders} include oxws.conf; }`,
      );
      const nginx = app.start(null, {
        command: 'nginx',
        args: [
          ...['-p', app.folder, '-c', 'nginx.conf', '-e', 'stderr'],
          '-g',
          'daemon off; master_process off; pid nginx.pid; error_log stderr notice;',
        ],
      });
      // It says its version once it listens.
      await app.printed(nginx, /nginx\/\d/);
      return app.port(8081);
    }

    before(function () {
      if (!App.has('nginx')) this.skip();
    });

    it('has nginx upgrade, and add the address of the client', async () => {
      const server = await serve('server.js');
      const port = await startNginx();
      const headers = { 'X-Forwarded-For': '192.0.2.1' };
      const ws = await connect(address(port), { headers });
      assert.equal(await echo(ws, 'Hello'), 'Hello');
      ws.close(4000);
      await app.printed(server, /^closed: 4000$/m);
      assert.match(server.output, /^connected: 127\.0\.0\.1$/m);
    });

    it('is not needed for plain requests', async () => {
      await serve('server.js');
      const response = await fetch(`http://127.0.0.1:${await startNginx()}/`);
      assert.equal(await response.text(), 'ok\n');
    });

    it('passes permessage-deflate on', async () => {
      app.edit('server.js', { "'/ws' }": "'/ws', perMessageDeflate: true }" });
      await serve('server.js');
      const ws = await connect(address(await startNginx()));
      assert.equal(ws.extensions, 'permessage-deflate');
      const text = 'long enough '.repeat(1000);
      assert.equal(await echo(ws, text), text);
      ws.terminate();
    });

    it('is what the upgrade needs: the server gets a plain request', async () => {
      await serve('heartbeat.js');
      const port = await startNginx({
        'proxy_http_version 1.1;': '',
        'proxy_set_header Upgrade $http_upgrade;': '',
        'proxy_set_header Connection upgrade;': '',
      });
      const ws = new WebSocket(address(port));
      const [, response] = await once(ws, 'unexpected-response');
      assert.equal(response.statusCode, 426);
      response.resume();
    });

    it('reaches a server at a Unix socket, natively', async function () {
      if (isWindows) this.skip();
      const socket = path.join(app.folder, 'app.sock');
      app.edit('server.js', {
        [`${app.port()}, '127.0.0.1'`]: `'${socket}'`,
        'connected:': 'connected by ${diagnostics(ws).transport}:',
        '{ WebSocketServer }':
          '{ WebSocketServer, WebSocket: { diagnostics } }',
      });
      const server = await serve('server.js');
      const port = await startNginx({
        [`127.0.0.1:${app.port()}`]: `unix:${socket}`,
      });
      const ws = await connect(address(port));
      assert.equal(await echo(ws, 'Hello'), 'Hello');
      ws.terminate();
      const way = process.env.OXWS_TRANSPORT || 'native';
      await app.printed(server, new RegExp(`^connected by ${way}: `, 'm'));
    });

    it('cuts a silent connection, which heartbeats keep', async () => {
      app.edit('heartbeat.js', { 30000: '400' });
      const port = await startNginx({ '75s': '2s' });
      let server = await serve('server.js');
      const silent = await connect(address(port));
      assert.equal(await silent.closed, 1006);
      await app.stop(server);

      server = await serve('heartbeat.js');
      const kept = await connect(address(port));
      // Six times 400 ms are longer than nginx waits.
      for (let i = 0; i < 6; i++) await once(kept, 'ping');
      assert.equal(await echo(kept, 'Hello'), 'Hello');
      kept.terminate();
    });
  });

  describe('haproxy.cfg', () => {
    before(function () {
      if (!App.has('haproxy')) this.skip();
    });

    it('has HAProxy end TLS, and say so', async () => {
      const read = (name) => fs.readFileSync(path.join(fixtures, name));
      const certificate = path.join(app.folder, 'example.com.pem');
      fs.writeFileSync(
        certificate,
        Buffer.concat([read('server.pem'), read('server-key.pem')]),
      );
      app.edit('haproxy.cfg', {
        'bind :443': `bind 127.0.0.1:${app.port(8081)}`,
        '/etc/haproxy/example.com.pem': certificate,
      });
      app.edit('server.js', {
        'connected:': "${request.headers['x-forwarded-proto']} from",
      });
      const server = await serve('server.js');
      const haproxy = app.start(null, {
        command: 'haproxy',
        args: ['-W', '-db', '-f', 'haproxy.cfg'],
      });
      await app.printed(haproxy, /Loading success/);

      const ws = await connect(`wss://127.0.0.1:${app.port(8081)}/ws`, {
        ca: read('ca.pem'),
        checkServerIdentity: () => undefined,
        headers: { 'X-Forwarded-For': '192.0.2.1' },
      });
      assert.equal(await echo(ws, 'Hello'), 'Hello');
      ws.close(4000);
      await app.printed(server, /^closed: 4000$/m);
      assert.match(server.output, /^https from 127\.0\.0\.1$/m);
      await app.stop(haproxy, 'SIGTERM');
    });
  });

  describe('heartbeat.js', () => {
    beforeEach(() => app.edit('heartbeat.js', { 30000: '500' }));

    it('ends a connection that does not answer, and no other', async () => {
      const server = await serve('heartbeat.js');
      const healthy = await connect();
      const mute = await connectMute();
      mute.resume();
      await once(mute, 'close');
      await app.printed(server, /^closed: 1006$/m);
      assert.equal(await echo(healthy, 'Hello'), 'Hello');
      healthy.terminate();
    });
  });

  describe('shutdown.js', () => {
    before(function () {
      if (isWindows) this.skip(); // It has no signals.
    });

    it('closes with 1001, behind what was sent, and ends', async () => {
      const server = await serve('shutdown.js');
      const ws = await connect();
      const mute = await connectMute();
      assert.equal(await echo(ws, 'Hello'), 'Hello');
      const ended = once(server, 'close');
      server.kill('SIGTERM');
      assert.equal(await ws.closed, 1001);
      mute.end();
      assert.deepEqual(await ended, [0, null]);
      assert.match(server.output, /^closing 2 connections$/m);
      assert.match(server.output, /^closed$/m);
    });

    it('accepts nobody meanwhile, and terminates who does not close', async () => {
      app.edit('shutdown.js', { 'GRACE = 5000': 'GRACE = 500' });
      const server = await serve('shutdown.js');
      const mute = await connectMute();
      const ended = once(server, 'close');
      server.kill('SIGTERM');
      await app.printed(server, /^closing 1 connections$/m);
      const [error] = await once(new WebSocket(address()), 'error');
      assert.equal(error.code, 'ECONNREFUSED');
      mute.resume();
      await once(mute, 'close');
      assert.deepEqual(await ended, [0, null]);
    });
  });

  describe('cluster.js', () => {
    it('has several processes accept, and starts another for one that ends', async () => {
      const primary = app.start('cluster.js', { env: { WORKERS: '2' } });
      await app.printed(primary, /(?:listens[^]*){2}/);
      const greeted = async () => {
        const ws = new WebSocket(address());
        const [data] = await once(ws, 'message');
        ws.terminate();
        return Number(/^process (\d+)$/.exec(data)[1]);
      };
      const pids = [await greeted(), await greeted()];
      if (!isWindows) assert.notEqual(pids[0], pids[1]);

      process.kill(pids[0], 'SIGKILL');
      await app.printed(primary, new RegExp(`process ${pids[0]} ended`));
      await app.printed(primary, /(?:listens[^]*){3}/);
      assert.notEqual(await greeted(), pids[0]);
    });
  });

  describe('workers.js', () => {
    it('has each thread listen at a port', async () => {
      const child = app.start('workers.js');
      await app.printed(child, /(?:listens[^]*){2}/);
      const greetings = [];
      for (const port of [8081, 8082]) {
        const ws = new WebSocket(address(app.port(port)));
        greetings.push(String((await once(ws, 'message'))[0]));
        ws.terminate();
      }
      assert.deepEqual(greetings.sort(), ['thread 1', 'thread 2']);
    });
  });

  describe('the descriptors of a connection', () => {
    const COUNT = 20;

    const STREAM = { OXWS_TRANSPORT: 'stream' };
    const NATIVE = { OXWS_LISTENER: '', OXWS_TRANSPORT: '' };
    const INLINE = { ...NATIVE, OXWS_HOST: 'inline' };
    const THREAD = { ...NATIVE, OXWS_HOST: 'thread' };

    /** Servers of the document: the first has `server`, the others have `port`. */
    const SERVERS = {
      'server.js': () => 'server.js',
      'heartbeat.js': () => 'heartbeat.js',
      'heartbeat.js, which reads the socket': () => {
        const before = "wss.on('connection', (ws) => {\n";
        const after = `${before}  console.log(ws._socket.remoteAddress);\n`;
        app.edit('heartbeat.js', { [before]: after });
        return 'heartbeat.js';
      },
    };

    for (const [name, way, each] of [
      ['server.js', STREAM, 1],
      ['server.js', INLINE, 2],
      ['server.js', THREAD, 2],
      ['heartbeat.js', STREAM, 1],
      ['heartbeat.js', INLINE, 1],
      ['heartbeat.js', THREAD, 1],
      ['heartbeat.js', { ...INLINE, OXWS_LISTENER: 'node' }, 2],
      ['heartbeat.js, which reads the socket', INLINE, 2],
      ['heartbeat.js, which reads the socket', THREAD, 2],
    ]) {
      const variables = Object.values(way).filter(Boolean).join(', ');
      it(`are ${each} of ${name} with ${variables}`, async function () {
        if (process.platform !== 'linux') this.skip();
        const server = await serve(SERVERS[name](), { env: way });
        const descriptors = () =>
          fs.readdirSync(`/proc/${server.pid}/fd`).length;
        const first = await connect();
        await echo(first, 'Hello');
        const before = descriptors();
        const clients = [];
        for (let i = 0; i < COUNT; i++) {
          clients.push(await connect());
          await echo(clients[i], 'Hello');
        }
        assert.equal(descriptors() - before, each * COUNT);
        for (const ws of [first, ...clients]) ws.terminate();
      });
    }
  });
});
