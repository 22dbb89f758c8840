'use strict';

const assert = require('node:assert/strict');

const platform = require('../../lib/platform');
const Elf = require('./Elf');
const Tarballs = require('./Tarballs');

/** The oldest glibc that the binary has to run with: that of RHEL 7. */
const FLOOR = [2, 17];

/** The libraries that every Linux with glibc has; Node.js needs them as well. */
const LIBRARIES =
  /^(ld-linux-.+|lib(c|dl|m|pthread|rt)\.so\.\d|libgcc_s\.so\.1)$/;

describe('The published binary', function () {
  this.timeout(60000);

  let tarballs;
  let elf;

  before(function () {
    if (!/^linux-.+-gnu$/.test(platform())) this.skip();
    tarballs = new Tarballs();
    const name = `oxws.${platform()}.node`;
    elf = new Elf(Tarballs.read(tarballs.binary, name));
  });

  after(() => tarballs?.remove());

  it('needs no glibc after 2.17', () => {
    const versions = elf.versions.filter((name) => name.startsWith('GLIBC_'));
    assert.ok(versions.length > 0);
    for (const name of versions) {
      const [major, minor] = name.match(/\d+/g).map(Number);
      assert.equal(major, FLOOR[0], name);
      assert.ok(minor <= FLOOR[1], name);
    }
  });

  it('needs only libraries that are everywhere', () => {
    assert.ok(elf.libraries.includes('libc.so.6'));
    for (const name of elf.libraries) assert.match(name, LIBRARIES);
  });
});
