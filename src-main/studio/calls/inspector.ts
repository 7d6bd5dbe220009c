import { randomUUID } from 'node:crypto';
import type { DropCurve, JobResult } from '../../../src-preload/contract/index.ts';
import { recoveryRecipe } from '../adapters/recovery.ts';
import { UserError } from '../../engine/types.ts';
import type { AdapterRow } from '../adapters/store.ts';
import type { Act } from '../background/jobs.ts';
import type { CurveJob } from '../stage/types.ts';
import type { Studio } from '../studio.ts';
import { checkedData, checkRecipe, checkReference } from './check.ts';
import { os, stream } from './os.ts';

/** What is looked at in one adapter: which heads matter, which tokens they serve, how alike they are. */
export function inspectorCalls(studio: Studio) {
  const { adapters, stage, worker } = studio;
  /** the adapter with what opens its base model, after the checks that a path needs */
  const onModel = async (id: string) => {
    const row = adapters.present(id);
    const model = adapters.modelReference(row);
    await checkReference(studio, model);
    return { row, on: { model, engine: studio.settings.values().engine, folder: row.folder } };
  };
  return {
    startCurve: os.inspector.startCurve.handler(async ({ input: { id, ...asked } }) => {
      const { row, on } = await onModel(id);
      const data = await checkedData(studio, asked.data, [row.folder]);
      return studio.jobs.start(
        { id: randomUUID(), kind: 'curve', name: `Drop curve of ${row.name}`, adapterId: id, folders: [] },
        (act) => measureCurve(studio, row, { ...on, ...asked, data }, act),
      );
    }),
    curves: os.inspector.curves.handler(({ input }) => keptCurves(studio, input.id)),
    probe: os.inspector.probe.handler(async ({ input: { id, heads, renormalize, ...asked }, signal }) => {
      const { row, on } = await onModel(id);
      const data = await checkedData(studio, asked.data, [row.folder]);
      return stream(stage.run('probe', { ...on, ...asked, data, off: { heads, renormalize } }, signal));
    }),
    sharesByTime: os.inspector.sharesByTime.handler(async ({ input: { id, heads, renormalize, ...asked }, signal }) => {
      const { row, on } = await onModel(id);
      const data = await checkedData(studio, asked.data, [row.folder]);
      return stream(stage.run('byTime', { ...on, ...asked, data, off: { heads, renormalize } }, signal));
    }),
    learned: os.inspector.learned.handler(async ({ input: { id, ...asked }, signal }) => {
      const { row, on } = await onModel(id);
      const data = await checkedData(studio, asked.data, [row.folder]);
      return stream(stage.run('learned', { ...on, data }, signal));
    }),
    without: os.inspector.without.handler(async ({ input: { id, ...asked }, signal }) => {
      const { row, on } = await onModel(id);
      const data = await checkedData(studio, asked.data, [row.folder]);
      return stream(stage.run('without', { ...on, ...asked, data }, signal));
    }),
    route: os.inspector.route.handler(async ({ input: { id, heads, renormalize, pictures, ...asked }, signal }) => {
      const { on } = await onModel(id);
      const shown = pictures.map((picture) => ({ name: picture.name, path: studio.pictures.pathOf(picture.id) }));
      const job = { ...on, ...asked, pictures: shown, off: { heads, renormalize } };
      for await (const event of stage.run('route', job, signal)) if (event.kind === 'routed') return event;
      return { tokens: [], left: 0, pictures: [] };
    }),
    headSimilarity: os.inspector.headSimilarity.handler(({ input: { id, ...asked } }) =>
      worker.call('headSimilarity', { folder: adapters.present(id).folder, ...asked }),
    ),
    rowSimilarity: os.inspector.rowSimilarity.handler(({ input: { id, other, name } }) =>
      worker.call('rowSimilarity', { folders: [adapters.present(id).folder, adapters.present(other).folder], name }),
    ),
    recover: os.inspector.recover.handler(async ({ input: { id, name, steps, path } }) => {
      adapters.present(id);
      const recipe = recoveryRecipe(await adapters.detail(id), steps, path);
      await checkRecipe(studio, recipe);
      const run = await studio.queue.create({ name, recipe, predicted: null, hold: false });
      return { runId: run.id };
    }),
  };
}

/** Measures a curve and keeps it with the adapter once it is complete. */
async function measureCurve(studio: Studio, row: AdapterRow, job: CurveJob, { tell, signal }: Act): Promise<JobResult> {
  const points: DropCurve['points'] = [];
  let data = { name: '', examples: 0 };
  let left = Infinity;
  for await (const event of studio.stage.run('curve', job, signal)) {
    if (event.kind === 'loading') tell({ stage: 'opening', done: 0, total: 1 });
    else if (event.kind === 'data') data = event;
    else {
      const { point, done, total, secondsLeft } = event;
      points.push(point);
      left = total - done;
      tell({ stage: 'evaluating', done, total, secondsLeft, points: [...points] });
    }
  }
  signal.throwIfAborted();
  if (left > 0) throw new UserError('The measurement ended before it was complete. Start it again.');
  const { name, examples } = data;
  const curve = { data: name, examples, renormalize: job.renormalize, points };
  studio.library
    .prepare(
      `INSERT INTO drop_curves (adapter_id, data, curve, created_at) VALUES (?, ?, ?, ?)
       ON CONFLICT (adapter_id, data) DO UPDATE SET curve = excluded.curve, created_at = excluded.created_at`,
    )
    .run(row.id, name, JSON.stringify(curve), Date.now());
  return { outcome: null, adapterId: row.id };
}

function keptCurves(studio: Studio, id: string): DropCurve[] {
  const rows = studio.library
    .prepare('SELECT curve, created_at FROM drop_curves WHERE adapter_id = ? ORDER BY created_at DESC')
    .all(id) as { curve: string; created_at: number }[];
  return rows.map(({ curve, created_at }) => ({ ...(JSON.parse(curve) as DropCurve), createdAt: created_at }));
}
