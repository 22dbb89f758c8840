'use strict';

const assert = require('node:assert/strict');

const extension = require('../../lib/ws8/extension');
const subprotocol = require('../../lib/ws8/subprotocol');

/** Returns an object without a prototype. */
const bare = (properties) => Object.assign(Object.create(null), properties);

describe('ws 8: headers', () => {
  it('extensions become objects without prototypes', () => {
    const offers = extension.parse('a; x; x=1, constructor;__proto__="\\2", a');
    const proto = Object.create(null);
    proto['__proto__'] = ['2'];
    assert.deepEqual(
      offers,
      bare({ a: [bare({ x: [true, '1'] }), bare()], constructor: [proto] }),
    );
  });

  it('extensions are written as they are read', () => {
    const header = 'a; x; x=1, a, constructor; y=2';
    assert.equal(extension.format(extension.parse(header)), header);
    assert.equal(extension.format({ a: { x: true, y: 10 } }), 'a; x; y=10');
  });

  it('subprotocols become a Set, in their order', () => {
    assert.deepEqual([...subprotocol.parse('b , a,\tc')], ['b', 'a', 'c']);
  });

  for (const { parse } of [extension, subprotocol]) {
    it('the index of a fault counts UTF-16 code units', () => {
      for (const [header, index] of [
        ['a@', 1],
        ['a, \u{e9}', 3],
        ['a, b\u{1f600}', 4],
        ['a,b,\ud800', 4],
        ['\0', 0],
      ]) {
        assert.throws(() => parse(header), {
          name: 'SyntaxError',
          message: `Unexpected character at index ${index}`,
        });
      }
    });

    it('a header must not end too early', () => {
      for (const header of ['', 'a,', 'a ']) {
        assert.throws(() => parse(header), {
          name: 'SyntaxError',
          message: 'Unexpected end of input',
        });
      }
    });
  }

  it('a subprotocol must not be listed twice', () => {
    assert.throws(() => subprotocol.parse('a,b,a,@'), {
      name: 'SyntaxError',
      message: 'The "a" subprotocol is duplicated',
    });
  });
});
