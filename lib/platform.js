'use strict';

const fs = require('fs');

/**
 * The platform of this process, as the packages with the binaries are named:
 * `linux-x64-gnu`, `darwin-arm64`, `win32-x64-msvc`.
 */
module.exports = function platform() {
  return `${process.platform}-${process.arch}${abi()}`;
};

/** The part of the name that tells the C library or the compiler. */
function abi() {
  if (process.platform === 'linux') return isMusl() ? '-musl' : '-gnu';
  return process.platform === 'win32' ? '-msvc' : '';
}

/** Whether this process runs on musl, and not on glibc. */
function isMusl() {
  try {
    // The loader of musl is its C library, and so is mapped into every process.
    return /\/ld-musl-/.test(fs.readFileSync('/proc/self/maps', 'latin1'));
  } catch {
    return isMuslByReport();
  }
}

/** Without /proc, or without permission to read it. */
function isMuslByReport() {
  const { report } = process;
  const { excludeNetwork } = report;
  // Otherwise a report looks up the names of all peers, which may take seconds.
  report.excludeNetwork = true;
  try {
    return report.getReport().header.glibcVersionRuntime === undefined;
  } finally {
    report.excludeNetwork = excludeNetwork;
  }
}
