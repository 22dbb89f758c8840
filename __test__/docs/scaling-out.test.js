'use strict';

const assert = require('node:assert/strict');
const { once } = require('events');
const fs = require('fs');
const path = require('path');

const App = require('./App');
const Document = require('./Document');
const Redis = require('./Redis');
const {
  installAlias,
  installOriginal,
  read,
} = require('../dependents/install');
const Tarballs = require('../project/Tarballs');
const { WebSocket } = require('../../ws8');

const DOCUMENT = 'docs/scaling-out.md';
const PORTS = [8080, 6379];

/** Where the second process listens; the document does not name it. */
const OTHER = 8081;

describe(DOCUMENT, function () {
  this.timeout(20000);

  let app;

  afterEach(() => app.close());

  async function connect(port) {
    const ws = new WebSocket(`ws://127.0.0.1:${port}/`);
    await once(ws, 'open');
    return ws;
  }

  /** The next message of each. */
  async function heard(clients) {
    const messages = await Promise.all(
      clients.map((ws) => once(ws, 'message')),
    );
    return messages.map(([data]) => String(data));
  }

  describe('relay.js', () => {
    it('hands what one process receives to the clients of all', async () => {
      app = await App.create(DOCUMENT);
      const primary = app.start('relay.js', { env: { WORKERS: '2' } });
      await app.printed(primary, /(?:listens[^]*){2}/);
      const clients = [await connect(app.port()), await connect(app.port())];
      await app.printed(primary, /(?:has a connection[^]*){2}/);
      if (process.platform !== 'win32') {
        const pids = primary.output.match(/\d+(?= has a connection)/g);
        assert.equal(new Set(pids).size, 2);
      }
      for (const ws of clients) {
        const messages = heard(clients);
        ws.send('Hello');
        assert.deepEqual(await messages, ['Hello', 'Hello']);
      }
      for (const ws of clients) ws.terminate();
    });
  });

  describe('threads.js', () => {
    it('has threads share a port, and hands messages to all clients', async function () {
      // Other systems do not spread the connections.
      if (process.platform !== 'linux') this.skip();
      app = await App.create(DOCUMENT);
      const program = app.start('threads.js', { env: { WORKERS: '2' } });
      await app.printed(program, /(?:listens[^]*){2}/);
      // The system chooses a thread for each connection.
      const clients = [];
      const threads = new Set();
      while (threads.size < 2) {
        clients.push(await connect(app.port()));
        const { length } = clients;
        const told = new RegExp(
          `(?:thread \\d+ has a connection\\n){${length}}`,
        );
        await app.printed(program, told);
        const numbers = program.output.match(/\d+(?= has a connection)/g);
        numbers.forEach((number) => threads.add(number));
      }
      const all = clients.map(() => 'Hello');
      for (const ws of clients) {
        const messages = heard(clients);
        ws.send('Hello');
        assert.deepEqual(await messages, all);
      }
      for (const ws of clients) ws.terminate();
    });
  });

  describe('with Redis,', () => {
    let tarballs;
    let modules;

    before('install packages', function () {
      if (!App.has('redis-server')) this.skip();
      this.timeout(180000);
      tarballs = new Tarballs();
      const tree = path.join(tarballs.folder, 'tree');
      installOriginal(tree);
      installAlias(tree, tarballs);
      modules = path.join(tree, 'node_modules');
    });

    after(() => tarballs?.remove());

    let redis;

    beforeEach(async () => {
      app = await App.create(DOCUMENT, [...PORTS, OTHER], modules);
      redis = await Redis.start(app);
    });

    /** Starts a program twice, at a port each. */
    async function startTwo(file) {
      const children = [8080, OTHER].map((port) =>
        app.start(file, { env: { PORT: String(app.port(port)) } }),
      );
      for (const child of children) await app.printed(child, /serving/);
      return children;
    }

    describe('chat.js', () => {
      it('hands what one process receives to the clients of all', async () => {
        await startTwo('chat.js');
        const clients = [
          await connect(app.port()),
          await connect(app.port(OTHER)),
        ];
        for (const ws of clients) {
          const messages = heard(clients);
          ws.send('Hello');
          assert.deepEqual(await messages, ['Hello', 'Hello']);
        }
        for (const ws of clients) ws.terminate();
      });

      it('outlives Redis, and goes on with it', async () => {
        const children = await startTwo('chat.js');
        const clients = [
          await connect(app.port()),
          await connect(app.port(OTHER)),
        ];
        await redis.stop();
        for (const child of children) await app.printed(child, /^redis: /m);
        clients[0].send('lost');
        await app.printed(children[0], /^not published: /m);

        await Redis.start(app);
        for (const child of children) {
          await app.printed(child, /(?:redis is ready[^]*){4}/);
        }
        const messages = heard(clients);
        clients[0].send('Hello');
        assert.deepEqual(await messages, ['Hello', 'Hello']);
        for (const ws of clients) ws.terminate();
      });
    });

    describe('socketio.js', () => {
      it('emits to a room in all processes, over oxws8', async () => {
        assert.equal(read(modules, 'ws', 'package.json').name, 'oxws8');
        const nested = path.join(modules, 'engine.io', 'node_modules', 'ws');
        assert.ok(!fs.existsSync(nested));

        const { io } = require(path.join(modules, 'socket.io-client'));
        await startTwo('socketio.js');
        const clients = [8080, OTHER].map((port) =>
          io(`http://127.0.0.1:${app.port(port)}`, {
            transports: ['websocket'],
            reconnection: false,
          }),
        );
        try {
          for (const client of clients) {
            await client.timeout(10000).emitWithAck('join', 'room');
          }
          for (const client of clients) {
            const all = Promise.all(clients.map((each) => once(each, 'said')));
            client.emit('say', 'room', 'Hello');
            assert.deepEqual(await all, [['Hello'], ['Hello']]);
          }
        } finally {
          for (const client of clients) client.disconnect();
        }
      });

      it('has the override that the document tells of', () => {
        const { fences } = new Document(DOCUMENT);
        const [{ text }] = fences.filter(({ language }) => language === 'json');
        const { overrides } = JSON.parse(text);
        const tested = read(path.dirname(modules), 'package.json');
        assert.equal(overrides.ws, tested.overrides.ws);
      });
    });
  });
});
