import type { AdapterLibrary } from './library.ts';
import { nextChange } from '../next-change.ts';

/** Another studio on the same library changes rows without telling this one: looked at this often, milliseconds. */
const OTHERS_MS = 3_000;

/** A number that goes up whenever the adapters of the library may have changed; the first one at once. */
export async function* watchAdapters(
  adapters: AdapterLibrary,
  signal: AbortSignal | undefined,
): AsyncGenerator<{ version: number }> {
  const state = () => JSON.stringify(adapters.store.rows());
  for (let version = 1, shown = ''; !signal?.aborted;) {
    const now = `${adapters.version}:${state()}`;
    if (now !== shown) yield { version: version++ };
    shown = now;
    await nextChange(adapters, OTHERS_MS, signal);
  }
}
