import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { ExportEvent, ExportOutcome } from '../../../src-preload/contract/index.ts';
import type { AdapterRow } from '../adapters/store.ts';
import type { ExportJob } from '../stage/types.ts';
import type { Studio } from '../studio.ts';
import { checkData, checkReference } from './check.ts';
import { os, stream } from './os.ts';

/** Adapters in other programs' forms. */
export function exportCalls(studio: Studio) {
  return {
    run: os.exporting.run.handler(async ({ input: { id, keep, ...asked }, signal }) => {
      const row = studio.adapters.present(id);
      const model = studio.adapters.modelReference(row);
      await checkReference(studio, model);
      await checkData(studio, { path: asked.calibrate, examples: 0 }, [row.folder]);
      const { engine } = studio.settings.values();
      const out = join(studio.exportsFolder, folderName(row, asked.to));
      const job = { ...asked, adapter: row.folder, model, engine, out };
      return stream(exportRow(studio, row, job, keep && asked.to === 'peft', signal));
    }),
  };
}

/** A folder of its own that a person recognises. */
function folderName({ name }: AdapterRow, target: string): string {
  const plain = name.replace(/[^\p{L}\p{N} ._-]/gu, '_').slice(0, 60);
  return `${plain} ${target} ${randomUUID().slice(0, 6)}`;
}

async function* exportRow(
  studio: Studio,
  row: AdapterRow,
  job: ExportJob,
  keep: boolean,
  signal: AbortSignal | undefined,
): AsyncGenerator<ExportEvent, void> {
  const { adapters } = studio;
  for await (const event of studio.stage.run('export', job, signal)) {
    if (event.kind === 'progress') {
      yield { kind: 'progress', ...event.progress };
      continue;
    }
    const { folder, files, fidelity } = event.result;
    let adapterId: string | null = null;
    if (keep) {
      const entry = { name: `${row.name}, as plain LoRA`, origin: 'export' as const };
      const parents = [{ id: row.id, relation: 'exported from' }];
      const { model } = job;
      const made = await adapters.make({ ...entry, parents }, model!, (into) =>
        studio.worker.call('importAdapter', { place: folder, model: model!, folder: into }),
      );
      adapterId = made.id;
    }
    studio.library
      .prepare(
        'INSERT INTO adapter_exports (id, adapter_id, target, path, report, created_at) VALUES (?, ?, ?, ?, ?, ?)',
      )
      .run(randomUUID(), row.id, job.to, folder, JSON.stringify(fidelity), Date.now());
    adapters.changed();
    const outcome: ExportOutcome = { folder, files, fidelity, adapterId };
    yield { kind: 'exported', outcome };
  }
}
