import { EventEmitter, getEventListeners } from 'node:events';
import { expect, it } from 'vitest';
import { nextChange } from '../../src-main/studio/next-change.ts';

it('a wait for the next change ends with it, with its time or with its signal, and leaves nothing at any of them', async () => {
  const from = new EventEmitter<{ change: [] }>();
  const control = new AbortController();
  const { signal } = control;
  const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
  const before = timers();
  const long = 3_600_000;
  for (let round = 0; round < 20; round++) {
    const changed = nextChange(from, long, signal);
    from.emit('change');
    await changed;
    await nextChange(from, 1, signal);
  }
  expect([from.listenerCount('change'), getEventListeners(signal, 'abort').length, timers()]).toEqual([0, 0, before]);
  const aborted = nextChange(from, long, signal);
  control.abort();
  await aborted;
  await nextChange(from, long, signal);
  expect([from.listenerCount('change'), getEventListeners(signal, 'abort').length, timers()]).toEqual([0, 0, before]);
});
