import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { EXPORT_CHOICES } from '../../../src-preload/contract/choices.ts';
import type { ExportTarget, JobResult } from '../../../src-preload/contract/index.ts';
import { UserError } from '../../engine/types.ts';
import type { ExportResult } from '../../exports/request.ts';
import type { AdapterRow } from '../adapters/store.ts';
import type { Act } from '../background/jobs.ts';
import type { ExportJob } from '../stage/types.ts';
import type { Studio } from '../studio.ts';
import { checkedData, checkReference } from './check.ts';
import { os } from './os.ts';

/** Adapters in other programs' forms. */
export function exportCalls(studio: Studio) {
  return {
    start: os.exporting.start.handler(async ({ input: { id, keep, ...asked } }) => {
      const row = studio.adapters.present(id);
      const model = studio.adapters.modelReference(row);
      await checkReference(studio, model);
      const { reading } = await checkedData(studio, { path: asked.calibrate, examples: 0 }, [row.folder]);
      const { engine } = studio.settings.values();
      const folder = join(
        studio.exportsFolder,
        folderName(row, asked.to, asked.type ?? EXPORT_CHOICES[asked.to].types[0]),
      );
      const kept = keep && asked.to === 'peft' ? randomUUID() : undefined;
      const folders = kept ? [folder, studio.adapters.folderOf(kept)] : [folder];
      const job = { ...asked, calibrateAs: reading, adapter: row.folder, model, engine, out: folder };
      return studio.jobs.start(
        { id: randomUUID(), kind: 'export', name: `${row.name} as ${asked.to}`, adapterId: id, folders },
        (act) => exportRow(studio, row, job, kept, act),
      );
    }),
  };
}

/** What a person calls an export, behind its adapter's name. */
const KINDS: Record<ExportTarget, (type: string) => string> = {
  peft: () => ' peft',
  gguf: (type) => ` lora ${type}`,
  'merged-safetensors': (type) => ` merged ${type}`,
  'merged-gguf': (type) => ` ${type.replace('_0', '')}`,
  effilora: () => '',
  diffusers: () => ' diffusers',
  kohya: () => ' kohya',
  'merged-diffusers': () => ' merged',
  'merged-checkpoint': () => ' merged checkpoint',
};

/** A folder of its own that a person recognises; what is downloaded of it is named after it. */
function folderName({ name }: AdapterRow, target: ExportTarget, type: string): string {
  const plain = [...name.replace(/[^\p{L}\p{N} ._-]/gu, '_')].slice(0, 60).join('');
  return `${plain}${KINDS[target](type)} ${randomUUID().slice(0, 6)}`;
}

async function exportRow(
  studio: Studio,
  row: AdapterRow,
  job: ExportJob,
  kept: string | undefined,
  { tell, signal }: Act,
): Promise<JobResult> {
  const { adapters } = studio;
  let exported: ExportResult | undefined;
  for await (const event of studio.stage.run('export', job, signal)) {
    if (event.kind === 'progress') tell(event.progress);
    else exported = event.result;
  }
  signal.throwIfAborted();
  if (!exported) throw new UserError('The export ended without a result. Start it again.');
  const { folder, files, fidelity } = exported;
  const keeping = kept && keepAsPlain(studio, row, kept, folder, job.model!, signal);
  const notKept = keeping && (await keeping.then(() => undefined, reasonOf));
  const adapterId = kept && !notKept ? kept : null;
  studio.library
    .prepare('INSERT INTO adapter_exports (id, adapter_id, target, path, report, created_at) VALUES (?, ?, ?, ?, ?, ?)')
    .run(randomUUID(), row.id, job.to, folder, JSON.stringify(fidelity), Date.now());
  adapters.changed();
  return { outcome: { folder, files, fidelity, adapterId, notKept }, adapterId };
}

/** What can't be read back, as that of a tower, is an export nonetheless. @throws what is no sentence for people */
function reasonOf(error: unknown): string {
  if (error instanceof UserError) return error.message;
  throw error;
}

/** A PEFT folder's entry in the library, to be tried beside the exact adapter. */
async function keepAsPlain(
  { adapters, worker }: Studio,
  row: AdapterRow,
  id: string,
  place: string,
  model: string,
  signal: AbortSignal,
): Promise<void> {
  const entry = { id, name: `${row.name}, as plain LoRA`, origin: 'export' as const };
  const parents = [{ id: row.id, relation: 'exported from' }];
  await adapters.make({ ...entry, parents }, model, (folder) =>
    worker.call('importAdapter', { place, model, folder }, { signal }),
  );
}
