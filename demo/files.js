'use strict';

// Serves the files of the page. The list is fixed, so that no other file can be requested.

const fs = require('fs');
const path = require('path');

const FILES = new Map([
  ['/', ['page.html', 'text/html']],
  ['/page.css', ['page.css', 'text/css']],
  ['/page.mjs', ['page.mjs', 'text/javascript']],
  ['/page-chart.mjs', ['page-chart.mjs', 'text/javascript']],
  ['/page-echo.mjs', ['page-echo.mjs', 'text/javascript']],
  ['/page-format.mjs', ['page-format.mjs', 'text/javascript']],
  ['/page-load.mjs', ['page-load.mjs', 'text/javascript']],
  ['/page-socket.mjs', ['page-socket.mjs', 'text/javascript']],
]);

// Images may be blobs, for the preview of an echoed file.
const POLICY =
  "default-src 'self'; img-src 'self' blob: data:; connect-src 'self' ws: wss:";

function servePage(req, res) {
  const file = FILES.get(req.url.split('?', 1)[0]);

  if (!file || (req.method !== 'GET' && req.method !== 'HEAD')) {
    res.writeHead(file ? 405 : 404, { 'Content-Type': 'text/plain' });
    res.end(file ? 'Method Not Allowed\n' : 'Not Found\n');
    return;
  }

  const [name, type] = file;

  // Read the file for each request: after an edit, it suffices to reload the page.
  fs.readFile(path.join(__dirname, name), (err, body) => {
    if (err) {
      res.writeHead(500, { 'Content-Type': 'text/plain' });
      res.end(`Cannot read ${name}\n`);
      return;
    }
    res.writeHead(200, {
      'Content-Type': `${type}; charset=utf-8`,
      'Content-Length': body.length,
      'Content-Security-Policy': POLICY,
      'Cache-Control': 'no-cache',
      'X-Content-Type-Options': 'nosniff',
    });
    res.end(body);
  });
}

module.exports = { FILES, servePage };
