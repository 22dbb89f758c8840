'use strict';

const { EventEmitter } = require('events');

const Document = require('./Document');

/** A name at the beginning of a span of code: of a class, a method, or a property. */
const MEMBER = /^(?:new )?(?:\w+\.)?(\w+)/;

/** A span of code in bold type: where a method is told of. */
const DEFINITION = /\*\*`([^`]+)`/g;

/** What any class has. */
const OF_CLASSES = ['constructor', 'length', 'name', 'prototype'];

/** A document that tells of an API: what it says can be compared with the code. */
class Reference extends Document {
  /**
   * The defaults in the first table under a heading, by the name in its first column.
   * Those that are told in words are left out.
   *
   * @param {string} heading
   * @param {Object} [scope] the values of names that they may have
   */
  defaults(heading, scope = {}) {
    const [rows] = this.tables(heading);
    const entries = rows.map((row) => {
      const [name] = Document.code(Object.values(row)[0]);
      return [name, Document.code(row.default)[0]];
    });
    return Object.fromEntries(
      entries
        .filter(([, code]) => code !== undefined)
        .map(([name, code]) => [name, valueOf(code, scope)]),
    );
  }

  /** The names that the code in a section begins with, those below its heading as well. */
  names(heading) {
    return namesOf(Document.code(this.section(heading, { deep: true })));
  }

  /** Those of the methods that the section tells of. */
  definitions(heading) {
    const section = this.section(heading, { deep: true });
    return namesOf([...section.matchAll(DEFINITION)].map(([, code]) => code));
  }

  /** The names of events in the first table under a heading. */
  events(heading) {
    const [rows] = this.tables(heading);
    return rows.map(({ event }) => valueOf(Document.code(event)[0]));
  }

  /** The public names that objects have themselves: a class, its prototype, say. */
  static members(...objects) {
    const ofEmitters = Object.getOwnPropertyNames(new EventEmitter());
    return objects
      .flatMap((object) => Object.getOwnPropertyNames(object))
      .filter((name) => ![...OF_CLASSES, ...ofEmitters].includes(name))
      .filter((name) => !name.startsWith('_'));
  }

  /** The public methods of a class. */
  static methods({ prototype }) {
    return Reference.members(prototype).filter((name) => {
      const { value } = Object.getOwnPropertyDescriptor(prototype, name);
      return typeof value === 'function';
    });
  }
}

function namesOf(codes) {
  const found = codes.map((code) => MEMBER.exec(code)).filter(Boolean);
  return new Set(found.map(([, name]) => name));
}

/** The value of a literal, or of a name in the scope. */
function valueOf(code, scope = {}) {
  const names = Object.keys(scope);
  const evaluate = new Function(...names, `'use strict'; return (${code});`);
  return evaluate(...Object.values(scope));
}

module.exports = Reference;
