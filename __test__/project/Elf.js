'use strict';

const NEEDED = 1n; // DT_NEEDED
const DYNAMIC = 6; // SHT_DYNAMIC
const VERSION_NEEDS = 0x6ffffffe; // SHT_GNU_verneed

/** An ELF file of 64 bits, little endian: what it asks of the libraries that it needs. */
class Elf {
  constructor(bytes) {
    if (bytes.toString('latin1', 0, 6) !== '\x7fELF\x02\x01') {
      throw new Error('not an ELF file of 64 bits, little endian');
    }
    this.bytes = bytes;
    const start = Number(bytes.readBigUInt64LE(0x28));
    const size = bytes.readUInt16LE(0x3a);
    const count = bytes.readUInt16LE(0x3c);
    this.sections = Array.from({ length: count }, (_, index) => {
      const at = start + index * size;
      return {
        type: bytes.readUInt32LE(at + 4),
        offset: Number(bytes.readBigUInt64LE(at + 0x18)),
        size: Number(bytes.readBigUInt64LE(at + 0x20)),
        link: bytes.readUInt32LE(at + 0x28),
        count: bytes.readUInt32LE(at + 0x2c),
      };
    });
  }

  /** The libraries that the loader has to find. */
  get libraries() {
    const section = this.#section(DYNAMIC);
    const names = [];
    for (let at = 0; at < section.size; at += 16) {
      const offset = section.offset + at;
      if (this.bytes.readBigInt64LE(offset) !== NEEDED) continue;
      const name = Number(this.bytes.readBigUInt64LE(offset + 8));
      names.push(this.#string(section, name));
    }
    return names;
  }

  /** The versions of symbols that are needed, such as `GLIBC_2.14`. */
  get versions() {
    const section = this.#section(VERSION_NEEDS);
    const versions = [];
    let file = section.offset;
    for (let left = section.count; left > 0; left--) {
      let entry = file + this.bytes.readUInt32LE(file + 8);
      for (let more = this.bytes.readUInt16LE(file + 2); more > 0; more--) {
        const name = this.bytes.readUInt32LE(entry + 8);
        versions.push(this.#string(section, name));
        entry += this.bytes.readUInt32LE(entry + 12);
      }
      file += this.bytes.readUInt32LE(file + 12);
    }
    return versions;
  }

  #section(wanted) {
    return this.sections.find(({ type }) => type === wanted);
  }

  /** A name in the strings that a section is linked to. */
  #string({ link }, name) {
    const start = this.sections[link].offset + name;
    return this.bytes.toString('latin1', start, this.bytes.indexOf(0, start));
  }
}

module.exports = Elf;
