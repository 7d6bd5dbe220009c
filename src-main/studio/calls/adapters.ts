import { lineageOf } from '../adapters/lineage.ts';
import { watchAdapters } from '../adapters/watch.ts';
import type { Studio } from '../studio.ts';
import { checkReference } from './check.ts';
import { os } from './os.ts';

/** The library of adapters. */
export function adapterCalls(studio: Studio) {
  const { adapters, runs, library } = studio;
  const { store } = adapters;
  return {
    list: os.adapters.list.handler(({ input }) => store.search(input)),
    get: os.adapters.get.handler(({ input }) => adapters.detail(input.id)),
    lineage: os.adapters.lineage.handler(({ input }) => lineageOf(input.id, store, runs, library)),
    change: os.adapters.change.handler(({ input: { id, name, notes, tags, archived } }) =>
      adapters.change(id, {
        ...(name === undefined ? {} : { name }),
        ...(notes === undefined ? {} : { notes }),
        ...(tags === undefined ? {} : { tags: JSON.stringify([...new Set(tags)]) }),
        ...(archived === undefined ? {} : { archived_at: archived ? Date.now() : null }),
      }),
    ),
    duplicate: os.adapters.duplicate.handler(({ input }) => adapters.duplicate(input.id)),
    remove: os.adapters.remove.handler(({ input }) => {
      adapters.change(input.id, { trashed_at: Date.now() });
      return {};
    }),
    restore: os.adapters.restore.handler(({ input }) => adapters.change(input.id, { trashed_at: null })),
    purge: os.adapters.purge.handler(async ({ input }) => {
      await adapters.purge(input.id);
      return {};
    }),
    verify: os.adapters.verify.handler(({ input }) => adapters.verify(input.id)),
    import: os.adapters.import.handler(async ({ input }) => {
      const place = await studio.allowed.check(input.path);
      const { model } = input.model ? input : await studio.worker.call('modelOfAdapter', { place });
      await checkReference(studio, model!);
      return adapters.import(place, model!);
    }),
    prune: os.adapters.prune.handler(({ input: { id, name, heads, renormalize } }) =>
      adapters.prune(id, name, heads, renormalize),
    ),
    watch: os.adapters.watch.handler(({ signal }) => watchAdapters(adapters, signal)),
  };
}
