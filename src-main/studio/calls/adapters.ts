import { randomUUID } from 'node:crypto';
import { basename } from 'node:path';
import type { Job } from '../../../src-preload/contract/index.ts';
import { lineageOf } from '../adapters/lineage.ts';
import { watchAdapters } from '../adapters/watch.ts';
import type { Studio } from '../studio.ts';
import { checkReference } from './check.ts';
import { os } from './os.ts';

/** What can be refused at once is; the rest is a job's. */
async function startImport(studio: Studio, input: { path: string; model?: string }): Promise<Job> {
  const { adapters } = studio;
  const place = await studio.allowed.check(input.path);
  const { model } = input.model ? input : await studio.worker.call('modelOfAdapter', { place });
  await checkReference(studio, model!);
  const id = randomUUID();
  const folder = adapters.folderOf(id);
  return studio.jobs.start(
    { id, kind: 'import', name: basename(place), adapterId: null, folders: [folder] },
    async (act) => {
      act.tell({ stage: 'checking', done: 0, total: 1 });
      const entry = await adapters.import(place, model!, { id, signal: act.signal });
      return { outcome: null, adapterId: entry.id };
    },
  );
}

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
      const { id } = await startImport(studio, input);
      const { adapterId } = await studio.jobs.result(id);
      return store.entry(store.row(adapterId!));
    }),
    startImport: os.adapters.startImport.handler(({ input }) => startImport(studio, input)),
    prune: os.adapters.prune.handler(({ input: { id, name, heads, renormalize } }) =>
      adapters.prune(id, name, heads, renormalize),
    ),
    watch: os.adapters.watch.handler(({ signal }) => watchAdapters(adapters, signal)),
  };
}
