import { setTimeout as wait } from 'node:timers/promises';
import type { RunSummary } from '../../../src-preload/contract/index.ts';
import type { RunQueue } from './queue.ts';
import type { RunStore } from './store.ts';
import { nextChange } from '../next-change.ts';

/** At most this often, milliseconds. */
const PACE_MS = 500;
/** Another studio on the same library changes rows without telling this one: looked at this often, milliseconds. */
const OTHERS_MS = 2_000;

/** The list of runs, again whenever it has changed. */
export async function* watchList(
  runs: RunStore,
  queue: RunQueue,
  signal: AbortSignal | undefined,
): AsyncGenerator<{ runs: RunSummary[]; trashed: RunSummary[] }> {
  let shown = '';
  while (!signal?.aborted) {
    const list = runs.summaries();
    const state = JSON.stringify(list);
    if (state !== shown) yield list;
    shown = state;
    await nextChange(queue, OTHERS_MS, signal);
    await wait(PACE_MS, undefined, { signal }).catch(() => undefined);
  }
}
