'use strict';

const { once } = require('events');
const fs = require('fs');
const net = require('net');
const os = require('os');
const path = require('path');

const Program = require('./Program');

/** Returns a TCP port of 127.0.0.1 that nobody listens to. */
async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

const FOLDERS = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];

/** The proxies: their configuration, their arguments, and what they print at the start. */
const KINDS = {
  nginx: {
    configuration: (port, to) => `
      daemon off; master_process off; pid nginx.pid; error_log stderr notice;
      events {}
      http {
        access_log off;
        ${FOLDERS.map((name) => `${name}_temp_path temp;`).join(' ')}
        server {
          listen 127.0.0.1:${port};
          location / {
            proxy_pass http://127.0.0.1:${to};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
          }
        }
      }`,
    args: (folder, file) => ['-p', folder, '-c', file, '-e', 'stderr'],
    ready: /nginx\/\d/,
  },

  haproxy: {
    configuration: (port, to) => `
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    timeout tunnel 60s
frontend front
    bind 127.0.0.1:${port}
    default_backend back
backend back
    server one 127.0.0.1:${to}
`,
    args: (folder, file) => ['-W', '-db', '-f', file],
    ready: /Loading success/,
  },
};

/** A proxy between a client and a server. */
class Proxy {
  /** Starts a proxy to a port. Resolves when it listens at its own. */
  static async start(kind, to) {
    const { configuration, args, ready } = KINDS[kind];
    const proxy = new Proxy();
    proxy.port = await freePort();
    proxy.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'oxws-proxy-'));
    const file = path.join(proxy.folder, 'proxy.conf');
    fs.writeFileSync(file, configuration(proxy.port, to));
    proxy.program = new Program(kind, args(proxy.folder, file));
    await proxy.program.printed(ready);
    return proxy;
  }

  async stop() {
    // The master of HAProxy ends its worker.
    this.program.child.kill('SIGTERM');
    await this.program.ended;
    fs.rmSync(this.folder, { recursive: true });
  }
}

module.exports = Proxy;
