// Run by vitest.

import { afterAll, afterEach, describe, expect, test, vi } from 'vitest';

import echo from '../echo.js';

const load = async (name) => (await import(name)).default;

afterAll(async () => {
  expect(await echo.open()).toEqual([]);
});

describe.each(echo.NAMES)('%s', (name) => {
  afterEach(() => vi.useRealTimers());

  test('echoes when it is loaded while timers are faked', async () => {
    vi.useFakeTimers();
    await echo(await load(name));
  });

  test('echoes', async () => echo(await load(name)));

  test('echoes when timers are faked', async () => {
    const WebSocket = await load(name);
    vi.useFakeTimers();
    await echo(WebSocket);
  });

  test('echoes when modules are reset', async () => {
    const WebSocket = await load(name);
    vi.resetModules();
    await echo(await load(name));
    await echo(WebSocket);
  });
});
