'use strict';

const assert = require('node:assert/strict');

const { EMPTY_BUFFER } = require('../../lib/ws8/constants');
const {
  concat,
  toArrayBuffer,
  toBuffer,
} = require('../../lib/ws8/buffer-util');
const {
  isBlob,
  isValidStatusCode,
  isValidUTF8,
} = require('../../lib/ws8/validation');

describe('ws 8: data', () => {
  it('toBuffer shares the memory of binary data, and says so', () => {
    const { buffer } = new Uint8Array([1, 2, 3, 4]);
    for (const data of [
      Buffer.from(buffer),
      new Uint16Array(buffer),
      new DataView(buffer),
      buffer,
    ]) {
      const bytes = toBuffer(data);
      assert.ok(Buffer.isBuffer(bytes));
      assert.equal(bytes.buffer, buffer);
      assert.equal(bytes.length, 4);
      assert.equal(toBuffer.readOnly, true);
    }
    assert.equal(
      toBuffer(new Uint8Array(buffer, 1, 2)).toString('hex'),
      '0203',
    );
  });

  it('toBuffer copies other values, if Buffer.from accepts them', () => {
    assert.deepEqual(toBuffer([1, 2]), Buffer.from([1, 2]));
    assert.equal(toBuffer.readOnly, false);
    for (const data of [1, undefined, null, true, {}]) {
      assert.throws(() => toBuffer(data), TypeError);
    }
  });

  it('toArrayBuffer returns the bytes of the Buffer, and no others', () => {
    const whole = Buffer.from(new ArrayBuffer(4));
    assert.equal(toArrayBuffer(whole), whole.buffer);
    const part = whole.fill('abcd').subarray(1, 3);
    assert.equal(Buffer.from(toArrayBuffer(part)).toString(), 'bc');
  });

  it('concat joins the Buffers of a list', () => {
    const [a, b] = [Buffer.from('a'), Buffer.from('b')];
    assert.equal(concat([]), EMPTY_BUFFER);
    assert.equal(concat([a]), a);
    assert.equal(concat([a, b]).toString(), 'ab');
  });

  it('isBlob accepts Blobs and Files', () => {
    class File extends Blob {
      get [Symbol.toStringTag]() {
        return 'File';
      }
    }
    assert.ok(isBlob(new Blob([])));
    assert.ok(isBlob(new File([])));
    for (const value of [null, undefined, 'Blob', {}, new Response('')]) {
      assert.ok(!isBlob(value));
    }
  });

  it('isValidStatusCode accepts the codes that a close frame may carry', () => {
    for (const code of [1000, 1003, 1007, 1014, 3000, 4999]) {
      assert.equal(isValidStatusCode(code), true);
    }
    for (const code of [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 66536]) {
      assert.equal(isValidStatusCode(code), false);
    }
    for (const code of [NaN, -1000, 1000.5, '1000', undefined]) {
      assert.equal(isValidStatusCode(code), false);
    }
  });

  it('isValidUTF8 accepts only valid UTF-8', () => {
    assert.equal(isValidUTF8(Buffer.from('\u{20ac}\u{1f600}')), true);
    assert.equal(isValidUTF8(EMPTY_BUFFER), true);
    assert.equal(isValidUTF8(Buffer.from([0xed, 0xa0, 0x80])), false);
  });
});
