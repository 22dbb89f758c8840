'use strict';

// Run by jest: the packages are evaluated anew for each test, in one process.

/* global expect, jest */

const echo = require('../echo');

const listeners = process.listenerCount('exit');

describe.each(echo.NAMES)('%s', (name) => {
  beforeEach(() => jest.resetModules());

  afterEach(() => jest.useRealTimers());

  test.each([0, 1])('echoes again (%i)', async () => {
    await echo(require(name));
    expect(process.listenerCount('exit')).toBeLessThanOrEqual(listeners + 1);
  });

  test('echoes when timers are faked', async () => {
    const WebSocket = require(name);
    jest.useFakeTimers();
    await echo(WebSocket);
  });

  test('echoes when it is loaded while timers are faked', async () => {
    jest.useFakeTimers();
    await echo(require(name));
  });
});
