'use strict';

const assert = require('node:assert/strict');

const { WebSocket, each } = require('./support');

const { extension, subprotocol } = WebSocket;

/** Headers, and what they are parsed to. */
const EXTENSIONS = [
  ['a', { a: [{}] }],
  ['a, b', { a: [{}], b: [{}] }],
  ['a, b, a;c', { a: [{}, { c: [true] }], b: [{}] }],
  ['a;b', { a: [{ b: [true] }] }],
  ['a;b=c', { a: [{ b: ['c'] }] }],
  ['a;b;c=1;b=2', { a: [{ b: [true, '2'], c: ['1'] }] }],
  ['a; b="c"', { a: [{ b: ['c'] }] }],
  ['a; b="\\c"', { a: [{ b: ['c'] }] }],
  ['a; b="c\\d\\e"', { a: [{ b: ['cde'] }] }],
  ['a \t;\tb=c', { a: [{ b: ['c'] }] }],
  ['a; b=c\t ,\t d', { a: [{ b: ['c'] }], d: [{}] }],
  [
    'constructor; hasOwnProperty',
    { constructor: [{ hasOwnProperty: [true] }] },
  ],
  ['__proto__', JSON.parse('{"__proto__": [{}]}')],
  ["!#$%&'*+-.^_`|~", { "!#$%&'*+-.^_`|~": [{}] }],
];

/** Invalid headers, and the index of the fault; -1 if the header ends too early. */
const BAD_EXTENSIONS = [
  ['', -1],
  [',', 0],
  [';', 0],
  [' a', 0],
  ['a,,b', 2],
  ['a;;b', 2],
  ['a;=b', 2],
  ['a;b=,', 4],
  ['a;b=;', 4],
  ['a b', 2],
  ['a; b c', 5],
  ['a; b =c', 5],
  ['a; b= c', 5],
  ['a; b=c d', 7],
  ['a@', 1],
  ['a; b@', 4],
  ['a; b=c@', 6],
  ['a; b="c@"', 7],
  ['a; b=""', 6],
  ['a; b="\\@"', 7],
  ['a; b="c"d', 8],
  ['a; b=c"', 6],
  ['\u00e4', 0],
  ['a,', -1],
  ['a;', -1],
  ['a; b=', -1],
  ['a; b="c', -1],
  ['a ', -1],
  ['a; b ', -1],
  ['a; b=c\t', -1],
];

/** Headers, and the objects that they are formatted from. */
const FORMATS = [
  ['', {}],
  ['a', { a: {} }],
  ['a', { a: [{}] }],
  ['a, b', { a: {}, b: {} }],
  ['a, a; b', { a: [{}, { b: true }] }],
  ['a; b=c', { a: { b: 'c' } }],
  ['a; b; b=2; c=d', { a: { b: [true, 2], c: 'd' } }],
];

const SUBPROTOCOLS = [
  ['a', ['a']],
  ['a,b', ['a', 'b']],
  ['a , \tb\t ,c', ['a', 'b', 'c']],
  ["!#$%&'*+-.^_`|~09AZaz", ["!#$%&'*+-.^_`|~09AZaz"]],
];

const BAD_SUBPROTOCOLS = [
  ['', 'Unexpected end of input'],
  ['a,', 'Unexpected end of input'],
  ['a ', 'Unexpected end of input'],
  ['a, ', 'Unexpected end of input'],
  [',a', 'Unexpected character at index 0'],
  [' a', 'Unexpected character at index 0'],
  ['a,,b', 'Unexpected character at index 2'],
  ['a b', 'Unexpected character at index 2'],
  ['a,b@', 'Unexpected character at index 3'],
  ['\u00e4', 'Unexpected character at index 0'],
  ['a,b,a,c', 'The "a" subprotocol is duplicated'],
  ['a,a', 'The "a" subprotocol is duplicated'],
];

/**
 * Converts objects to arrays, to compare them with parsed ones, which have no
 * prototype.
 */
function plain(value) {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object') return value;
  return Object.entries(value).map(([key, each]) => [key, plain(each)]);
}

describe('extension.parse', () => {
  it('reads headers, into objects without a prototype', () =>
    each(EXTENSIONS, (header, expected) => {
      const parsed = extension.parse(header);
      assert.deepEqual(plain(parsed), plain(expected));
      for (const object of [parsed, ...Object.values(parsed).flat()]) {
        assert.equal(Object.getPrototypeOf(object), null);
      }
    }));

  it('tells where a header is wrong', () =>
    each(BAD_EXTENSIONS, (header, index) => {
      assert.throws(() => extension.parse(header), {
        name: 'SyntaxError',
        message:
          index === -1
            ? 'Unexpected end of input'
            : `Unexpected character at index ${index}`,
      });
    }));
});

describe('extension.format', () => {
  it('writes headers', () =>
    each(FORMATS, (expected, extensions) => {
      assert.equal(extension.format(extensions), expected);
    }));
});

describe('subprotocol.parse', () => {
  it('reads headers, into a Set', () =>
    each(SUBPROTOCOLS, (header, expected) => {
      assert.deepEqual(subprotocol.parse(header), new Set(expected));
    }));

  it('tells where a header is wrong', () =>
    each(BAD_SUBPROTOCOLS, (header, message) => {
      const expected = { name: 'SyntaxError', message };
      assert.throws(() => subprotocol.parse(header), expected);
    }));
});
